"""`check` of each room: what is wrong with its configuration, before anybody is served with it."""

import subprocess
import sys

import pytest

from tests.support.services import free_port
from tools.process import ROOT
from tools.stack import Stack

MODULES = {"gateway": "gateway", "auth": "services.auth", "users": "services.users"}


# A gateway whose developers have added a route.
ONE_MORE_ROUTE = """
import runpy, sys
from gateway import routes
routes.ROUTES += (routes.Route("GET", "/internal/x", "users", routes.Guard.PUBLIC),)
runpy.run_module("gateway", run_name="__main__")
"""


def check(stack: Stack, name: str, *options: str, program: str = "", **settings: str) -> tuple[int, list[str]]:
    """The exit code and the lines of `check`, with these settings on top of the room's own; "" unsets one."""
    finished = subprocess.run(
        [sys.executable, *(["-c", program] if program else ["-m", MODULES[name]]), "check", *options],
        cwd=ROOT,
        env={**stack.environment(name), **settings},
        capture_output=True,
        text=True,
        check=False,
        timeout=30,
    )
    assert finished.stderr == ""
    return finished.returncode, finished.stdout.splitlines()


@pytest.mark.parametrize("name", MODULES)
def test_the_configuration_of_a_running_room_is_valid(stack: Stack, name: str) -> None:
    assert check(stack, name) == (0, ["It is valid."])


@pytest.mark.parametrize("name", MODULES)
def test_everything_that_is_wrong_is_named_at_once(stack: Stack, name: str) -> None:
    missing, wrong = {
        "gateway": ("REDIS_URL", {"TRUSTED_HOPS": "many", "USERS_URL": "https://users", "WORKER_CONNECTIONS": "0"}),
        "auth": ("KEY_ENCRYPTION_KEY", {"THREADS": "1", "DATABASE_URL": "mysql://x"}),
        "users": ("DATABASE_URL", {"THREADS": "x", "AUTH_URL": "nowhere"}),
    }[name]
    settings = {**wrong, missing: "", "DRAIN_SECONDS": "99", "METRICS_BIND": "0.0.0.0", "WEB_CONCURRENCY": "-1"}
    settings |= {"OTEL_TRACES_SAMPLER_ARG": "2", "LOG_LEVEL": "loud"}
    code, lines = check(stack, name, **settings)
    assert code == 1
    assert lines[0] == "The configuration is not valid:"
    named = {line.partition(" ")[0] for line in lines[1:]}
    assert named >= set(settings)
    assert f"{missing} is required" in lines
    assert sorted(lines) == sorted(set(lines)), "nothing is said twice"


@pytest.mark.parametrize(("name", "setting"), [("auth", "THREADS"), ("users", "THREADS"), ("gateway", "LOG_LEVEL")])
def test_a_server_that_is_told_nonsense_says_so_and_does_not_start(stack: Stack, name: str, setting: str) -> None:
    started = subprocess.run(
        [sys.executable, "-m", "gunicorn", "-c", f"python:{MODULES[name]}.gunicorn_conf"],
        cwd=ROOT,
        env={**stack.environment(name), setting: "many"},
        capture_output=True,
        text=True,
        check=False,
        timeout=30,
    )
    assert started.returncode != 0
    assert f"The configuration is not valid:\n{setting} must be" in started.stderr
    assert "Traceback" not in started.stderr


def test_a_mistake_in_the_route_table_is_named(stack: Stack) -> None:
    code, lines = check(stack, "gateway", program=ONE_MORE_ROUTE)
    assert (code, lines[1:]) == (1, ["GET /internal/x shows what is for services only"])


def test_figures_need_a_port_of_their_own(stack: Stack) -> None:
    code, lines = check(stack, "users", BIND="0.0.0.0:8000", METRICS_BIND="127.0.0.1:8000")
    assert (code, lines[1:]) == (1, ["METRICS_BIND must have another port than BIND"])


def test_who_is_not_there_is_named_when_asked(stack: Stack) -> None:
    assert check(stack, "gateway", "--connect") == (
        0,
        ["It is valid.", "Everything that the gateway needs is there."],
    )
    nowhere = f"127.0.0.1:{free_port()}"
    away = {
        "AUTH_URL": f"{stack.auth_url}/elsewhere",
        "USERS_URL": f"http://{nowhere}",
        "REDIS_URL": f"redis://{nowhere}/0",
    }
    code, lines = check(stack, "gateway", "--connect", **away)
    assert code == 1
    assert "AUTH_URL is not ready: it answers 404" in lines
    assert {line.partition(" ")[0] for line in lines if "can't be reached" in line} == {"USERS_URL", "REDIS_URL"}
