"""What stands in the rooms' configurations of gunicorn beside what all have in common."""

import os
import subprocess
import sys

import pytest

from tests.support.settings import REQUIRED
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


@pytest.mark.parametrize("room", ["auth", "users"])
def test_a_service_has_as_many_threads_as_its_settings_say(room: str) -> None:
    program = f'import runpy; print(runpy.run_path("services/{room}/gunicorn_conf.py")["threads"])'
    shown = subprocess.run(
        [sys.executable, "-c", program],
        cwd=ROOT,
        env={"PATH": os.environ["PATH"], **REQUIRED, "THREADS": "24"},
        check=True,
        capture_output=True,
        text=True,
    ).stdout
    assert shown == "24\n"
