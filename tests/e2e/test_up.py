"""What `make up` promises: one line to wait for, one sentence when it cannot, and nothing left when it ends."""

import http.client
import os
import re
import signal
from collections.abc import Iterator
from dataclasses import astuple
from pathlib import Path

import pytest

from tests.support.launcher import RECOVERY_SECONDS, Launcher, is_gone
from tests.support.waiting import eventually
from tools.ports import obstacle
from tools.stack import Ports


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Launcher]:
    """A launcher that has been started before in its DATA_DIR."""
    launcher = Launcher(tmp_path_factory.mktemp("up") / "data", Ports.free())
    try:
        launcher.up()
        launcher.stop()
        launcher.up()
        yield launcher
    finally:
        launcher.stop()


@pytest.fixture
def fresh(tmp_path: Path) -> Iterator[Launcher]:
    launcher = Launcher(tmp_path / "data", Ports.free())
    yield launcher
    launcher.stop()


def test_ready_names_the_address(running: Launcher) -> None:
    assert running.ready_line.split()[1] == f"http://127.0.0.1:{running.ports.gateway}"
    assert running.health(running.ports.gateway) == http.client.OK


def test_a_second_start_gets_ready_again_and_says_how_long_it_took(running: Launcher) -> None:
    running.stop()
    running.up()
    assert re.fullmatch(r"ready  http://\S+  \(\d+\.\d+ s; Ctrl-C stops it\)", running.ready_line)


def test_a_used_port_is_named_in_one_sentence(running: Launcher, tmp_path: Path) -> None:
    output = Launcher(tmp_path / "other", running.ports).refuse()
    assert f"Port {running.ports.gateway} is already in use" in output
    assert len(output.splitlines()) == 1


def test_a_second_start_by_mistake_names_the_port(running: Launcher, tmp_path: Path) -> None:
    twin = Launcher(running.data_dir, running.ports)
    twin.output_path = tmp_path / "output"
    assert f"Port {running.ports.gateway} is already in use" in twin.refuse()


def test_a_data_dir_in_use_is_named_in_one_sentence(running: Launcher, tmp_path: Path) -> None:
    other = Launcher(running.data_dir, Ports.free())
    other.output_path = tmp_path / "output"
    output = other.refuse()
    assert f"DATA_DIR {running.data_dir} is used by another launcher" in output
    assert len(output.splitlines()) == 1


@pytest.mark.parametrize(
    ("name", "mark"),
    [
        ("users", "services/users/gunicorn_conf.py"),
        ("auth", "services/auth/gunicorn_conf.py"),
        ("worker", "services.auth worker"),
        ("gateway", "gateway/gunicorn_conf.py"),
        ("postgres", "/postgres -D"),
        ("valkey", "valkey-server"),
    ],
)
def test_a_killed_process_comes_back_and_the_rest_goes_on(running: Launcher, name: str, mark: str) -> None:
    before = running.children()
    victim = running.child(mark)

    os.kill(victim, signal.SIGKILL)

    running.wait_for_line(f"{name} was ended by SIGKILL; starting it again")
    running.wait_for_line(f"{name} is back", RECOVERY_SECONDS)
    running.wait_until_healthy()
    after = running.children()
    assert set(before) - set(after) == {victim}
    assert len(after) == len(before)


def test_an_account_survives_a_restart(fresh: Launcher) -> None:
    phone = {"email": "john@example.com", "password": "userPassword123", "device_type": "Android"}
    fresh.up()
    assert fresh.post("/v1/auth/signup", phone) == http.client.CREATED
    fresh.stop()
    fresh.up()
    assert fresh.post("/v1/auth/login", phone) == http.client.OK


def test_a_killed_launcher_leaves_no_orphans_and_does_not_prevent_the_next_start(fresh: Launcher) -> None:
    fresh.up()
    family = fresh.family()

    fresh.popen.kill()
    fresh.popen.wait()

    eventually(lambda: all(map(is_gone, family)), seconds=10)
    fresh.up()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_stop_leaves_nothing_behind_within_ten_seconds(fresh: Launcher, number: signal.Signals) -> None:
    fresh.up()
    family = fresh.family()
    assert len(family) > 10

    fresh.popen.send_signal(number)

    assert fresh.popen.wait(10) == 0
    assert [process for process in family if not is_gone(process)] == []
    assert [port for port in astuple(fresh.ports) if obstacle(port)] == []


def test_a_stop_during_the_start_leaves_nothing_behind(fresh: Launcher) -> None:
    fresh.start()
    fresh.wait_for_line("initdb")
    family = fresh.family()

    fresh.popen.terminate()

    assert fresh.popen.wait(10) == 0
    assert [process for process in family if not is_gone(process)] == []


def test_a_process_that_cannot_start_shows_its_log_and_ends_the_rest(tmp_path: Path) -> None:
    launcher = Launcher(tmp_path / "data", Ports.free(), TRUSTED_HOPS="many")
    output = launcher.refuse()
    assert "ended with exit code 1 while starting." in output
    assert "TRUSTED_HOPS must be a whole number" in output
    assert obstacle(launcher.ports.postgres) is None


def test_secrets_are_for_their_owner_only(running: Launcher) -> None:
    assert (running.data_dir / "secrets.json").stat().st_mode & 0o777 == 0o600
    assert running.data_dir.stat().st_mode & 0o777 == 0o700
    assert "PASSWORD" not in running.output.upper()
