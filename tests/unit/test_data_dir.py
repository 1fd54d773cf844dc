"""DATA_DIR belongs to one launcher at a time, and its secrets never change."""

import json
from pathlib import Path

import pytest

from tools.data_dir import DataDir
from tools.errors import StackError
from tools.ports import Ports


def test_the_secrets_of_the_first_start_are_those_of_the_second(tmp_path: Path) -> None:
    first = DataDir(tmp_path).load_secrets()
    assert DataDir(tmp_path).load_secrets() == first


def test_a_secret_that_an_older_version_did_not_have_is_added_to_the_others(tmp_path: Path) -> None:
    data = DataDir(tmp_path)
    first = data.load_secrets()
    path = tmp_path / "secrets.json"
    stored = json.loads(path.read_text())
    del stored["valkey"]
    path.write_text(json.dumps(stored))

    second = data.load_secrets()

    assert second.valkey != first.valkey
    assert second.refresh_token_key == first.refresh_token_key
    assert data.load_secrets() == second


@pytest.mark.parametrize("text", ["", "{", "[]", "5", '{"valkey": 5}'])
def test_damaged_secrets_are_not_replaced(tmp_path: Path, text: str) -> None:
    path = tmp_path / "secrets.json"
    path.write_text(text)
    with pytest.raises(StackError, match="is damaged"):
        DataDir(tmp_path).load_secrets()
    assert path.read_text() == text


def test_no_secret_shows_in_a_traceback(tmp_path: Path) -> None:
    secrets = DataDir(tmp_path).load_secrets()
    assert repr(secrets) == "Secrets()"


def test_a_second_launcher_is_sent_away_until_the_first_is_done(tmp_path: Path) -> None:
    first, second = DataDir(tmp_path), DataDir(tmp_path)
    first.lock()
    with pytest.raises(StackError, match="used by another launcher"):
        second.lock()
    first.unlock()
    second.lock()
    second.unlock()


def test_a_launcher_learns_that_the_one_before_was_killed(tmp_path: Path) -> None:
    (tmp_path / "launcher.lock").write_text("4711\n")
    data = DataDir(tmp_path)
    assert data.lock() is True
    data.unlock()
    assert data.lock() is False
    data.unlock()


def test_a_large_log_is_put_aside(tmp_path: Path) -> None:
    data = DataDir(tmp_path)
    data.log_path("auth").parent.mkdir()
    data.log_path("auth").write_bytes(b"x" * 6_000_000)
    data.log_path("users").write_bytes(b"x")
    data.put_large_logs_aside()
    assert sorted(path.name for path in (tmp_path / "logs").iterdir()) == ["auth.log.1", "users.log"]


@pytest.mark.parametrize("base", [0, -1, 65528, 99999])
def test_a_port_without_room_for_the_others_is_refused(base: int) -> None:
    with pytest.raises(StackError, match="PORT must be between 1 and 65527"):
        Ports.from_base(base)
