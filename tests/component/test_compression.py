"""Large answers are compressed as the client likes it; tokens never, and entity tags go on working."""

import gzip
import json
from collections.abc import Callable, Iterator
from pathlib import Path

import brotli
import pytest

from tests.support.http import Answer, Api
from tests.support.phone import Phone
from tests.support.raw import ask
from tests.support.services import BrokenService, gateway_process, raw_reply
from tools.stack import Stack

PEOPLE = json.dumps({"people": [{"id": number, "name": "John Doe"} for number in range(500)]}).encode()
DECODERS: dict[str | None, Callable[[bytes], bytes]] = {"br": brotli.decompress, "gzip": gzip.decompress, None: bytes}


@pytest.fixture(scope="module")
def service() -> Iterator[BrokenService]:
    behind = BrokenService()
    yield behind
    behind.close()


@pytest.fixture(scope="module")
def gateway(stack: Stack, service: BrokenService, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Api]:
    environment = {**stack.environment("gateway"), "USERS_URL": service.url}
    with gateway_process(environment, tmp_path_factory.mktemp("gzip") / "gateway.log") as api:
        yield api


@pytest.fixture
def large(service: BrokenService) -> None:
    service.reply = raw_reply("200 OK", PEOPLE, extra='ETag: "7"\r\nVary: Accept-Language\r\n')


def read_me(api: Api, phone: Phone, accept: str | None, *lines: str, method: str = "GET") -> Answer:
    """The answer as its bytes are on the wire."""
    encodings = [] if accept is None else [f"Accept-Encoding: {accept}"]
    return ask(api, method, "/v1/users/me", f"Authorization: Bearer {phone.access_token}", *encodings, *lines)


@pytest.mark.parametrize(
    ("accept", "encoding"),
    [
        ("gzip", "gzip"),
        ("br", "br"),
        ("gzip, deflate, br, zstd", "br"),
        ("br;q=0.5, gzip", "gzip"),
        ("br;q=0, gzip;q=0.1", "gzip"),
        ("*", "br"),
        ("*;q=0.5, br;q=0", "gzip"),
        ("GZIP", "gzip"),
        ("identity, gzip;q=0.5", None),
        ("gzip;q=0", None),
        ("identity", None),
        ("deflate, zstd", None),
        ("", None),
        ("gzip;q=nonsense, ,;;", None),
        (None, None),
    ],
)
@pytest.mark.usefixtures("large")
def test_the_encoding_is_the_one_that_the_client_likes_best(
    gateway: Api, phone: Phone, accept: str | None, encoding: str | None
) -> None:
    answer = read_me(gateway, phone, accept)
    assert answer.headers.get("Content-Encoding") == encoding
    assert json.loads(DECODERS[encoding](answer.body))["data"] == json.loads(PEOPLE)
    assert int(answer.headers["Content-Length"]) == len(answer.body)
    assert {name.strip() for name in answer.headers["Vary"].split(",")} >= {"Accept-Encoding", "Accept-Language"}
    assert len(answer.body) < len(PEOPLE) / 3 or encoding is None


@pytest.mark.parametrize("accept", ["br", "gzip", "identity"])
@pytest.mark.usefixtures("large")
def test_head_says_the_length_and_the_tag_of_get(gateway: Api, phone: Phone, accept: str) -> None:
    get, head = read_me(gateway, phone, accept), read_me(gateway, phone, accept, method="HEAD")
    assert head.body == b""
    for name in ("Content-Length", "Content-Encoding", "ETag", "Vary", "Content-Type"):
        assert head.headers.get(name) == get.headers.get(name)


@pytest.mark.usefixtures("large")
def test_each_encoding_has_a_tag_of_its_own_which_the_service_knows_again(
    gateway: Api, phone: Phone, service: BrokenService
) -> None:
    tags = {accept: read_me(gateway, phone, accept).headers["ETag"] for accept in ("br", "gzip", "identity")}
    assert tags == {"br": '"7-br"', "gzip": '"7-gzip"', "identity": '"7"'}
    service.reply = b'HTTP/1.1 304 Not Modified\r\nETag: "7"\r\n\r\n'
    for accept, tag in tags.items():
        answer = read_me(gateway, phone, accept, f"If-None-Match: {tag}")
        assert (answer.status, answer.body, answer.headers["ETag"]) == (304, b"", tag)
        # Of a body that it has not, it tells no length (RFC 9110 section 8.6).
        assert not {"Content-Length", "Content-Type"} & set(answer.headers)
        assert "Accept-Encoding" in answer.headers["Vary"]
        assert b'\r\nif-none-match: "7"\r\n' in service.requests[-1].lower()


