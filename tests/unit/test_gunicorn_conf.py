"""What the gateway's gunicorn tells the C library before anything looks a name up."""

import os
import subprocess
import sys

import pytest

from tools.process import ROOT

# The C library reads its own environment, not Python's copy.
PROGRAM = """
import ctypes, runpy
runpy.run_path("gateway/gunicorn_conf.py")
getenv = ctypes.CDLL(None).getenv
getenv.restype = ctypes.c_char_p
print(getenv(b"RES_OPTIONS").decode())
"""


@pytest.mark.parametrize(
    ("environment", "told"),
    [({}, "timeout:1 attempts:2"), ({"RES_OPTIONS": "timeout:3"}, "timeout:3")],
    ids=["ours", "the operator's"],
)
def test_a_name_that_is_gone_is_given_up_soon_unless_somebody_says_otherwise(
    environment: dict[str, str], told: str
) -> None:
    usual = {"PATH": os.environ["PATH"], **environment}
    command = [sys.executable, "-c", PROGRAM]
    assert (
        subprocess.run(command, cwd=ROOT, env=usual, check=True, capture_output=True, text=True).stdout == f"{told}\n"
    )
