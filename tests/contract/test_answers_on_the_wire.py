"""Answers of a service over the wire: what can be used arrives undamaged, and what can not is one kind of failure."""

import gzip

import pytest

from tests.support.http import Answer
from tests.support.provocations import reply_of_users
from tests.support.services import raw_reply
from tests.support.world import World

WRAPPED = b'{"message":"Request successful","data":%b}'
HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
REAL_ANSWERS: list[tuple[bytes, int, bytes]] = [
    (raw_reply("200 OK", b'{"price":1.10,"big":18446744073709551616,"huge":1e400}'), 200,
     WRAPPED % b'{"price":1.10,"big":18446744073709551616,"huge":1e400}'),
    (raw_reply("200 OK", ' {  "name" :\t"Zoë 山田", "a":1, "a":2 } '.encode()), 200,
     WRAPPED % '{  "name" :\t"Zoë 山田", "a":1, "a":2 }'.encode()),
    (raw_reply("200 OK", b'{"name":"\\u00e9\\/\\ud83d\\ude00"}'), 200,
     WRAPPED % b'{"name":"\\u00e9\\/\\ud83d\\ude00"}'),
    (raw_reply("200 OK", b"[1, 2]"), 200, WRAPPED % b"[1, 2]"),
    (raw_reply("200 OK", b"5"), 200, WRAPPED % b'{"value":5}'),
    (raw_reply("200 OK", b"null"), 200, WRAPPED % b"{}"), (raw_reply("200 OK", b""), 200, WRAPPED % b"{}"),
    (b"HTTP/1.1 204 No Content\r\n\r\n", 200, WRAPPED % b"{}"), (raw_reply("201 Created", b"{}"), 201, WRAPPED % b"{}"),
    (raw_reply("202 Accepted", b"[]"), 200, WRAPPED % b"[]"),
    (raw_reply("200 OK", b' {"data": [1.10] ,"message":"Done"}'), 200, b' {"data": [1.10] ,"message":"Done"}'),
    (HEAD + b"Transfer-Encoding: chunked\r\n\r\n2\r\n[1\r\n1\r\n]\r\n0\r\n\r\n",
     200, WRAPPED % b"[1]"),
]  # fmt: skip
UNUSABLE_ANSWERS: dict[str, bytes] = {
    "a body that broke off": raw_reply("200 OK", b'{"a":1}' + b" " * 50)[:-50],
    "a body shorter than announced": HEAD + b"Content-Length: 9\r\n\r\n{}",
    "chunks that broke off": HEAD + b"Transfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n",
    "gzip that nobody asked for": raw_reply("200 OK", gzip.compress(b"{}"), extra="Content-Encoding: gzip\r\n"),
    "an encoding that nobody asked for": raw_reply("200 OK", b"{}", extra="Content-Encoding: br\r\n"),
    "a length that is none": HEAD + b"Content-Length: x\r\n\r\n{}",
    "no HTTP at all": b"SSH-2.0-OpenSSH_9.2\r\n",
    "nothing": b"",
    "half a head": b"HTTP/1.1 200 OK\r\nContent-Ty",
    "HTML": raw_reply("200 OK", b"<h1>Welcome to nginx!</h1>", "text/html"),
    "a redirect": raw_reply("302 Found", b"", extra="Location: http://elsewhere.example/\r\n"),
    "a 304 that nobody asked for": b'HTTP/1.1 304 Not Modified\r\nETag: "7"\r\n\r\n',
    "a crash": raw_reply("500 Internal Server Error", b'{"message":"x","error_code":"SRV_500"}'),
    "a 401 of its own": raw_reply("401 Unauthorized", b'{"error":"invalid_token"}'),
}


def check_http(answer: Answer) -> None:
    answer.check_envelope()
    assert int(answer.headers["Content-Length"]) == len(answer.body)
    assert "Content-Encoding" not in answer.headers


@pytest.mark.parametrize(("reply", "status", "body"), REAL_ANSWERS)
def test_real_answers_arrive_undamaged(world: World, reply: bytes, status: int, body: bytes) -> None:
    answer = reply_of_users(world, reply)

    assert (answer.status, answer.body) == (status, body)
    check_http(answer)


@pytest.mark.parametrize("what", UNUSABLE_ANSWERS)
def test_an_answer_that_can_not_be_used_is_502_and_never_500_or_401(world: World, what: str) -> None:
    answer = reply_of_users(world, UNUSABLE_ANSWERS[what])

    assert (answer.status, answer.error_code) == (502, "GW_502")
    check_http(answer)


def test_not_modified_is_an_answer_to_whoever_asked_whether_something_changed(world: World) -> None:
    world.users_service.reply = b'HTTP/1.1 304 Not Modified\r\nETag: "7"\r\n\r\n'
    token, asked = world.bystander.access_token, {"If-None-Match": '"7"'}
    for method in ("GET", "HEAD"):
        answer = world.broken.send(method, "/v1/users/me", token=token, headers=asked)
        assert (answer.status, answer.body, answer.headers["ETag"]) == (304, b"", '"7"')
        assert answer.headers["Vary"] == "Accept-Language, Accept-Encoding"
    assert world.broken.send("PATCH", "/v1/users/me", {}, token=token, headers=asked).error_code == "GW_502"


def test_an_unchanged_profile_is_not_sent_again_and_a_head_announces_what_a_get_sends(world: World) -> None:
    phone = world.bystander
    whole = phone.get("/v1/users/me")
    head = phone.send("HEAD", "/v1/users/me")
    assert (head.status, head.body) == (200, b"")
    assert int(head.headers["Content-Length"]) == len(whole.body)
    assert head.headers["ETag"] == whole.headers["ETag"]
    again = phone.get("/v1/users/me", **{"If-None-Match": whole.headers["ETag"]})
    assert (again.status, again.body, again.headers["ETag"]) == (304, b"", whole.headers["ETag"])


def test_a_service_that_is_away_for_a_while_says_for_how_long(world: World) -> None:
    answer = reply_of_users(world, raw_reply("503 Slow Down", b"<h1>", "text/html", "Retry-After: 42\r\n"))
    assert (answer.error_code, answer.headers["Retry-After"]) == ("GW_503", "42")
    answer = reply_of_users(world, raw_reply("503 Slow Down", b"<h1>", "text/html", "Retry-After: soon\r\n"))
    assert (answer.error_code, answer.headers["Retry-After"]) == ("GW_503", "1")
