"""The mobile contract, sections 2, 7 and 8: the error catalogue, languages, and the gateway's own pages."""

import json
import re
from typing import Any

import pytest

from tests.support.http import Api
from tests.support.phone import Phone

LANGUAGES = ["de", "fr", "es", "hi", "ar"]
ACTIONS = {
    "none", "fix_input", "login", "refresh", "retry", "step_up", "verify_email", "update_app", "contact_support",
}  # fmt: skip
# The table of the contract: code, status, message, action, field, whether it ends the session.
TABLE = [
    ("AUTH_001", 401, "Email or password is incorrect", "fix_input", None, False),
    ("AUTH_002", 409, "An account with this email already exists", "login", None, False),
    ("AUTH_003", 401, "This session has ended", "login", None, True),
    ("AUTH_004", 401, "Invalid refresh token", "login", None, True),
    ("AUTH_005", 401, "Refresh token expired", "login", None, True),
    ("AUTH_006", 401, "This refresh token was already used", "login", None, True),
    ("AUTH_007", 403, "This account is disabled", "contact_support", None, True),
    ("AUTH_008", 400, "Password is too short", "fix_input", "password", False),
    ("AUTH_009", 400, "Password is too common", "fix_input", "password", False),
    ("AUTH_010", 404, "Session not found", "none", None, False),
    ("AUTH_401", 401, "Invalid token", "refresh", None, False),
    ("AUTH_403", 403, "You may not do this", "none", None, False),
    ("AUTH_429", 429, "Too many attempts, try again later", "retry", None, False),
    ("USER_404", 404, "User not found", "none", None, False),
    ("USER_409", 409, "The profile was changed meanwhile", "retry", None, False),
    ("SRV_500", 500, "Something went wrong on our side", "retry", None, False),
]
FIELDS = {
    "VAL_001": "email", "VAL_002": "password", "VAL_003": "device_type", "VAL_004": "notification_device_id",
    "VAL_005": "name", "VAL_006": "phone", "VAL_007": None, "VAL_008": "refresh_token", "VAL_009": "scope",
}  # fmt: skip


def catalogue(api: Api, language: str = "en") -> dict[str, dict[str, Any]]:
    """The entries of `GET /v1/errors` by code."""
    return {entry["code"]: entry for entry in api.get("/v1/errors", headers={"Accept-Language": language}).data}


def test_every_entry_of_the_catalogue_has_exactly_these_keys(api: Api) -> None:
    answer = api.get("/v1/errors")

    assert answer.message == "Error codes fetched successfully"
    for entry in answer.data:
        assert set(entry) == {"code", "status", "message", "action", "ends_session", "retryable", "field"}
        assert re.fullmatch(r"[A-Z]{2,8}_\d{3}", entry["code"])
        assert type(entry["status"]) is int
        assert entry["action"] in ACTIONS
        assert type(entry["ends_session"]) is bool
        assert type(entry["retryable"]) is bool
        assert entry["field"] is None or isinstance(entry["field"], str)


def test_no_code_stands_twice_in_the_catalogue(api: Api) -> None:
    codes = [entry["code"] for entry in api.get("/v1/errors").data]

    assert len(codes) == len(set(codes))


@pytest.mark.parametrize("row", TABLE, ids=lambda row: str(row[0]))
def test_the_catalogue_says_what_the_table_of_the_contract_says(api: Api, row: tuple[Any, ...]) -> None:
    entry = catalogue(api)[row[0]]

    keys = ("code", "status", "message", "action", "field", "ends_session")
    assert tuple(entry[key] for key in keys) == row


@pytest.mark.parametrize(("code", "field"), FIELDS.items())
def test_every_field_has_its_own_code(api: Api, code: str, field: str | None) -> None:
    entry = catalogue(api)[code]

    assert (entry["status"], entry["action"], entry["field"]) == (400, "fix_input", field)
    assert not entry["ends_session"]


@pytest.mark.parametrize("status", [400, 404, 405, 413, 414, 415, 429, 431])
def test_what_http_means_has_a_code_that_says_it(api: Api, status: int) -> None:
    entry = catalogue(api)[f"REQ_{status}"]

    assert (entry["status"], entry["ends_session"]) == (status, False)


@pytest.mark.parametrize("status", [502, 503, 504])
def test_what_is_behind_the_gateway_has_codes_of_its_own(api: Api, status: int) -> None:
    entry = catalogue(api)[f"GW_{status}"]

    assert (entry["status"], entry["action"], entry["ends_session"]) == (status, "retry", False)
    assert entry["retryable"]


def test_from_400_on_the_number_of_a_code_is_its_status(api: Api) -> None:
    for code, entry in catalogue(api).items():
        number = int(code[-3:])
        assert number < 400 or number == entry["status"], code


def test_apps_keep_the_catalogue_and_ask_again_by_its_entity_tag(api: Api) -> None:
    first = api.get("/v1/errors")

    again = api.get("/v1/errors", headers={"If-None-Match": first.headers["ETag"]})
    other = api.get("/v1/errors", headers={"If-None-Match": '"something-else"'})

    assert (again.status, again.body, again.headers["ETag"]) == (304, b"", first.headers["ETag"])
    assert other.body == first.body


