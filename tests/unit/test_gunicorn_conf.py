"""What stands in the rooms' configurations of gunicorn beside what all have in common."""

import os
import subprocess
import sys
from typing import Any

import pytest

from services.auth.settings import Settings as AuthSettings
from services.users.settings import Settings as UsersSettings
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


@pytest.mark.parametrize(("room", "settings"), [("auth", AuthSettings), ("users", UsersSettings)])
@pytest.mark.parametrize("set_to", [None, "24"])
def test_a_service_has_as_many_threads_as_its_settings_say(room: str, settings: Any, set_to: str | None) -> None:
    threads = {} if set_to is None else {"THREADS": set_to}
    program = f'import runpy; print(runpy.run_path("services/{room}/gunicorn_conf.py")["threads"])'
    shown = subprocess.run(
        [sys.executable, "-c", program],
        cwd=ROOT,
        env={"PATH": os.environ["PATH"], **threads},
        check=True,
        capture_output=True,
        text=True,
    ).stdout
    assert int(shown) == settings.read({**REQUIRED, **threads}).threads
