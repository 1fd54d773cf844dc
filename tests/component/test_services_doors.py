"""The services' own doors: no proof, no entry; and every answer in the envelope, whoever asks."""

import socket

import pytest
from cryptography.hazmat.primitives.serialization import load_der_private_key
from flask import Flask
from psycopg import Connection

from services.auth import internal_routes as auth_internal
from services.users import internal_routes as users_internal
from shared.guards import guard_of, refuse_unguarded_views
from shared.service_client import ClientCredentials, ServiceClient, ServiceError, ServiceUnreachable
from tests.conftest import CLIENT_ID, CLIENT_SECRET, READER_SECRET
from tests.support.http import Api
from tests.support.phone import Phone
from tests.support.services import BrokenService, free_port, raw_reply
from tools.stack import Stack


@pytest.fixture
def reader(stack: Stack) -> ServiceClient:
    """Another service that may read profiles."""
    return ServiceClient(stack.users_url, ClientCredentials(stack.auth_url, CLIENT_ID, CLIENT_SECRET, "users"))


def service_token(auth: Api, secret: str = CLIENT_SECRET) -> str:
    request = {"client_id": CLIENT_ID, "client_secret": secret, "audience": "users"}
    return str(auth.post("/internal/token", request).data["access_token"])


def test_a_persons_token_does_not_open_internal_pages(users: Api, phone: Phone) -> None:
    answer = users.get("/internal/profiles?ids=1", token=phone.access_token)
    assert (answer.status, answer.error_code) == (401, "AUTH_401")
    answer = users.send("PUT", "/internal/profiles/1", {}, token=phone.access_token)
    assert (answer.status, answer.error_code) == (401, "AUTH_401")


def test_a_service_token_does_not_open_peoples_pages(auth: Api, users: Api, api: Api) -> None:
    token = service_token(auth)
    assert users.get("/v1/users/me", token=token).error_code == "AUTH_401"
    assert auth.get("/v1/auth/sessions", token=token).error_code == "AUTH_401"
    assert api.get("/v1/users/me", token=token).error_code == "AUTH_401"


def test_a_service_token_without_the_scope_is_forbidden(auth: Api, users: Api) -> None:
    news = {"email": "x@example.com", "name": None, "phone": None, "version": 1}
    answer = users.send("PUT", "/internal/profiles/1", news, token=service_token(auth))
    assert (answer.status, answer.error_code) == (403, "AUTH_403")


def test_both_secrets_of_a_service_work_while_they_rotate(auth: Api) -> None:
    assert service_token(auth, CLIENT_SECRET)
    assert service_token(auth, READER_SECRET)


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"client_secret": "wrong"}, "AUTH_401"),
        ({"client_id": "nobody"}, "AUTH_401"),
        ({"audience": "gateway"}, "AUTH_403"),
        ({"client_secret": None}, "REQ_400"),
        ({"more": 1}, "VAL_007"),
    ],
)
def test_a_service_that_proves_nothing_gets_no_token(auth: Api, change: dict[str, object], code: str) -> None:
    request = {"client_id": CLIENT_ID, "client_secret": CLIENT_SECRET, "audience": "users", **change}
    assert auth.post("/internal/token", request).error_code == code


def test_a_service_reads_profiles_in_one_call(reader: ServiceClient, phone: Phone, api: Api) -> None:
    other = Phone(api).sign_up(name="Jane Doe")
    ids = f"{phone.user['id']},{other.user['id']},999999999"
    profiles = reader.get("/internal/profiles", {"ids": ids})
    assert [profile["id"] for profile in profiles] == sorted([phone.user["id"], other.user["id"]])
    assert {profile["name"] for profile in profiles} == {"John Doe", "Jane Doe"}


@pytest.mark.parametrize("ids", ["", "x", "1,x", "0", "-1", ",".join(["1"] * 101), str(2**63)])
def test_a_list_of_ids_that_makes_no_sense_is_refused(reader: ServiceClient, ids: str) -> None:
    with pytest.raises(ServiceError) as caught:
        reader.get("/internal/profiles", {"ids": ids})
    assert caught.value.status == 400


def test_a_service_sees_the_others_failure_as_an_exception(reader: ServiceClient) -> None:
    with pytest.raises(ServiceError) as caught:
        reader.put("/internal/profiles/1", {"email": "x@example.com", "name": None, "phone": None, "version": 1})
    assert (caught.value.status, caught.value.error_code) == (403, "AUTH_403")


@pytest.mark.parametrize(
    "reply",
    [
        raw_reply("200 OK", b"<html>", "text/html"),
        raw_reply("200 OK", b'{"message": "x"}'),
        raw_reply("200 OK", b'{"message": "x", "error_code": "AUTH_001"}'),
        raw_reply("500 Internal Server Error", b"oops", "text/plain"),
        b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{}",
        b"",
    ],
)
def test_an_answer_outside_the_contract_is_no_answer(reply: bytes) -> None:
    broken = BrokenService()
    broken.reply = reply
    with pytest.raises(ServiceUnreachable):
        ServiceClient(broken.url).post("/anything", {})
    assert len(broken.requests) == 1
    broken.close()


def test_a_service_that_hangs_or_is_away_costs_no_more_than_the_deadline() -> None:
    broken = BrokenService()
    broken.reply = None
    with pytest.raises(ServiceUnreachable):
        ServiceClient(broken.url).post("/anything", {}, seconds=0.2)
    broken.close()
    with pytest.raises(ServiceUnreachable):
        ServiceClient(f"http://127.0.0.1:{free_port()}").get("/anything", seconds=0.2)


def test_only_the_page_that_gives_the_first_proof_is_an_internal_page_without_one() -> None:
    app = Flask("rooms", static_folder=None)
    app.register_blueprint(auth_internal.blueprint, name="auth")
    app.register_blueprint(users_internal.blueprint, name="users")
    open_doors = {name for name, view in app.view_functions.items() if guard_of(view) == "public"}
    assert open_doors == {"auth.issue_service_token"}


def test_a_room_with_an_unguarded_view_does_not_start() -> None:
    app = Flask("rooms", static_folder=None)
    app.add_url_rule("/open", "open", lambda: "come in")
    with pytest.raises(RuntimeError, match="views without a guard: open"):
        refuse_unguarded_views(app)


@pytest.mark.parametrize("port", ["auth", "users", "gateway"])
def test_broken_http_is_answered_in_the_envelope_by_every_room(stack: Stack, port: str) -> None:
    with socket.create_connection(("127.0.0.1", getattr(stack.ports, port)), timeout=10) as connection:
        connection.sendall(b"GET / HTTP/9.9\r\nHost: x\r\n\r\n")
        answer = b"".join(iter(lambda: connection.recv(65536), b""))
    assert answer.startswith(b"HTTP/1.1 400 Bad Request\r\n")
    assert b'"error_code":"REQ_400"' in answer
    assert b"html" not in answer.lower()


def test_the_private_half_of_a_signing_key_is_not_readable_in_the_database(auth_sql: Connection) -> None:
    stored = auth_sql.execute("SELECT private_key FROM signing_keys").fetchall()
    assert stored
    for (sealed,) in stored:
        with pytest.raises(ValueError, match=r".+"):
            load_der_private_key(bytes(sealed), password=None)
