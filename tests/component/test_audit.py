"""What `python -m services.auth audit EMAIL` tells, and that nobody can change it afterwards."""

import psycopg
import pytest
from psycopg import Connection

from tests.support.command import Operator
from tests.support.http import Api
from tests.support.phone import Phone
from tools.stack import Stack

NEW_PASSWORD = "quite another winding road 7"


@pytest.fixture(scope="module")
def operator(stack: Stack) -> Operator:
    return Operator(stack)


def events(operator: Operator, phone: Phone) -> list[str]:
    return [event["event"] for event in operator.ask("audit", phone.email)]


def test_what_happened_to_an_account_is_told_newest_first(operator: Operator, phone: Phone) -> None:
    phone.api.post("/v1/auth/login", {**phone.credentials, "password": "not the password"})
    phone.send("PUT", "/v1/auth/device", {"notification_device_id": "a-push-token-of-" + phone.email[5:20]})
    tablet = Phone(phone.api, email=phone.email).sign_in()
    tablet.log_out()
    operator.do("accounts", "disable", phone.email)
    phone.api.post("/v1/auth/login", phone.credentials)
    operator.do("accounts", "enable", phone.email)
    operator.do("accounts", "set-password", phone.email, typed=NEW_PASSWORD)
    assert events(operator, phone) == [
        "password_changed",
        "account_enabled",
        "sign_in_refused_disabled",
        "session_ended",
        "account_disabled",
        "logout",
        "session_ended",
        "sign_in",
        "push_token_changed",
        "sign_in_failed",
        "sign_up",
    ]
    assert len(operator.ask("audit", phone.email, "--limit", "2")) == 2
    table = operator.do("audit", phone.email)
    assert table.splitlines()[0].split() == ["at", "event", "session", "id", "network", "request", "id", "details"]


@pytest.mark.parametrize("token", [None, "a push token"])
def test_a_push_token_that_is_told_again_is_no_event(operator: Operator, phone: Phone, token: str | None) -> None:
    mine = {"notification_device_id": token and f"{token} of {phone.email}"}
    for _ in range(3):
        assert phone.send("PUT", "/v1/auth/device", mine).status == 200
    assert events(operator, phone).count("push_token_changed") == (1 if token else 0)


def test_an_event_tells_from_where_by_which_request_and_by_whom(operator: Operator, phone: Phone) -> None:
    answer = phone.api.post("/v1/auth/login", phone.credentials)
    operator.do("accounts", "end-sessions", phone.email)
    told = operator.ask("audit", phone.email)
    sign_in = next(event for event in told if event["event"] == "sign_in")
    assert (sign_in["network"], sign_in["request_id"]) == ("127.0.0.1", answer.headers["X-Request-Id"])
    assert sign_in["details"] == {"device_type": "Android"}
    assert told[0]["network"] is None
    assert told[0]["details"]["reason"] == "ended_by_operator"
    assert told[0]["details"]["operator"]


def test_a_theft_is_remembered_although_its_request_fails(
    operator: Operator, phone: Phone, auth_sql: Connection
) -> None:
    spent = phone.refresh_token
    for _ in range(3):
        phone.refresh()
    assert phone.refresh(spent).error_code == "AUTH_006"
    told = operator.ask("audit", phone.email)[:2]
    assert [event["event"] for event in told] == ["session_ended", "refresh_reuse_detected"]
    assert told[0]["details"] == {"reason": "reuse_detected"}
    assert told[1]["details"] == {"presented": 0, "newest": 3}
    assert told[0]["session_id"] == told[1]["session_id"]


def test_nothing_secret_and_no_strangers_email_is_remembered(
    operator: Operator, api: Api, phone: Phone, auth_sql: Connection
) -> None:
    stranger = Phone(api)
    answer = api.post("/v1/auth/login", stranger.credentials)
    phone.push_token = "push-token-" + phone.email[5:25]
    phone.sign_in()
    operator.do("accounts", "set-password", phone.email, typed=NEW_PASSWORD)
    everything = str(auth_sql.execute("SELECT a::text FROM audit_events a").fetchall())
    kept = auth_sql.execute(
        "SELECT event, account_id FROM audit_events WHERE request_id = %s", (answer.headers["X-Request-Id"],)
    ).fetchall()
    assert kept == [("sign_in_failed", None)]
    secrets = (stranger.email, phone.email, phone.password, NEW_PASSWORD, phone.push_token, phone.refresh_token)
    assert [secret for secret in (*secrets, phone.access_token, "argon2") if secret in everything] == []


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE audit_events SET event = 'x'",
        "DELETE FROM audit_events",
        "TRUNCATE audit_events",
        "UPDATE audit_events SET at = now() - interval '1 year'",
    ],
)
def test_the_database_lets_nobody_change_what_happened(phone: Phone, auth_sql: Connection, statement: str) -> None:
    with pytest.raises(psycopg.errors.InsufficientPrivilege, match="append-only"):
        auth_sql.execute(statement)
    assert auth_sql.execute("SELECT count(*) > 0 FROM audit_events").fetchone() == (True,)
