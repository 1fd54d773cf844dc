"""What auth's figures say about people, passwords and the database."""

import threading
from collections.abc import Callable
from contextlib import suppress

import pytest
from psycopg import Connection
from urllib3.exceptions import HTTPError

from tests.support.crowd import at_once, auth_with
from tests.support.figures import Scraper, workers_below
from tests.support.phone import Phone
from tests.support.services import free_port
from tests.support.waiting import eventually
from tools.services import metrics_port
from tools.stack import Stack

OUTCOMES = "latchkey_auth_outcomes_total"
EVENTS = "latchkey_auth_events_total"


@pytest.fixture
def figures(stack: Stack) -> Scraper:
    return Scraper(f"127.0.0.1:{metrics_port('auth', stack.ports)}")


@pytest.fixture
def worker_figures(stack: Stack) -> Scraper:
    return Scraper(f"127.0.0.1:{metrics_port('worker', stack.ports)}")


class Growth:
    """By how much a figure has grown since now."""

    def __init__(self, figures: Scraper, name: str, **labels: str) -> None:
        self._figures, self._name, self._labels = figures, name, labels
        self._before = figures.sum_of(name, **labels)

    def __call__(self) -> float:
        return self._figures.sum_of(self._name, **self._labels) - self._before


def test_how_signing_up_and_in_came_out_is_counted(figures: Scraper, new_phone: Callable[[], Phone]) -> None:
    signed_up = Growth(figures, OUTCOMES, action="sign_up", outcome="done")
    taken = Growth(figures, OUTCOMES, action="sign_up", outcome="AUTH_002")
    signed_in = Growth(figures, OUTCOMES, action="sign_in", outcome="done")
    wrong = Growth(figures, OUTCOMES, action="sign_in", outcome="AUTH_001")
    events = {name: Growth(figures, EVENTS, event=name) for name in ("sign_up", "sign_in", "sign_in_failed")}
    phone = new_phone().sign_up()
    phone.api.post("/v1/auth/signup", {**phone.credentials, "password": "another fine one"})
    Phone(phone.api, email=phone.email).sign_in()
    phone.api.post("/v1/auth/login", {**phone.credentials, "password": "not my password"})
    assert (signed_up(), taken(), signed_in(), wrong()) == (1, 1, 1, 1)
    assert {name: growth() for name, growth in events.items()} == {"sign_up": 1, "sign_in": 1, "sign_in_failed": 1}


def test_how_a_refresh_came_out_is_counted(figures: Scraper, phone: Phone) -> None:
    outcomes = {
        outcome: Growth(figures, OUTCOMES, action="refresh", outcome=outcome)
        for outcome in ("done", "repeated", "AUTH_006", "AUTH_004")
    }
    stolen = Growth(figures, EVENTS, event="session_ended", reason="reuse_detected")
    first = phone.refresh_token
    phone.refresh()
    second = phone.refresh_token
    # Its reply was lost.
    assert phone.api.post("/v1/auth/refresh", {"refresh_token": first}).status == 200
    phone.refresh_token = second
    phone.refresh()
    phone.refresh()
    assert phone.api.post("/v1/auth/refresh", {"refresh_token": first}).error_code == "AUTH_006"
    assert phone.api.post("/v1/auth/refresh", {"refresh_token": "no such token"}).error_code == "AUTH_004"
    counted = {outcome: growth() for outcome, growth in outcomes.items()}
    assert counted == {"done": 3, "repeated": 1, "AUTH_006": 1, "AUTH_004": 1}
    assert stolen() == 1


def test_an_ended_session_is_counted_by_its_reason(figures: Scraper, phone: Phone) -> None:
    logged_out = Growth(figures, EVENTS, event="session_ended", reason="logout")
    assert phone.log_out().status == 200
    assert logged_out() == 1
    # Again changes nothing.
    assert phone.log_out().status == 200
    assert logged_out() == 1


def test_what_was_rolled_back_is_not_counted(figures: Scraper, phone: Phone, auth_sql: Connection) -> None:
    logged_out = Growth(figures, EVENTS, event="session_ended")
    # Deferred: the commit itself fails, after everything was done.
    auth_sql.execute(
        "CREATE FUNCTION refuse_end() RETURNS trigger LANGUAGE plpgsql AS "
        "$$ BEGIN RAISE EXCEPTION USING ERRCODE = '53300'; END $$"
    )
    auth_sql.execute(
        "CREATE CONSTRAINT TRIGGER refuse_end AFTER UPDATE ON sessions DEFERRABLE INITIALLY DEFERRED "
        "FOR EACH ROW EXECUTE FUNCTION refuse_end()"
    )
    try:
        assert phone.log_out().status == 503
    finally:
        auth_sql.execute("DROP TRIGGER refuse_end ON sessions")
        auth_sql.execute("DROP FUNCTION refuse_end")
    assert logged_out() == 0
    assert phone.log_out().status == 200
    assert logged_out() == 1


