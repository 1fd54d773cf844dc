"""One real stack for the whole run: PostgreSQL, Valkey, the services and the gateway, on ports of its own."""

import json
import os
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import psycopg
import pytest
import redis

from tests.support.http import Api
from tests.support.logs import logs_below, secrets_in
from tests.support.phone import Phone
from tests.support.settings import UNLIMITED
from tools.stack import Ports, Stack

CLIENT_ID = "reports"
CLIENT_SECRET = "a secret of the reports service"
READER_SECRET = "another one, to rotate to it"

SERVICE_CLIENTS = {
    CLIENT_ID: {
        "secrets": [CLIENT_SECRET, READER_SECRET],
        "scopes": {"users": ["profiles:read"], "auth": ["push:read", "push:write"]},
    },
}


@pytest.fixture(scope="session", autouse=True)
def no_secret_in_any_log(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Reads what every process of the run has logged, whichever test started it, when all of them have ended."""
    yield
    told = {str(path): found for path in logs_below(tmp_path_factory.getbasetemp()) if (found := secrets_in(path))}
    assert told == {}, "a token, a password, a hash or a key stands in a log"


@pytest.fixture(scope="session")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """Everything, started once; a test that stops a part of it starts that part again."""
    generous = {"NETWORK_SIGN_UPS_PER_MINUTE": "1000000", "NETWORK_FAILURES_PER_MINUTE": "1000000"}
    gateway = {**UNLIMITED, "ENVELOPE_CHECK_EVERY": "1"}
    settings = {"auth": {"SERVICE_CLIENTS": json.dumps(SERVICE_CLIENTS), **generous}, "gateway": gateway}
    with Stack(tmp_path_factory.mktemp("stack") / "data", Ports.free(), settings=settings) as running:
        running.start()
        yield running
        log = running.processes["gateway"].log_path.read_text()
    # Every answer of the run was looked at.
    assert log
    assert "envelope_violation" not in log


@pytest.fixture(scope="session")
def api(request: pytest.FixtureRequest) -> Api:
    """The gateway: of BASE_URL when that is set (`make contract BASE_URL=…`), else of the stack."""
    base_url = os.environ.get("BASE_URL")
    return Api(base_url or request.getfixturevalue("stack").gateway_url)


@pytest.fixture(scope="session")
def auth(stack: Stack) -> Api:
    """The auth service's own door."""
    return Api(stack.auth_url)


@pytest.fixture(scope="session")
def users(stack: Stack) -> Api:
    """The users service's own door."""
    return Api(stack.users_url)


@pytest.fixture
def phone(api: Api) -> Phone:
    """A phone whose owner has just signed up."""
    return Phone(api).sign_up()


@pytest.fixture
def new_phone(api: Api) -> Callable[[], Phone]:
    """Makes phones whose owners have not signed up yet."""
    return lambda: Phone(api)


@pytest.fixture
def auth_sql(stack: Stack) -> Iterator[psycopg.Connection]:
    """Auth's database, to look at what is stored and to turn back its clock."""
    with psycopg.connect(stack.database_url("auth"), autocommit=True) as connection:
        yield connection


@pytest.fixture
def users_sql(stack: Stack) -> Iterator[psycopg.Connection]:
    """The database of users."""
    with psycopg.connect(stack.database_url("users"), autocommit=True) as connection:
        yield connection


@pytest.fixture
def valkey(stack: Stack) -> Iterator[redis.Redis]:
    """What the stack keeps in Valkey, as text."""
    with redis.Redis.from_url(stack.redis_url, decode_responses=True) as client:
        yield client


@pytest.fixture
def own_stream(valkey: redis.Redis, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A stream of ended sessions that no other process writes or follows; to this one it is that of the stack."""
    stream = f"latchkey:test:{uuid.uuid4()}"
    for room in ("gateway.revocations", "services.auth.revocations"):
        monkeypatch.setattr(f"{room}.REVOCATIONS", stream)
        monkeypatch.setattr(f"{room}.REFILLED", f"{stream}:refilled")
    yield stream
    valkey.delete(stream, f"{stream}:refilled")


@pytest.fixture
def log_path(tmp_path: Path) -> Path:
    """Where a further gateway writes its log."""
    return tmp_path / "gateway.log"