def test_the_catalogue_of_another_language_is_another_entity(api: Api) -> None:
    english = api.get("/v1/errors")
    german = {"Accept-Language": "de", "If-None-Match": english.headers["ETag"]}

    answer = api.get("/v1/errors", headers=german)

    assert answer.status == 200
    assert answer.headers["ETag"] != english.headers["ETag"]
    assert "Accept-Language" in answer.headers["Vary"]


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_whole_catalogue_is_translated_and_nothing_but_the_messages_changes(api: Api, language: str) -> None:
    english = catalogue(api)

    translated = catalogue(api, language)

    assert list(translated) == list(english)
    for code, entry in translated.items():
        assert entry["message"] != english[code]["message"], code
        assert entry | {"message": ""} == english[code] | {"message": ""}


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_language_changes_the_message_and_never_the_error_code(reader: Phone, language: str) -> None:
    wrong = json.dumps({**reader.credentials, "password": "wrong password"}).encode()
    requests = [
        ("POST", "/v1/auth/login", wrong, "AUTH_001"),
        ("POST", "/v1/auth/login", b"{}", "VAL_001"),
        ("GET", "/v1/auth/sessions", None, "AUTH_401"),
        ("GET", "/nowhere", None, "REQ_404"),
    ]
    for method, path, body, code in requests:
        in_english = reader.api.send(method, path, body=body)
        translated = reader.api.send(method, path, body=body, headers={"Accept-Language": language})
        assert in_english.headers["Content-Language"] == "en"
        assert translated.headers["Content-Language"] == language
        assert translated.message != in_english.message
        assert translated.error_code == in_english.error_code == code


@pytest.mark.parametrize("language", LANGUAGES)
def test_successes_speak_the_language_too(reader: Phone, language: str) -> None:
    answer = reader.get("/v1/users/me", **{"Accept-Language": language})

    assert answer.data["id"] == reader.user["id"]
    assert answer.message != "User profile fetched successfully"
    assert answer.headers["Content-Language"] == language


@pytest.mark.parametrize(
    ("accept_language", "chosen"),
    [
        ("", "en"), ("*", "en"), ("tlh", "en"), ("de", "de"), ("DE", "de"), ("de-AT", "de"), ("hi-IN,en;q=0.5", "hi"),
        ("en;q=0.5, fr;q=0.9", "fr"), ("xx, es;q=0.1", "es"), ("en-GB, de", "en"), ("ar, de;q=0.9", "ar"),
        ("de;q=nonsense", "en"), (";;;,,,", "en"), ("de" * 5000, "en"), ("\xff\xfe", "en"),
    ],
)  # fmt: skip
def test_the_best_language_that_we_have_is_chosen(api: Api, accept_language: str, chosen: str) -> None:
    accept_language = accept_language[:8000]

    answer = api.get("/v1/errors", headers={"Accept-Language": accept_language})

    assert answer.headers["Content-Language"] == chosen


def test_all_wrong_fields_are_named_in_the_reader_s_language(api: Api) -> None:
    german = catalogue(api, "de")

    answer = api.post("/v1/auth/login", {"device_type": "Toaster"}, headers={"Accept-Language": "de"})

    assert answer.error_code == "VAL_001"
    for code in ("VAL_001", "VAL_002", "VAL_003"):
        assert german[code]["message"] in answer.message


def test_the_api_document_is_served(api: Api) -> None:
    answer = api.get("/openapi.json")

    assert (answer.status, answer.headers["Content-Type"]) == (200, "application/json")
    assert answer.json["openapi"].startswith("3.1")
    assert {"/v1/auth/login", "/v1/users/me", "/v1/errors"} <= set(answer.json["paths"])
    assert not [path for path in answer.json["paths"] if path.startswith("/internal")]


def test_the_page_for_developers_is_served_and_loads_nothing_from_elsewhere(api: Api) -> None:
    answer = api.get("/docs")

    assert (answer.status, answer.headers["Content-Type"]) == (200, "text/html; charset=utf-8")
    links = re.findall(r'(?:src|href)="([^"]*)"', answer.body.decode())
    assert links
    for link in links:
        assert re.match(r"/(?!/)", link)
        assert api.get(link).status == 200
    assert "default-src 'self'" in answer.headers["Content-Security-Policy"]


@pytest.mark.parametrize("path", ["/health/live", "/health/ready"])
def test_health_is_enveloped(api: Api, path: str) -> None:
    answer = api.get(path)

    assert (answer.status, answer.data) == (200, {})


def test_the_public_keys_are_a_jwk_set_without_private_halves(api: Api) -> None:
    answer = api.get("/.well-known/jwks.json")

    assert (answer.status, answer.headers["Content-Type"]) == (200, "application/json")
    assert list(answer.json) == ["keys"]
    for key in answer.json["keys"]:
        assert (key["kty"], key["crv"], key["alg"], key["use"]) == ("EC", "P-256", "ES256", "sig")
        assert set(key) == {"kty", "crv", "alg", "use", "kid", "x", "y"}
