"""The headers of a service's answer reach the app where they are right, and never name an inner address."""

import time
from email.utils import formatdate

import pytest
from geventhttpclient.header import Headers

from gateway.answers import Answer, normalise
from gateway.errors import BadAnswer, ServiceAway
from gateway.exchange import UpstreamAnswer
from gateway.returning import retry_after, returned

OWN_FAILURE = b'{"message":"x","error_code":"%s"}'
OWN_SUCCESS = b'{"message":"x","data":{}}'


def seen(status: int, body: bytes, **headers: str) -> Headers:
    """The headers that a German app gets for those of the service."""
    sent = {name.replace("_", "-").lower(): value for name, value in headers.items()}
    answer = Answer(304, b"", own=True) if status == 304 else normalise(status, "application/json", body, "de")
    return Headers(returned(UpstreamAnswer(status, sent, body), answer, "de", "http://users:8000"))


def test_a_validator_of_a_success_is_passed_on_as_it_is() -> None:
    for tag in ('"7"', 'W/"7"', '""'):
        assert seen(200, OWN_SUCCESS, ETag=tag)["ETag"] == tag
        assert seen(304, b"", ETag=tag)["ETag"] == tag
    modified = "Mon, 23 Nov 2026 09:00:00 GMT"
    assert seen(200, b"[1]", Last_Modified=modified)["Last-Modified"] == modified


def test_a_failure_has_no_validator_and_one_in_our_words_is_not_cached_as_theirs() -> None:
    replaced = seen(404, b"<h1>", ETag='"7"', Last_Modified="Mon, 23 Nov 2026 09:00:00 GMT", Cache_Control="max-age=60")
    assert not {"ETag", "Last-Modified", "Cache-Control"} & set(dict(replaced.items()))
    own = seen(404, OWN_FAILURE % b"USER_404", ETag='"7"', Cache_Control="no-store")
    assert own["Cache-Control"] == "no-store"
    assert "ETag" not in own


def test_the_language_is_that_of_the_sentence() -> None:
    assert seen(200, OWN_SUCCESS, Content_Language="fr")["Content-Language"] == "fr"
    assert seen(200, b'{"in": "French"}', Content_Language="fr")["Content-Language"] == "de"
    assert seen(404, b"<h1>", Content_Language="fr")["Content-Language"] == "de"


@pytest.mark.parametrize(
    ("theirs", "ours"),
    [("", "Accept-Language"), ("Accept-Language", "Accept-Language"), ("*", "*"), ("Origin, *", "*"),
     ("accept-language, Origin", "accept-language, Origin"), ("Origin", "Accept-Language, Origin"),
     ("nonsense users.internal:8000", "Accept-Language")],
)  # fmt: skip
def test_every_envelope_varies_with_the_language(theirs: str, ours: str) -> None:
    assert seen(200, OWN_SUCCESS, Vary=theirs)["Vary"] == ours


@pytest.mark.parametrize(
    ("name", "values"),
    [("ETag", ['7', '"a"b"', '"é"', 'W/7', '"7", "8"', f'"{"x" * 201}"', '"7"\r\nX-A: 1']),
     ("Cache-Control", ["max-age=1\n", 'private="http://10.0.0.1"', "é", "a" * 201]),
     ("Content-Language", ["http://10.0.0.1", "de\r\nX-A: 1", "de de", ", ".join(["de"] * 11)]),
     ("Last-Modified", ["yesterday", "Mon, 23 Nov 2026 09:00:00 +0100", "Mon, 23 Nov 2026 09:00:00 GMT\n"])],
)  # fmt: skip
def test_what_reads_like_nothing_that_this_header_can_say_is_left_out(name: str, values: list[str]) -> None:
    usual = dict(seen(200, OWN_SUCCESS).items())
    for value in values:
        assert dict(seen(200, OWN_SUCCESS, **{name: value}).items()) == usual, value


def test_nobody_is_told_to_come_back_for_what_he_got() -> None:
    assert "Retry-After" not in seen(200, OWN_SUCCESS, Retry_After="7")


