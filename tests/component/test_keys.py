"""Signing keys come and go, and no phone notices; a key that is no longer secret goes at once.

On a stack of its own, because whoever retires a key makes every phone of the stack refresh.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg
import pytest

from services.auth.parts import build_parts
from services.auth.settings import Settings
from services.auth.tokens import OwnToken
from shared import keys
from tests.support.command import Operator
from tests.support.forger import Forger
from tests.support.http import Api
from tests.support.load import Busy, Stranger, kid_of
from tests.support.phone import Phone
from tests.support.services import gateway_process
from tests.support.settings import UNLIMITED
from tests.support.waiting import eventually
from tools.stack import Ports, Stack

# The services ask for keys once a minute, and for one that a token brings at most once in UNKNOWN_KEY_PAUSE.
LEAD_SECONDS = keys.UNKNOWN_KEY_PAUSE + 2
LEARNING_SECONDS = 10
# Longer than the longest token lives, and everything that is added to be sure.
LONG_AGO = "UPDATE signing_keys SET signs_from = signs_from - interval '1 hour' WHERE signs_from <= now()"


@pytest.fixture(scope="module")
def own_stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    quick = {
        "KEY_PUBLISH_LEAD": str(LEAD_SECONDS),
        "CLEAN_UP_INTERVAL": "1",
        "SESSION_REFRESHES_PER_MINUTE": "100000",
        "NETWORK_SIGN_UPS_PER_MINUTE": "100000",
    }
    settings = {"auth": quick, "worker": quick, "gateway": UNLIMITED}
    with Stack(tmp_path_factory.mktemp("keys") / "data", Ports.free(), settings=settings) as running:
        running.start()
        yield running


@contextmanager
def quick_gateway(own_stack: Stack, log_path: Path, *, seconds: int) -> Iterator[Api]:
    """A gateway that asks for keys every so many seconds."""
    app = "tests.support.quick_keys_gateway:create_app()"
    environment = own_stack.environment("gateway")
    with gateway_process(environment, log_path, wsgi_app=app, KEYS_SECONDS=str(seconds)) as api:
        yield api
        api.hang_up()


@pytest.fixture(scope="module")
def gateway(own_stack: Stack, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Api]:
    with quick_gateway(own_stack, tmp_path_factory.mktemp("quick") / "gateway.log", seconds=1) as api:
        yield api


@pytest.fixture
def slow_gateway(own_stack: Stack, log_path: Path) -> Iterator[Api]:
    """A gateway that takes longer to learn of a key than auth takes to sign with it."""
    with quick_gateway(own_stack, log_path, seconds=LEARNING_SECONDS) as api:
        yield api


@pytest.fixture
def operator(own_stack: Stack) -> Operator:
    return Operator(own_stack)


@pytest.fixture
def sql(own_stack: Stack) -> Iterator[psycopg.Connection]:
    with psycopg.connect(own_stack.database_url("auth"), autocommit=True) as connection:
        yield connection


def published(api: Api) -> set[str]:
    return {key["kid"] for key in api.get("/.well-known/jwks.json").json["keys"]}


def states(operator: Operator) -> dict[str, str]:
    return {key["kid"]: key["state"] for key in operator.ask("keys", "list")}


def signing(operator: Operator) -> str:
    return next(kid for kid, state in states(operator).items() if state == "signing")


def wait_until_it_signs(gateway: Api, kid: str) -> None:
    phone = Phone(gateway).sign_up()
    eventually(lambda: kid_of(phone.refresh().data["access_token"]) == kid, seconds=LEAD_SECONDS + 20)


def rotated(operator: Operator, gateway: Api) -> str:
    """The kid of a new key that signs already."""
    kid = str(operator.ask("keys", "rotate")["kid"])
    wait_until_it_signs(gateway, kid)
    return kid


def retire_all_but_the_signing_key(operator: Operator) -> None:
    for kid, state in states(operator).items():
        if state in ("published", "waiting"):
            operator.do("keys", "retire", kid)


def wait_until_the_keys_were_just_fetched(own_stack: Stack, gateway: Api) -> None:
    """The worst moment for a rotation: the gateway will not ask again for as long as it ever waits."""
    sign = Operator(own_stack, KEY_PUBLISH_LEAD="3600").ask("keys", "rotate")["kid"]
    eventually(lambda: sign in published(gateway))


def test_a_rotation_under_load_and_attack_costs_no_phone_a_401(own_stack: Stack, slow_gateway: Api) -> None:
    operator = Operator(own_stack, KEY_PUBLISH_LEAD=str(LEARNING_SECONDS + 4))
    stranger = Stranger(slow_gateway, Forger(own_stack, Phone(slow_gateway).sign_up()))
    phones = [Busy(slow_gateway) for _ in range(3)]
    threads: list[Any] = [stranger, *phones]
    for thread in threads:
        thread.start()
    try:
        old = kid_of(phones[0].phone.access_token)
        wait_until_the_keys_were_just_fetched(own_stack, slow_gateway)
        new = operator.ask("keys", "rotate")["kid"]
        eventually(lambda: all({old, new} <= phone.kids for phone in phones), seconds=60)
        at_the_change = sum(phone.requests for phone in phones)
        eventually(lambda: sum(phone.requests for phone in phones) > at_the_change + 30)
    finally:
        for thread in threads:
            thread.enough.set()
        for thread in threads:
            thread.join()
    assert [phone.refusals for phone in phones] == [[], [], []]
    assert {old, new} <= published(slow_gateway)


def test_a_new_key_is_published_at_once_and_signs_later(
    own_stack: Stack, gateway: Api, sql: psycopg.Connection
) -> None:
    patient = Operator(own_stack, KEY_PUBLISH_LEAD="3600")
    old = signing(patient)
    key = patient.ask("keys", "rotate")
    assert key["signs_from"] - key["created_at"] == 3600
    assert {old, key["kid"]} <= published(Api(own_stack.auth_url))
    assert states(patient)[key["kid"]] == "waiting"
    assert kid_of(Phone(gateway).sign_up().access_token) == old
    sql.execute("UPDATE signing_keys SET signs_from = now() WHERE kid = %s", (key["kid"],))
    wait_until_it_signs(gateway, key["kid"])


def test_an_old_key_stays_until_its_last_token_has_expired_and_then_its_private_half_is_gone(
    gateway: Api, operator: Operator, sql: psycopg.Connection
) -> None:
    phone = Phone(gateway).sign_up()
    old = kid_of(phone.access_token)
    new = rotated(operator, gateway)
    assert phone.get("/v1/users/me").status == 200
    # The worker looks every second.
    assert states(operator)[old] == "published"
    sql.execute(LONG_AGO)
    eventually(lambda: old not in published(gateway))
    assert states(operator)[old] == "retired"
    assert signing(operator) == new
    assert sql.execute("SELECT private_key FROM signing_keys WHERE kid = %s", (old,)).fetchone() == (b"",)


def test_a_key_that_is_retired_takes_remembered_tokens_with_it(
    own_stack: Stack, gateway: Api, operator: Operator
) -> None:
    phone = Phone(gateway).sign_up()
    leaked, forger = kid_of(phone.access_token), Forger(own_stack, phone)
    assert phone.get("/v1/users/me").status == 200
    new = rotated(operator, gateway)
    assert phone.get("/v1/users/me").status == 200

    operator.do("keys", "retire", leaked)

    eventually(lambda: phone.get("/v1/users/me").status == 401, seconds=5)
    assert phone.get("/v1/users/me").error_code == "AUTH_401"
    assert gateway.get("/v1/users/me", token=forger.token()).error_code == "AUTH_401"
    # The session is not lost: the app does what AUTH_401 asks it to do.
    assert phone.refresh().status == 200
    assert kid_of(phone.access_token) == new
    assert phone.get("/v1/users/me").status == 200
    assert operator.ask("keys", "retire", leaked)["state"] == "retired"


def test_retiring_the_signing_key_lets_its_waiting_successor_sign_at_once(own_stack: Stack, gateway: Api) -> None:
    patient = Operator(own_stack, KEY_PUBLISH_LEAD="3600")
    retire_all_but_the_signing_key(patient)
    leaked = signing(patient)
    new = patient.ask("keys", "rotate")["kid"]
    patient.do("keys", "retire", leaked)
    wait_until_it_signs(gateway, new)
    phone = Phone(gateway).sign_up()
    eventually(lambda: phone.get("/v1/users/me").status == 200)


def test_the_only_key_and_an_unknown_one_are_not_retired(operator: Operator) -> None:
    retire_all_but_the_signing_key(operator)
    refused = operator.try_to("keys", "retire", signing(operator))
    assert (refused.returncode, refused.stdout) == (1, "")
    assert refused.stderr == "This is the only signing key. Rotate first, then retire it.\n"
    unknown = operator.try_to("keys", "retire", "nobody")
    assert (unknown.returncode, unknown.stderr) == (1, "There is no signing key nobody.\n")


def test_the_keys_are_a_table_for_people(operator: Operator) -> None:
    kid = signing(operator)
    lines = operator.do("keys", "list").splitlines()
    assert lines[0].split() == ["kid", "state", "created", "at", "signs", "from", "retired", "at"]
    assert any(kid in line and " signing " in line for line in lines)


def test_what_happened_to_keys_is_remembered(operator: Operator, sql: psycopg.Connection) -> None:
    kid = operator.ask("keys", "rotate")["kid"]
    operator.do("keys", "retire", kid)
    events = sql.execute("SELECT event FROM audit_events WHERE details->>'kid' = %s ORDER BY id", (kid,)).fetchall()
    assert events == [("key_rotated",), ("key_retired",)]


def test_auth_itself_calls_with_one_token_for_a_while_and_with_none_of_a_retired_key(
    own_stack: Stack, gateway: Api, operator: Operator
) -> None:
    parts = build_parts(Settings.read(own_stack.environment("auth")))
    own_token = OwnToken(parts.tokens, parts.signing_keys, "auth", "users", ("profiles:read",))
    retired = kid_of(own_token(1))
    assert own_token(1) == own_token(1)
    new = rotated(operator, gateway)
    operator.do("keys", "retire", retired)
    eventually(lambda: kid_of(own_token(1)) == new)