def test_a_change_for_a_compressed_state_is_made_and_an_older_one_refused(phone: Phone) -> None:
    tag = phone.get("/v1/users/me").headers["ETag"]
    marked = f'{tag[:-1]}-gzip"'
    assert phone.send("PATCH", "/v1/users/me", {"name": "Jane"}, **{"If-Match": marked}).status == 200
    assert phone.send("PATCH", "/v1/users/me", {"name": "Joe"}, **{"If-Match": marked}).error_code == "USER_409"


def test_a_large_failure_is_compressed_too(gateway: Api, phone: Phone, service: BrokenService) -> None:
    failure = json.dumps({"message": "No such user " * 200, "error_code": "USER_404"}).encode()
    service.reply = raw_reply("404 Not Found", failure)
    answer = read_me(gateway, phone, "gzip")
    assert (answer.status, json.loads(gzip.decompress(answer.body))) == (404, json.loads(failure))


@pytest.mark.parametrize(("size", "encoding"), [(1024, None), (1025, "br")])
def test_what_has_no_more_than_a_kilobyte_stays_as_it_is(
    gateway: Api, phone: Phone, service: BrokenService, size: int, encoding: str | None
) -> None:
    frame = b'{"message":"x","data":{"x":"%s"}}'
    body = frame % (b"x" * (size - len(frame) + 2))
    service.reply = raw_reply("200 OK", body)
    answer = read_me(gateway, phone, "gzip, br")
    assert answer.headers.get("Content-Encoding") == encoding
    assert DECODERS[encoding](answer.body) == body


def test_an_answer_of_megabytes_arrives_whole(gateway: Api, phone: Phone, service: BrokenService) -> None:
    text = json.dumps(list(range(400_000)))
    service.reply = raw_reply("200 OK", text.encode())
    assert json.loads(gzip.decompress(read_me(gateway, phone, "gzip").body))["data"] == json.loads(text)


def test_what_holds_tokens_is_never_compressed(stack: Stack, auth: Api, log_path: Path) -> None:
    service = BrokenService()
    keys = auth.get("/.well-known/jwks.json").json["keys"]
    # What every page of this service answers: its keys, and as much as many tokens.
    service.reply = raw_reply("200 OK", json.dumps({"keys": keys, "tokens": "x" * 5000}).encode())
    with gateway_process(stack.environment("gateway"), log_path, AUTH_URL=service.url) as gateway:
        for path in ("/v1/auth/signup", "/v1/auth/login", "/v1/auth/refresh", "/v1/auth/logout"):
            answer = ask(gateway, "POST", path, "Accept-Encoding: gzip, br", "Content-Length: 0")
            assert answer.headers.get("Content-Encoding") is None
            assert answer.data["tokens"] == "x" * 5000
    service.close()


def test_a_part_of_a_file_is_counted_in_its_own_bytes(api: Api) -> None:
    path = "/docs/swagger-ui.css"
    part = ask(api, "GET", path, "Range: bytes=100-4099", "Accept-Encoding: gzip, br")
    assert (part.status, part.headers.get("Content-Encoding")) == (206, None)
    assert part.headers["Content-Range"].startswith("bytes 100-4099/")
    assert part.body == ask(api, "GET", path).body[100:4100]


@pytest.mark.parametrize("path", ["/openapi.json", "/v1/errors", "/docs/swagger-ui-bundle.js", "/docs/swagger-ui.css"])
def test_the_gateway_s_own_pages_are_compressed_and_keep_their_tags(api: Api, path: str) -> None:
    plain = ask(api, "GET", path)
    for accept in ("gzip", "br"):
        answer = ask(api, "GET", path, f"Accept-Encoding: {accept}")
        assert answer.headers["Content-Encoding"] == accept
        assert DECODERS[accept](answer.body) == plain.body
        assert ask(api, "HEAD", path, f"Accept-Encoding: {accept}").headers["Content-Length"] == str(len(answer.body))
        assert int(answer.headers["Content-Length"]) == len(answer.body)
        assert "Accept-Encoding" in answer.headers["Vary"]
        if tag := answer.headers.get("ETag"):
            assert tag.endswith(f'-{accept}"')
            again = ask(api, "GET", path, f"Accept-Encoding: {accept}", f"If-None-Match: {tag}")
            assert (again.status, again.headers["ETag"]) == (304, tag)
            assert "Content-Length" not in again.headers
