"""The stack that other tests start: real stores that can be stopped, paused and killed one by one."""

from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from tools.errors import StackError, StopRequested
from tools.stack import Ports, Stack


@pytest.fixture(scope="module")
def stores(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    with Stack(tmp_path_factory.mktemp("stack"), Ports.free()) as stack:
        stack.start(only={"postgres", "valkey"})
        yield stack


def test_each_service_enters_its_own_database_only(stores: Stack) -> None:
    with psycopg.connect(stores.database_url("auth")) as connection:
        assert connection.execute("SELECT current_user, current_database()").fetchone() == ("latchkey_auth",) * 2
    with pytest.raises(psycopg.OperationalError, match="permission denied for database"):
        psycopg.connect(stores.database_url("auth").rpartition("/")[0] + "/latchkey_users")
    with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
        psycopg.connect(stores.database_url("auth").replace(stores.secrets.auth_database, "wrong"))


@pytest.mark.parametrize("name", ["postgres", "valkey"])
def test_a_store_can_be_stopped_paused_and_killed(stores: Stack, name: str) -> None:
    store = stores.processes[name]
    for end in (store.stop, store.kill):
        end()
        assert not store.is_running()
        store.start()
        store.wait_ready()
    store.pause()
    assert not store.is_ready()
    store.resume()
    store.wait_ready()


def test_starting_again_leaves_alone_what_runs(stores: Stack) -> None:
    pids = {name: stores.processes[name].pid for name in ("postgres", "valkey")}
    stores.start(only={"postgres", "valkey"})
    assert {name: stores.processes[name].pid for name in pids} == pids


def test_data_survives_a_stop_and_a_process_number_that_somebody_else_has_now(tmp_path: Path) -> None:
    stack = Stack(tmp_path, Ports.free())
    with stack:
        stack.start(only={"postgres"})
        with psycopg.connect(stack.database_url("users")) as connection:
            connection.execute("CREATE TABLE note AS SELECT 'kept' AS text")
        server = stack.processes["postgres"].pid
    # What a crash leaves: the number now belongs to the server of another folder.
    with Stack(tmp_path / "other", Ports.free()) as other:
        other.start(only={"postgres"})
        leftover = (tmp_path / "other" / "postgres" / "postmaster.pid").read_text()
        (tmp_path / "postgres" / "postmaster.pid").write_text(leftover)
        with stack:
            stack.start(only={"postgres"})
            assert stack.processes["postgres"].pid != server
            with psycopg.connect(stack.database_url("users")) as connection:
                assert connection.execute("SELECT text FROM note").fetchone() == ("kept",)


def test_what_killed_processes_left_in_their_folder_for_a_while_is_gone_at_the_next_start(tmp_path: Path) -> None:
    stack = Stack(tmp_path, Ports.free())
    with stack:
        stack.start(only={"valkey"})
        left = Path(stack.environment("gateway")["TMPDIR"]) / "latchkey-metrics-x"
        left.mkdir()
    with Stack(tmp_path, Ports.free()) as again:
        again.start(only={"valkey"})
        assert left.parent.is_dir()
        assert not left.exists()


def test_a_store_that_cannot_start_is_explained_by_its_log(tmp_path: Path) -> None:
    stack = Stack(tmp_path, Ports.free())
    with stack:
        stack.start(only={"postgres"})
    (tmp_path / "postgres" / "PG_VERSION").write_text("9\n")
    with pytest.raises(StackError, match=r"(?s)postgres ended with exit code 1 while starting.*incompatible"):
        stack.start(only={"postgres"})
    with Stack(tmp_path, stack.ports) as again:
        again.start(only={"valkey"})


def test_a_start_can_be_called_off(tmp_path: Path) -> None:
    stack = Stack(tmp_path, Ports.free())
    stack.request_stop()
    with pytest.raises(StopRequested):
        stack.start(only={"postgres", "valkey"})
    assert not any(process.is_running() for process in stack.processes.values())