@pytest.mark.parametrize("value", ["0", "7", "007", "86400"])
def test_the_seconds_of_retry_after_are_passed_on(value: str) -> None:
    assert seen(429, b"slow down", Retry_After=value)["Retry-After"] == value
    assert seen(503, OWN_FAILURE % b"SRV_503", Retry_After=value)["Retry-After"] == value


@pytest.mark.parametrize(
    "value", ["-1", "1.5", "soon", "7, 8", "1234567", "ask users.internal", "Mon, 99 Nov 2026 09:00:00 GMT", "\xb2"]
)
def test_a_retry_after_that_makes_no_sense_is_replaced(value: str) -> None:
    assert retry_after(value) is None
    assert seen(503, OWN_FAILURE % b"SRV_503", Retry_After=value)["Retry-After"] == "1"
    assert "Retry-After" not in seen(403, b"no", Retry_After=value)


def test_a_date_to_retry_at_becomes_seconds() -> None:
    assert 98 <= int(retry_after(formatdate(time.time() + 100, usegmt=True)) or 0) <= 101
    assert retry_after("Mon, 23 Nov 2020 09:00:00 GMT") == "0"


@pytest.mark.parametrize("allow", ["GET", "GET, HEAD", "GET,HEAD,PATCH"])
def test_the_methods_that_a_service_allows_are_passed_on(allow: str) -> None:
    assert seen(405, b"<h1>", Allow=allow)["Allow"] == allow
    assert "Allow" not in seen(404, b"<h1>", Allow=allow)
    assert "Allow" not in seen(405, b"<h1>", Allow="GET http://users.internal")


def test_a_refused_token_gets_the_services_challenge_without_what_could_name_a_machine() -> None:
    own = OWN_FAILURE % b"AUTH_401"
    assert seen(401, own, WWW_Authenticate='Bearer error="invalid_token"')["WWW-Authenticate"] == (
        'Bearer error="invalid_token"'
    )
    for theirs in ("", "Bearer", 'Bearer realm="http://10.1.2.3"', 'Basic realm="users-7f9c"', "Negotiate"):
        assert seen(401, own, WWW_Authenticate=theirs)["WWW-Authenticate"] == "Bearer"
    assert "WWW-Authenticate" not in seen(200, OWN_SUCCESS, WWW_Authenticate="Bearer")


@pytest.mark.parametrize(
    ("theirs", "ours"),
    [("/v1/users/7", "/v1/users/7"), ("/v1/x?a=1&b=2#c", "/v1/x?a=1&b=2#c"),
     ("http://users:8000/v1/users/7?a=1", "/v1/users/7?a=1"), ("http://users:8000", None), ("users/7", None),
     ("http://users-7f9c:8000/v1/users/7", None), ("http://users:8001/v1/users/7", None),
     ("https://users:8000/v1/users/7", None), ("http://users:8000//evil.example/", None), ("//users:8000/7", None),
     ("/\\evil.example/", None), ("http://[users/7", None), ("http://me@users:8000/7", None), ("/a b", None),
     ("/" + "x" * 3000, None), ("javascript:alert(1)", None)],
)  # fmt: skip
def test_where_a_new_thing_is_becomes_a_path_at_the_gateway_or_nothing(theirs: str, ours: str | None) -> None:
    assert seen(201, b"{}", Location=theirs).get("Location") == ours
    assert "Location" not in seen(200, b"{}", Location=theirs)


@pytest.mark.parametrize(
    "name", ["Server", "Via", "X-Powered-By", "X-Debug", "Set-Cookie", "Link", "Refresh", "Content-Location", "Warning",
             "Connection", "Transfer-Encoding", "X-Request-Id", "Access-Control-Allow-Origin", "Content-Type"]
)  # fmt: skip
def test_what_the_gateway_does_not_know_stays_inside(name: str) -> None:
    assert set(dict(seen(200, OWN_SUCCESS, **{name: "x"}).items())) == {"Content-Language", "Vary"}


def test_a_redirect_or_an_unusable_answer_has_no_headers_at_all() -> None:
    for status, fault in ((302, BadAnswer), (500, BadAnswer), (503, ServiceAway)):
        with pytest.raises(fault):
            seen(status, b"", Location="http://users:8000/")
