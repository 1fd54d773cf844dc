"""What a phone meets when its access token has run out, and who else's tokens open nothing."""

import time
import uuid
from collections.abc import Callable
from typing import Any

import jwt
import pytest

from services.auth.settings import Settings
from services.auth.signing_keys import SigningKeys
from shared.database import Database
from tests.conftest import CLIENT_ID, CLIENT_SECRET
from tests.support.http import Api
from tests.support.phone import Phone
from tests.support.waiting import eventually
from tools.stack import Stack

Issue = Callable[..., str]


@pytest.fixture(scope="module")
def issue(stack: Stack) -> Issue:
    """Signs access tokens with auth's own key: the claims of a genuine token, with changes; None removes one."""
    settings = Settings.read(stack.environment("auth"))
    database = Database(settings.database_url, connections=1)
    signer = SigningKeys(database, settings.key_encryption_key).signer()
    database.engine.dispose()

    def issue(genuine: str, /, headers: dict[str, Any] | None = None, **changes: Any) -> str:
        claims = jwt.decode(genuine, options={"verify_signature": False}) | changes
        claims = {name: value for name, value in claims.items() if value is not None}
        headers = {"typ": "at+jwt", "kid": signer.kid} | (headers or {})
        return jwt.encode(claims, signer.private_key, algorithm="ES256", headers=headers)

    return issue


@pytest.fixture
def expired(phone: Phone, issue: Issue) -> str:
    """The phone's access token, sixteen minutes later."""
    return issue(phone.access_token, iat=int(time.time()) - 960, exp=int(time.time()) - 60)


def test_an_expired_access_token_is_told_so(phone: Phone, expired: str) -> None:
    for path in ("/v1/users/me", "/v1/auth/sessions"):
        answer = phone.api.get(path, token=expired)
        assert (answer.status, answer.json) == (401, {"message": "Access token expired", "error_code": "AUTH_401"})
        assert answer.headers["WWW-Authenticate"] == 'Bearer error="invalid_token"'


def test_an_access_token_that_was_good_a_moment_ago_expires_too(phone: Phone, issue: Issue) -> None:
    expires_at = int(time.time()) + 2
    token = issue(phone.access_token, exp=expires_at)
    assert phone.api.get("/v1/users/me", token=token).status == 200

    eventually(lambda: phone.api.get("/v1/users/me", token=token).status == 401)

    assert expires_at <= time.time() < expires_at + 1
    assert phone.api.get("/v1/users/me", token=token).message == "Access token expired"


def test_a_phone_with_an_expired_access_token_refreshes_and_goes_on(phone: Phone, expired: str) -> None:
    assert phone.api.get("/v1/users/me", token=expired).error_code == "AUTH_401"

    assert phone.refresh().status == 200

    assert phone.get("/v1/users/me").status == 200


def test_the_refresh_token_logs_out_when_the_access_token_has_expired(phone: Phone, expired: str) -> None:
    answer = phone.api.post("/v1/auth/logout", {"refresh_token": phone.refresh_token}, token=expired)

    assert answer.status == 200
    assert phone.refresh().error_code == "AUTH_003"


def test_the_refresh_token_logs_out_when_the_key_of_the_access_token_was_retired_since(
    phone: Phone, issue: Issue
) -> None:
    old = issue(phone.access_token, {"kid": "retired"}, iat=int(time.time()) - 960, exp=int(time.time()) - 60)

    answer = phone.api.post("/v1/auth/logout", {"refresh_token": phone.refresh_token}, token=old)

    assert answer.status == 200
    assert phone.refresh().error_code == "AUTH_003"


@pytest.mark.parametrize("authorization", ["Bearer nonsense", "Bearer", "Basic am9objpzZWNyZXQ="])
def test_no_access_token_is_so_bad_that_the_refresh_token_does_not_log_out(phone: Phone, authorization: str) -> None:
    form, headers = {"refresh_token": phone.refresh_token}, {"Authorization": authorization}

    assert phone.api.post("/v1/auth/logout", {}, headers=headers).error_code == "AUTH_401"
    assert phone.api.post("/v1/auth/logout", form, headers=headers).status == 200
    assert phone.refresh().error_code == "AUTH_003"


def test_an_expired_access_token_alone_logs_nobody_out(phone: Phone, expired: str) -> None:
    answer = phone.api.post("/v1/auth/logout", {}, token=expired)

    assert (answer.error_code, answer.message) == ("AUTH_401", "Access token expired")
    assert phone.refresh().status == 200


@pytest.mark.parametrize(
    "changes",
    [{"iss": "somebody else"}, {"aud": "users"}, {"aud": ["latchkey-apps", "users"]}, {"aud": None}, {"sub": None},
     {"sub": "x"}, {"sid": None}, {"gen": None}, {"gen": "x"}, {"exp": None}, {"jti": None}, {"nbf": 9999999999}],
    ids=str,
)  # fmt: skip
def test_a_token_with_other_claims_is_no_access_token(phone: Phone, issue: Issue, changes: dict[str, Any]) -> None:
    answer = phone.api.get("/v1/users/me", token=issue(phone.access_token, **changes))

    assert (answer.status, answer.json) == (401, {"message": "Invalid token", "error_code": "AUTH_401"})


@pytest.mark.parametrize(
    "headers",
    [{"typ": "JWT"}, {"typ": "at+JWT"}, {"typ": "dpop+jwt"}, {"kid": "x"}, {"kid": "../x"},
     {"jku": "https://elsewhere.example/jwks.json"}, {"crit": ["exp"]}, {"x5u": "https://elsewhere.example"}],
    ids=str,
)  # fmt: skip
def test_a_token_with_another_header_is_no_access_token(phone: Phone, issue: Issue, headers: dict[str, Any]) -> None:
    assert phone.api.get("/v1/users/me", token=issue(phone.access_token)).status == 200

    answer = phone.api.get("/v1/users/me", token=issue(phone.access_token, headers))

    assert (answer.status, answer.json) == (401, {"message": "Invalid token", "error_code": "AUTH_401"})


def test_a_service_token_does_not_open_the_gateway(auth: Api, api: Api) -> None:
    form = {"client_id": CLIENT_ID, "client_secret": CLIENT_SECRET, "audience": "users"}
    token = auth.post("/internal/token", form).data["access_token"]

    for path in ("/v1/users/me", "/v1/users/1", "/v1/auth/sessions"):
        assert api.get(path, token=token).error_code == "AUTH_401"


def test_a_token_of_a_session_that_never_was_opens_no_session(phone: Phone, issue: Issue) -> None:
    token = issue(phone.access_token, sid=str(uuid.uuid4()))

    answer = phone.api.send("PUT", "/v1/auth/device", {"notification_device_id": "x"}, token=token)

    assert (answer.status, answer.error_code) == (401, "AUTH_003")


def test_a_phone_whose_tokens_come_from_a_clock_that_is_ahead_is_not_sent_round_in_circles(
    phone: Phone, issue: Issue
) -> None:
    now = int(time.time())
    token = issue(phone.access_token, iat=now + 600, exp=now + 1500)
    for path in ("/v1/users/me", "/v1/auth/sessions"):
        assert phone.api.get(path, token=token).status == 200
