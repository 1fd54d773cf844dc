"""What an operator types beside `make up` reaches what that runs."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.phone import Phone
from tools import services
from tools.data_dir import Secrets
from tools.process import ROOT
from tools.stack import Ports, Stack


def say(folder: Path, port: int, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "tools.command", *words],
        cwd=ROOT,
        env={**os.environ, "PORT": str(port), "DATA_DIR": str(folder)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_a_command_beside_make_up_sees_its_accounts(stack: Stack, phone: Phone) -> None:
    folder = stack.processes["auth"].log_path.parent.parent
    shown = say(folder, stack.ports.gateway, "auth", "accounts", "show", phone.email, "--json")
    assert json.loads(shown.stdout)["email"] == phone.email, shown.stderr
    for words in (["gateway", "check", "--connect"], ["users", "check"]):
        checked = say(folder, stack.ports.gateway, *words)
        assert (checked.returncode, checked.stderr) == (0, ""), words


def test_a_command_where_nothing_was_ever_started_says_so_and_makes_nothing(tmp_path: Path) -> None:
    answer = say(tmp_path / "none", 8080, "auth", "check")
    assert (answer.returncode, answer.stderr.count("\n")) == (1, 1)
    assert "has no secrets.json" in answer.stderr
    assert not (tmp_path / "none").exists()


@pytest.mark.parametrize("words", [[], ["nobody", "check"]])
def test_a_command_of_no_room_is_told_which_there_are(tmp_path: Path, words: list[str]) -> None:
    answer = say(tmp_path, 8080, *words)
    assert (answer.returncode, answer.stderr) == (2, "usage: python -m tools.command {auth,users,gateway} …\n")


def test_services_of_a_developers_own_are_told_to_auth_and_to_nobody_else(monkeypatch: pytest.MonkeyPatch) -> None:
    clients = '{"reports": {"secrets": ["at least 24 characters"], "scopes": {"users": ["profiles:read"]}}}'
    monkeypatch.setenv("SERVICE_CLIENTS", clients)
    told = {name: services.environment(name, Ports.from_base(8080), Secrets()) for name in services.SERVICES}
    assert {name for name, settings in told.items() if settings.get("SERVICE_CLIENTS") == clients} == {"auth", "worker"}
    assert "SERVICE_CLIENTS" not in told["gateway"].keys() | told["users"].keys()
