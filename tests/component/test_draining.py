"""A room that is told to stop says so, serves on for a while, and lets nobody's request fall."""

import http.client
import json
import signal
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, suppress
from pathlib import Path

import psutil
import psycopg
import pytest

from shared.serving import GRACEFUL_SECONDS
from tests.support.figures import workers_below
from tests.support.phone import Phone
from tests.support.rooms import RoomProcess
from tests.support.settings import UNLIMITED
from tests.support.waiting import eventually
from tools.stack import Stack

DRAIN_SECONDS = 3
# By then gunicorn's own graceful_timeout is over, and docker-compose.yml gives a container ten seconds more.
GRACE_SECONDS = 30
AT_ONCE = 50

NewRoom = Callable[..., RoomProcess]
BOTH = pytest.mark.parametrize("room", ["users", "gateway"])


@pytest.fixture
def new_room(stack: Stack, tmp_path: Path) -> Iterator[NewRoom]:
    """Starts rooms that drain for DRAIN_SECONDS unless the test says otherwise."""
    made: list[RoomProcess] = []

    def start(room: str, **settings: str) -> RoomProcess:
        environment = {**stack.environment(room), **UNLIMITED, "DRAIN_SECONDS": str(DRAIN_SECONDS), **settings}
        made.append(RoomProcess(room, environment, tmp_path / f"{room}.log"))
        made[-1].start()
        made[-1].wait_ready()
        return made[-1]

    yield start
    for one in made:
        one.kill()


class Client:
    """One kept connection of somebody who never tries twice."""

    def __init__(self, room: RoomProcess, phone: Phone) -> None:
        self.connection = http.client.HTTPConnection(room.host, room.port, timeout=20)
        self._headers = {"Authorization": f"Bearer {phone.access_token}", "Content-Type": "application/json"}

    def write(self) -> tuple[int, str]:
        """The status of a PATCH, and what the answer says about the connection."""
        self.connection.request("PATCH", "/v1/users/me", json.dumps({"name": "Jane"}), self._headers)
        answer = self.connection.getresponse()
        answer.read()
        return answer.status, answer.headers["Connection"]


@BOTH
def test_who_is_told_to_stop_is_not_ready_and_answers_on_old_and_new_connections(
    new_room: NewRoom, phone: Phone, room: str
) -> None:
    stopping = new_room(room)
    old, new = Client(stopping, phone), Client(stopping, phone)
    with closing(old.connection), closing(new.connection):
        assert old.write() == (200, "keep-alive")
        stopping.stop()
        eventually(lambda: stopping.readiness() == 503)
        assert old.write() == (200, "close")
        assert new.write() == (200, "close")
    assert stopping.wait(GRACE_SECONDS) == 0


@BOTH
def test_fifty_requests_in_flight_are_answered_and_the_process_is_gone_in_time(
    new_room: NewRoom, phone: Phone, users_sql: psycopg.Connection, stack: Stack, room: str
) -> None:
    # So many threads that one is left to say that it is not ready.
    stopping = new_room(room, THREADS=str(AT_ONCE + 2))
    with psycopg.connect(stack.database_url("users")) as blocker, ThreadPoolExecutor(AT_ONCE) as crowd:
        blocker.execute("SELECT 1 FROM profiles WHERE id = %s FOR UPDATE", (phone.user["id"],))
        clients = [Client(stopping, phone) for _ in range(AT_ONCE)]
        answers = [crowd.submit(client.write) for client in clients]
        waiting = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = 'latchkey_users'"
        eventually(lambda: (users_sql.execute(waiting).fetchone() or (0,))[0] > 10)
        stopping.stop()
        eventually(lambda: stopping.readiness() == 503)
        blocker.rollback()
        assert {answer.result() for answer in answers} == {(200, "close")}
    for client in clients:
        client.connection.close()
    assert stopping.wait(GRACE_SECONDS) == 0


@BOTH
def test_who_writes_without_a_pause_on_kept_connections_loses_nothing(
    new_room: NewRoom, phone: Phone, room: str
) -> None:
    stopping = new_room(room)
    statuses: list[int] = []

    def be_busy() -> None:
        client = Client(stopping, phone)
        with closing(client.connection):
            kept = "keep-alive"
            while kept == "keep-alive":
                status, kept = client.write()
                statuses.append(status)

    with ThreadPoolExecutor(8) as crowd:
        busy = [crowd.submit(be_busy) for _ in range(8)]
        eventually(lambda: len(statuses) > 100)
        stopping.stop()
        for one in busy:
            one.result()
    assert set(statuses) == {200}
    assert stopping.wait(GRACE_SECONDS) == 0


@BOTH
def test_without_a_time_to_drain_a_stop_is_instant(new_room: NewRoom, room: str) -> None:
    stopping = new_room(room, DRAIN_SECONDS="0")
    stopping.api.hang_up()
    began = time.monotonic()
    stopping.stop()
    assert stopping.wait(GRACE_SECONDS) == 0
    assert time.monotonic() - began < DRAIN_SECONDS


@BOTH
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGQUIT])
def test_who_is_draining_can_still_be_stopped_at_once(new_room: NewRoom, room: str, number: int) -> None:
    stopping = new_room(room, DRAIN_SECONDS="15")
    stopping.stop()
    eventually(lambda: stopping.readiness() == 503)
    began = time.monotonic()
    stopping.signal(number)
    stopping.wait(GRACE_SECONDS)
    assert time.monotonic() - began < 10


@BOTH
def test_who_is_told_again_and_again_to_stop_leaves_no_later(new_room: NewRoom, room: str) -> None:
    stopping = new_room(room)
    stopping.api.hang_up()
    workers = workers_below(stopping.port)
    assert workers

    def are_gone() -> bool:
        for worker in workers:
            with suppress(psutil.NoSuchProcess):
                worker.terminate()
        return not any(map(psutil.pid_exists, (worker.pid for worker in workers)))

    stopping.stop()
    # Sooner than whoever lost patience with them would end them.
    eventually(are_gone, seconds=GRACEFUL_SECONDS - 10)
    assert stopping.wait(GRACE_SECONDS) == 0


def test_a_time_to_drain_that_leaves_none_for_the_last_requests_is_refused(stack: Stack, tmp_path: Path) -> None:
    log_path = tmp_path / "users.log"
    room = RoomProcess("users", {**stack.environment("users"), "DRAIN_SECONDS": "16"}, log_path)
    room.start()
    try:
        assert room.wait(20) != 0
    finally:
        room.kill()
    assert "DRAIN_SECONDS must be from 0 to 15" in log_path.read_text()