def test_connections_to_the_database_are_figures(stack: Stack, figures: Scraper) -> None:
    limit = figures.value_of("latchkey_sql_connections_limit")
    assert limit == 18  # THREADS and two more
    assert eventually(lambda: figures.value_of("latchkey_sql_connections_in_use") is not None)
    users = Scraper(f"127.0.0.1:{metrics_port('users', stack.ports)}")
    assert users.value_of("latchkey_sql_connections_limit") == 18


def test_hashing_is_told_and_refused_past_its_places(
    stack: Stack, tmp_path_factory: pytest.TempPathFactory, phone: Phone
) -> None:
    address = f"127.0.0.1:{free_port()}"
    few = {"HASHING_SLOTS": "1", "HASHING_QUEUE": "1", "ARGON2_TIME_COST": "20"}
    with auth_with(stack, tmp_path_factory, METRICS_BIND=address, **few) as slow:
        figures = Scraper(address)
        assert figures.value_of("latchkey_hashing_places") == 2
        answers = at_once(8, lambda _: slow.post("/v1/auth/login", {**phone.credentials, "password": "a wrong one"}))
        refused = sum(answer.status == 503 for answer in answers)
        assert refused > 0
        assert figures.sum_of("latchkey_hashing_refused_total") == refused
        assert figures.sum_of("latchkey_hashing_duration_seconds_count") == len(answers) - refused
        eventually(lambda: figures.value_of("latchkey_hashing_under_way") == 0)


def test_what_a_dead_worker_had_under_way_is_forgotten(
    stack: Stack, tmp_path_factory: pytest.TempPathFactory, phone: Phone
) -> None:
    address = f"127.0.0.1:{free_port()}"
    with auth_with(
        stack, tmp_path_factory, METRICS_BIND=address, ARGON2_TIME_COST="20", ARGON2_MEMORY_KIB="65536"
    ) as slow:
        figures = Scraper(address)
        [worker] = workers_below(int(slow.base_url.rpartition(":")[2]))

        def sign_in_vainly() -> None:
            with suppress(HTTPError):
                slow.post("/v1/auth/login", {**phone.credentials, "password": "a wrong one"})

        guess = threading.Thread(target=sign_in_vainly)
        guess.start()
        eventually(lambda: figures.value_of("latchkey_hashing_under_way") == 1)
        worker.kill()
        guess.join()
        eventually(lambda: slow.get("/health/live").status == 200)
        assert not figures.value_of("latchkey_hashing_under_way")
        assert figures.value_of("latchkey_hashing_places") == 8


def test_the_worker_tells_how_things_stand(
    stack: Stack, worker_figures: Scraper, new_phone: Callable[[], Phone], auth_sql: Connection
) -> None:
    rounds = Growth(worker_figures, "latchkey_worker_rounds_total", task="outbox", result="done")
    eventually(lambda: rounds() > 0)
    eventually(lambda: (worker_figures.value_of("latchkey_signing_key_age_seconds") or 0) > 0)
    eventually(lambda: worker_figures.value_of("latchkey_sessions_open") is not None)
    eventually(lambda: worker_figures.value_of("latchkey_outbox_waiting") == 0)
    stack.processes["users"].stop()
    try:
        phone = new_phone().sign_up()
        eventually(lambda: (worker_figures.value_of("latchkey_outbox_waiting") or 0) >= 1)
        eventually(lambda: (worker_figures.value_of("latchkey_outbox_lag_seconds") or 0) > 1)
    finally:
        stack.processes["users"].start()
        stack.processes["users"].wait_ready(30)
    eventually(lambda: worker_figures.value_of("latchkey_outbox_waiting") == 0)
    eventually(lambda: worker_figures.value_of("latchkey_outbox_lag_seconds") == 0)
    assert phone.get("/v1/users/me").status == 200


def test_a_job_that_waits_for_redis_says_so(
    stack: Stack, worker_figures: Scraper, figures: Scraper, phone: Phone
) -> None:
    waits = Growth(worker_figures, "latchkey_worker_rounds_total", task="confirmations", result="waits")
    stack.processes["valkey"].stop()
    try:
        eventually(lambda: waits() > 0)
        assert Phone(phone.api, email=phone.email).sign_in()
        eventually(lambda: figures.value_of("latchkey_brakes_without_redis") == 1)
    finally:
        stack.processes["valkey"].start()
        stack.processes["valkey"].wait_ready(30)

    def counted_in_redis_again() -> bool:
        Phone(phone.api, email=phone.email).sign_in()
        return figures.value_of("latchkey_brakes_without_redis") == 0

    eventually(counted_in_redis_again)
