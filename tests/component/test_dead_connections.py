"""A connection whose server has gone is noticed before anything is asked of it, so that nobody's request fails."""

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack

import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict, make_conninfo
from sqlalchemy import Integer, column, func, select, text

from shared import connection_check
from shared.database import Database, Statement
from shared.errors import Unavailable
from tests.support.waiting import eventually
from tools.stack import Stack

CONNECTIONS = 4
BACKEND = "SELECT pg_backend_pid()"
END_OTHERS = """
    SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity
    WHERE datname = current_database() AND application_name = 'to be ended'
"""


@pytest.fixture
def database(stack: Stack) -> Iterator[Database]:
    database = Database(make_conninfo(stack.database_url("auth"), application_name="to be ended"), connections=4)
    yield database
    database.engine.dispose()


def open_all(database: Database) -> None:
    with ExitStack() as held:
        for connection in [held.enter_context(database.statements()) for _ in range(CONNECTIONS)]:
            connection.execute(BACKEND)


def test_a_server_that_ended_every_connection_costs_no_error(database: Database, auth_sql: psycopg.Connection) -> None:
    open_all(database)
    assert auth_sql.execute(END_OTHERS).fetchone() == (CONNECTIONS,)
    left = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'to be ended'"
    eventually(lambda: auth_sql.execute(left).fetchone() == (0,))
    for _ in range(CONNECTIONS):
        assert database.answers()


def test_a_word_from_the_server_that_is_not_its_last_costs_no_connection(
    database: Database, auth_sql: psycopg.Connection
) -> None:
    with database.statements() as connection:
        connection.execute("LISTEN word")
        backend = connection.execute(BACKEND).fetchone()
    auth_sql.execute("NOTIFY word")
    with database.statements() as connection:
        assert connection.execute(BACKEND).fetchone() == backend


def test_a_connection_that_ends_between_two_statements_is_an_unavailable_database_once(
    database: Database, auth_sql: psycopg.Connection
) -> None:
    def ask_before_and_after() -> None:
        with database.statements() as connection:
            connection.execute(BACKEND)
            auth_sql.execute(END_OTHERS)
            connection.execute(BACKEND)

    with pytest.raises(Unavailable):
        ask_before_and_after()
    assert database.answers()


def test_what_was_used_for_single_statements_is_good_for_a_transaction_again(stack: Stack) -> None:
    database = Database(stack.database_url("auth"), connections=1)
    with pytest.raises(psycopg.errors.DivisionByZero), database.statements() as connection:
        connection.execute("SELECT 1 / 0")
    with database.transaction() as session:
        first, second = (session.scalar(text("SELECT pg_current_xact_id()::text")) for _ in range(2))
    assert first == second
    database.engine.dispose()


def test_an_idle_connection_whose_server_vanished_silently_is_asked_first(
    stack: Stack, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connection_check, "FRESH_SECONDS", 0.0)
    with Forwarder(stack.database_url("auth")) as forwarder:
        database = Database(forwarder.url, connections=1)
        assert database.answers()
        forwarder.forget_connections()
        assert database.answers()
        database.engine.dispose()


class Forwarder:
    """A way to PostgreSQL that can forget its connections, as a host does that was replaced: it resets who writes."""

    def __init__(self, url: str) -> None:
        target = conninfo_to_dict(url)
        self._target = str(target["host"]), int(target["port"] or 0)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._open: list[socket.socket] = []
        self._forgotten: list[socket.socket] = []
        self.url = make_conninfo(url, host="127.0.0.1", port=self._listener.getsockname()[1], sslmode="disable")

    def __enter__(self) -> "Forwarder":
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        for one in (self._listener, *self._open, *self._forgotten):
            one.close()

    def forget_connections(self) -> None:
        self._forgotten, self._open = self._open, []

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            server = socket.create_connection(self._target)
            self._open += [client, server]
            threading.Thread(target=self._pump, args=(client, server), daemon=True).start()
            threading.Thread(target=self._pump, args=(server, client), daemon=True).start()

    def _pump(self, source: socket.socket, sink: socket.socket) -> None:
        try:
            while piece := source.recv(65536):
                if source in self._forgotten:
                    break
                sink.sendall(piece)
        except OSError:
            return
        source.close()


NOTHING = "UPDATE accounts SET email = email WHERE false"


def by_sqlalchemy(database: Database) -> None:
    with database.transaction() as session:
        session.execute(text(NOTHING))


def by_a_statement_in_a_transaction(database: Database) -> None:
    with database.transaction() as session:
        Statement(text(NOTHING)).run(session, {})


def by_a_statement_alone(database: Database) -> None:
    with database.statements() as driver:
        Statement(text(NOTHING)).run(driver, {})


@pytest.mark.parametrize("change", [by_sqlalchemy, by_a_statement_in_a_transaction, by_a_statement_alone])
def test_a_connection_to_a_server_that_became_read_only_is_given_up(
    stack: Stack, change: Callable[[Database], None]
) -> None:
    database = Database(stack.database_url("auth"), connections=1)
    with database.statements() as driver:
        demoted = driver.info.backend_pid
        driver.execute("SET SESSION CHARACTERISTICS AS TRANSACTION READ ONLY")
    with pytest.raises(Unavailable):
        change(database)
    with database.statements() as driver:
        assert driver.info.backend_pid != demoted
    database.engine.dispose()


def test_a_statement_may_ask_for_one_of_several_values(stack: Stack) -> None:
    database = Database(stack.database_url("auth"), connections=1)
    number = column("number", Integer)
    numbers = select(number).select_from(func.generate_series(1, 5).alias("number")).where(number.in_([2, 4]))
    with database.statements() as driver:
        assert Statement(numbers).run(driver, {}).fetchall() == [(2,), (4,)]
    database.engine.dispose()
