"""PgBouncer in transaction mode, and stores that speak TLS: real ones, in containers."""

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import redis
from psycopg import OperationalError, connect
from psycopg.conninfo import make_conninfo
from sqlalchemy import text

from services.auth import migrations
from shared.database import STATEMENT_TIMEOUT_MS, Database, Statement
from shared.errors import Unavailable
from shared.migrations import migrate
from shared.redis_client import connect as connect_redis
from tests.support import poolers
from tests.support.compose import need_compose
from tests.support.databases import empty_database
from tests.support.phone import Phone
from tests.support.services import auth_process
from tests.support.waiting import eventually
from tools.stack import Stack

pytestmark = pytest.mark.compose


@pytest.fixture(scope="module")
def tls(tmp_path_factory: pytest.TempPathFactory) -> Path:
    need_compose()
    poolers.build()
    return poolers.certificates(tmp_path_factory.mktemp("tls") / "made")


@pytest.fixture(scope="module")
def pooled(tls: Path, stack: Stack, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Auth's database through a PgBouncer that has two connections to it, and speaks TLS."""
    own = stack.database_url("auth")
    with poolers.pgbouncer(tmp_path_factory.mktemp("pooled") / "files", own, tls=tls) as port:
        role, _, rest = own.rpartition("@")
        ca = f"sslmode=verify-full&sslrootcert={tls / 'ca.pem'}"
        url = f"{role}@localhost:{port}/{rest.partition('/')[2]}?{ca}"
        eventually(lambda: _answers(url))
        yield url


def _answers(url: str) -> bool:
    try:
        connect(url, connect_timeout=2).close()
    except OperationalError:
        return False
    return True


def test_a_crowd_signs_up_and_refreshes_over_two_connections(stack: Stack, pooled: str, log_path: Path) -> None:
    generous = {"NETWORK_SIGN_UPS_PER_MINUTE": "1000000"}
    with (
        auth_process(stack.environment("auth"), log_path, DATABASE_URL=pooled, **generous) as api,
        ThreadPoolExecutor(4) as crowd,
    ):
        phones = list(crowd.map(lambda _: Phone(api).sign_up(), range(8)))
        # More often than it takes until a statement is prepared.
        assert {phone.refresh().status for _ in range(8) for phone in phones} == {200}
        assert {phone.sign_in().refresh().status for phone in phones} == {200}


@pytest.mark.parametrize("own_options", ["are ignored", "are not sent"])
def test_the_limits_hold_for_every_transaction_behind_the_pooler(pooled: str, own_options: str) -> None:
    url = pooled if own_options == "are ignored" else f"{pooled}&options="
    database = Database(url, connections=4)
    question = Statement(
        text(
            "SELECT current_setting('statement_timeout'), current_setting('lock_timeout'), current_setting('timezone')"
        )
    )
    for ask in (database.statements, database.transaction):
        with ask() as one:
            assert question.run(one, {}).fetchone() == ("4s", "3s", "UTC")
    since = time.monotonic()
    with pytest.raises(Unavailable), database.transaction() as session:
        session.execute(text("SELECT pg_sleep(20)"))
    # The server ended it, not the client, which would wait for a second more.
    assert time.monotonic() - since < STATEMENT_TIMEOUT_MS / 1000 + 0.9
    assert database.answers()
    database.engine.dispose()


def test_migrations_run_through_the_pooler(tls: Path, stack: Stack, tmp_path: Path) -> None:
    with empty_database(stack, "auth") as url, poolers.pgbouncer(tmp_path / "files", url) as port:
        host = url.rpartition("@")[2].partition("/")[0]
        through = url.replace(host, f"127.0.0.1:{port}")
        eventually(lambda: _answers(through))
        migrate(migrations.FOLDER, through)
        # The connections that the pooler had already know nothing of it.
        with connect(url) as connection:
            assert connection.execute("SELECT version_num FROM alembic_version").fetchone()
            assert connection.execute("SHOW statement_timeout").fetchone() == ("4s",)


@pytest.mark.parametrize(("host", "authority"), [("127.0.0.1", "ca.pem"), ("localhost", "other.pem")])
def test_a_database_that_cannot_prove_its_name_is_not_spoken_to(
    pooled: str, tls: Path, host: str, authority: str
) -> None:
    database = Database(make_conninfo(pooled, host=host, sslrootcert=str(tls / authority)), connections=1)
    with pytest.raises(Unavailable):
        database.answers()


def test_redis_is_spoken_to_by_tls_and_only_when_it_proves_its_name(tls: Path) -> None:
    with poolers.valkey_with_tls(tls, "secret") as port:
        url = f"rediss://:secret@localhost:{port}/0?ssl_ca_certs={tls / 'ca.pem'}"
        assert eventually(lambda: _pings(url))
        with pytest.raises(redis.ConnectionError, match="certificate verify failed"):
            connect_redis(url.replace("localhost", "127.0.0.1"), answer_seconds=1).ping()
        with pytest.raises(redis.ConnectionError, match="certificate verify failed"):
            connect_redis(url.replace("ca.pem", "other.pem"), answer_seconds=1).ping()


def _pings(url: str) -> bool:
    try:
        return bool(connect_redis(url, answer_seconds=1).ping())
    except redis.RedisError:
        return False
