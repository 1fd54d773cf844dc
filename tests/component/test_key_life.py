"""The life of signing keys, in a database of their own: one is always there, and none goes before its tokens."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import psycopg
import pytest

from services.auth import key_rotation
from services.auth import migrations as auth_migrations
from services.auth.cleanup import CleanUp
from services.auth.parts import Parts, build_parts
from services.auth.refusal import Refusal
from services.auth.settings import Settings
from services.auth.signing_keys import KEYS_LOCK
from services.auth.tokens import SERVICE_TOKEN_LIFETIME
from shared.guards import CLOCK_LEEWAY_SECONDS
from shared.keys import REFRESH_SECONDS
from shared.migrations import migrate
from tests.support.databases import empty_database, superuser
from tests.support.http import Api
from tests.support.waiting import eventually
from tools.stack import Stack

SIGNS_SINCE = "UPDATE signing_keys SET signs_from = now() - %s * interval '1 second' WHERE kid = %s"
WAITING = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()"


@pytest.fixture
def parts(stack: Stack) -> Iterator[Parts]:
    with empty_database(stack, "auth") as url:
        parts = build_parts(replace(Settings.read(stack.environment("auth")), database_url=url))
        migrate(auth_migrations.FOLDER, url)
        yield parts
        parts.database.engine.dispose()


@pytest.fixture
def sql(parts: Parts) -> Iterator[psycopg.Connection]:
    with psycopg.connect(parts.settings.database_url, autocommit=True) as connection:
        yield connection


@pytest.fixture
def two_keys(parts: Parts, sql: psycopg.Connection) -> tuple[str, str]:
    """One that signed since yesterday, and the one that signs now."""
    parts.signing_keys.ensure_first()
    [(old,)] = sql.execute("SELECT kid FROM signing_keys").fetchall()
    sql.execute(SIGNS_SINCE, (24 * 60 * 60, old))
    with parts.database.transaction() as session:
        new = key_rotation.rotate(session, parts.signing_keys, 0).kid
    return old, new


@pytest.fixture
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Processes look for another key whenever they sign."""
    monkeypatch.setattr("services.auth.signing_keys.RELOAD_SECONDS", 0)


@pytest.mark.parametrize(
    ("access_token_lifetime", "longest"), [(900, 900), (60, SERVICE_TOKEN_LIFETIME)], ids=["a person's", "a service's"]
)
def test_an_old_key_stays_for_the_longest_token(
    parts: Parts, two_keys: tuple[str, str], sql: psycopg.Connection, access_token_lifetime: int, longest: int
) -> None:
    old, new = two_keys
    settings = replace(parts.settings, access_token_lifetime=access_token_lifetime)

    def is_published_when_the_new_one_signs_since(seconds: int) -> bool:
        sql.execute(SIGNS_SINCE, (seconds, new))
        clean_up = CleanUp(parts.database, settings)
        while clean_up.run():
            pass
        return old in {key["kid"] for key in parts.signing_keys.jwks()["keys"]}

    # Services take a token a little longer than it is good.
    assert is_published_when_the_new_one_signs_since(longest + CLOCK_LEEWAY_SECONDS)
    assert not is_published_when_the_new_one_signs_since(longest + 4 * CLOCK_LEEWAY_SECONDS)


@pytest.mark.usefixtures("at_once")
def test_when_the_key_that_signs_is_retired_the_one_before_it_signs_again(
    parts: Parts, two_keys: tuple[str, str]
) -> None:
    old, new = two_keys
    assert parts.signing_keys.signer().kid == new
    with parts.database.transaction() as session:
        key_rotation.retire(session, new)
    assert parts.signing_keys.signer().kid == old


@pytest.mark.usefixtures("at_once")
def test_a_key_that_is_known_signs_for_services_while_the_database_is_away(
    stack: Stack, parts: Parts, two_keys: tuple[str, str]
) -> None:
    _, new = two_keys
    assert parts.signing_keys.signer().kid == new
    database = parts.settings.database_url.rpartition("/")[2]
    with superuser(stack) as connection:
        connection.execute(f"ALTER DATABASE {database} ALLOW_CONNECTIONS false".encode())
        connection.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s", (database,))
    assert parts.signing_keys.signer().kid == new


def try_to_retire(parts: Parts, kid: str) -> bool:
    """Whether it was taken away."""
    try:
        with parts.database.transaction() as session:
            key_rotation.retire(session, kid)
    except Refusal:
        return False
    return True


def test_of_two_operators_who_each_retire_a_key_one_is_refused(
    parts: Parts, two_keys: tuple[str, str], sql: psycopg.Connection
) -> None:
    with ThreadPoolExecutor(2) as pool, psycopg.connect(parts.settings.database_url) as third:
        # They begin at the same moment.
        third.execute("SELECT pg_advisory_xact_lock(%s)", (KEYS_LOCK,))
        retired = [pool.submit(try_to_retire, parts, kid) for kid in two_keys]
        eventually(lambda: sql.execute(WAITING).fetchone() == (2,))
        third.rollback()
        assert sorted(one.result() for one in retired) == [False, True]
    assert len(parts.signing_keys.jwks()["keys"]) == 1


def test_of_several_who_find_no_key_one_makes_it(parts: Parts, sql: psycopg.Connection) -> None:
    begin: Callable[[], None] = parts.signing_keys.ensure_first
    with ThreadPoolExecutor(3) as pool, psycopg.connect(parts.settings.database_url) as blocker:
        # Nobody can write before all have come so far as they can.
        blocker.execute("LOCK TABLE signing_keys IN SHARE MODE")
        made = [pool.submit(begin) for _ in range(3)]
        eventually(lambda: sql.execute(WAITING).fetchone() == (3,))
        blocker.rollback()
        for one in made:
            one.result()
    assert sql.execute("SELECT count(*) FROM signing_keys").fetchone() == (1,)


@pytest.mark.parametrize("door", ["auth_url", "gateway_url"])
def test_nobody_may_keep_the_public_keys_for_longer_than_a_minute(stack: Stack, door: str) -> None:
    # A new key waits for two of these before it signs.
    keys = Api(getattr(stack, door)).get("/.well-known/jwks.json")
    kind, _, seconds = keys.headers["Cache-Control"].partition(", max-age=")
    assert (kind, int(seconds)) == ("public", REFRESH_SECONDS)
    assert int(seconds) <= 60
