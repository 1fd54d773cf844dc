"""What is inside stays inside, however its address is spelled, and no path is left to interpretation."""

import pytest

from tests.conftest import CLIENT_ID, CLIENT_SECRET
from tests.support.http import Api
from tests.support.raw import ask
from tests.support.services import raw_reply
from tests.support.world import World

# Each is an address of its own that nothing is at.
NOWHERE = [
    "/internal", "/internal/", "/internal?ids=1", "/internal/profiles?ids=1", "/internal/profiles/1", "/internal/token",
    "/internal/token/", "/internal/nope", "/internal/accounts/1/push-targets", "/INTERNAL/token", "/Internal/Profiles",
    "/iNtErNaL/profiles?ids=1", "/%69nternal/profiles", "/%49NTERNAL/profiles", "/%69%6e%74%65%72%6e%61%6c/token",
    "/internal/%74oken", "/internal;/token", "/internal;a=b/profiles", "/internal%3b/token", "/;/internal/token",
    "/internal./token", "/internal.../token", "/internal/token.", "/internal/token;", "/internal/token.json",
    "/internal%20/token", "/%20internal/token", "/internal%09/token", "/internal%0a/token", "/internal%0d%0a/token",
    "/internal%3fids=1", "/internal/token%23", "/internal~/token", "/internal*", "/internal:8000/token",
    "/%ef%bd%89nternal/token", "/%c4%b1nternal/token",
    "/v1/internal/profiles", "/v1/internal", "/users/internal/profiles", "/v1/users/internal/profiles",
    "/auth/internal/token", "/v1/auth/internal/token", "/http:/users:8000/internal",
    "http://x/internal/token", "http://users:8000/internal/profiles?ids=1", "http://127.0.0.1/internal",
    "HTTP://X/Internal/token", "https://x:443/internal/token", "http://x:80/%69nternal/token",
]  # fmt: skip
# What two programs may read as two different paths.
AMBIGUOUS = [
    "//internal/token", "///internal/token", "/internal//token", "/internal/token//", "/v1//internal",
    "/./internal/token", "/internal/./token", "/internal/.", "/internal/..", "/.", "/..", "/../internal/token",
    "/v1/../internal/token", "/v1/users/../../internal/profiles", "/v1/users/me/../../../internal/profiles",
    "/%2e/internal/token", "/v1/%2e%2e/internal/token", "/v1/%2E%2E/internal", "/v1/.%2e/internal", "/v1/%2e./internal",
    "/%2finternal/token", "/internal%2ftoken", "/internal%2Ftoken", "/v1/users/..%2f..%2finternal%2fprofiles",
    "/v1/users/%2e%2e%2f%2e%2e%2finternal", "/internal\\token", "/\\internal/token", "/internal%5ctoken",
    "/internal%5Ctoken", "/v1/users/..\\..\\internal", "/v1/users/..%5c..%5cinternal", "/internal%00", "/%00internal",
    "/internal/token%00.json", "/v1/users/me%00/internal", "/%2569nternal/token", "/%252e%252e/internal",
    "/internal%252ftoken", "/v1/users/..;/internal", "/v1/users/..;", "/v1/users/..;a=b", "/v1/users/..%3b",
    "/v1/users/.;", "/v1/users/..;/..;/internal/profiles", "/..;/internal/token", "/internal/token#",
    "http://x//internal/token", "http://x/v1/../internal/token", "http://x/internal%2ftoken", "http://x/%2e%2e/internal",
    "/v1/users/a%2eb",
    # No UTF-8: a slash, a dot and a letter that are too long, half a character, half a pair, another alphabet.
    "/internal%c0%aftoken", "/v1/users/%c0%ae%c0%ae/internal", "/%c1%a9nternal", "/v1/users/%e0%80%af",
    "/%ff/internal", "/v1/users/%c3", "/v1/users/%ed%a0%80", "/v1/users/caf%e9",
]  # fmt: skip


@pytest.fixture(scope="module")
def proof(auth: Api) -> str:
    """What opens the doors inside, for who is inside."""
    request = {"client_id": CLIENT_ID, "client_secret": CLIENT_SECRET, "audience": "users"}
    return str(auth.post("/internal/token", request).data["access_token"])


@pytest.mark.parametrize("method", ["GET", "POST", "OPTIONS"])
@pytest.mark.parametrize("token", ["a person's", "a service's", "none"])
def test_internal_pages_are_nowhere_in_every_spelling(world: World, proof: str, method: str, token: str) -> None:
    world.users_service.reply = raw_reply("200 OK", b'{"seen": true}')
    world.users_service.requests.clear()
    tokens = {"a person's": [world.bystander.access_token], "a service's": [proof], "none": []}[token]
    headers = [f"Authorization: Bearer {its}" for its in tokens]

    codes = {target: ask(world.broken, method, target, *headers).error_code for target in NOWHERE}

    assert {target: code for target, code in codes.items() if code != "REQ_404"} == {}
    assert world.users_service.requests == []


@pytest.mark.parametrize("method", ["GET", "PATCH"])
def test_a_path_that_can_be_read_in_two_ways_is_refused_and_reaches_nobody(world: World, method: str) -> None:
    world.users_service.reply = raw_reply("200 OK", b'{"seen": true}')
    world.users_service.requests.clear()
    token = f"Authorization: Bearer {world.bystander.access_token}"

    codes = {target: ask(world.broken, method, target, token).error_code for target in AMBIGUOUS}

    assert {target: code for target, code in codes.items() if code != "REQ_400"} == {}
    assert world.users_service.requests == []


@pytest.mark.parametrize(
    ("sent", "arrives"),
    [
        ("/v1/users/me;a=b", "/v1/users/me;a=b"),
        ("/v1/users/%6d%65", "/v1/users/me"),
        ("/v1/users/...", "/v1/users/..."),
        ("/v1/users/a..b", "/v1/users/a..b"),
        ("/v1/users/caf%c3%a9", "/v1/users/caf%C3%A9"),
        ("/v1/users/.hidden", "/v1/users/.hidden"),
        ("/v1/users/%0d%0aHost:x", "/v1/users/%0D%0AHost:x"),
        ("/v1/users/%20HTTP", "/v1/users/%20HTTP"),
        ("/v1/users/%3fid=1?ids=..%2f", "/v1/users/%3Fid=1?ids=..%2f"),
        ("http://evil.example/v1/users/me?a=b", "/v1/users/me?a=b"),
    ],
)
def test_a_plain_path_arrives_in_one_spelling(world: World, sent: str, arrives: str) -> None:
    world.users_service.reply = raw_reply("200 OK", b'{"seen": true}')
    world.users_service.requests.clear()

    answer = ask(world.broken, "GET", sent, f"Authorization: Bearer {world.bystander.access_token}")

    assert answer.status == 200
    [request] = world.users_service.requests
    assert request.startswith(f"GET {arrives} HTTP/1.1\r\n".encode())
    assert b"evil.example" not in request
