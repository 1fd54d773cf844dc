"""What strangers write into headers about who and where they are changes nothing that a service gets to see."""

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.support.http import Api
from tests.support.phone import Phone
from tests.support.raw import ask
from tests.support.services import BrokenService, gateway_process, raw_reply
from tests.support.world import World

# What services and proxies of all kinds have believed about a caller.
FORGED = (
    "X-User-Id", "X-User", "X-Account-Id", "X-Session-Id", "X-Auth-Request-User", "X-Authenticated-User",
    "X-Remote-User", "Remote-User", "Remote-Addr", "X-Webauth-User", "X-Goog-Authenticated-User-Email",
    "X-Ms-Client-Principal", "X-Amzn-Oidc-Identity", "X-Consumer-Id", "X-Jwt-Claims", "X-Email", "X-Groups", "X-Roles",
    "X-Tenant-Id", "Impersonate-User", "X-Impersonate-User", "Client-Cert", "X-Client-Cert", "Ssl-Client-Verify",
    "X-Ssl-Client-Dn", "X-Internal-Token", "X-Internal", "X-Service-Name", "X-Latchkey-User",
    "X-Forwarded", "X-Forwarded-For", "X-Forwarded-Host", "X-Forwarded-Proto", "X-Forwarded-Prefix",
    "X-Forwarded-User", "X-Forward-For", "Forwarded", "Forwarded-For", "Via", "X-Real-Ip", "X-Client-Ip", "Client-Ip",
    "True-Client-Ip", "Cf-Connecting-Ip", "Fastly-Client-Ip", "X-Cluster-Client-Ip", "X-Remote-Addr", "X-Proxyuser-Ip",
    "Wl-Proxy-Client-Ip", "X-Envoy-External-Address", "X-Azure-Clientip", "X-Appengine-User-Ip", "X-Original-Url",
    "X-Original-Forwarded-For", "X-Rewrite-Url", "X-Host", "X-Scheme", "X-Script-Name", "Script-Name",
    "X-Http-Method-Override", "X-Method-Override", "X-Http-Host-Override", "X-Accel-Mapping", "X-Sendfile-Type",
    "X-Request-Start", "X-Deadline", "X-Deadline-Ms", "Proxy", "Traceparent", "Tracestate",
)  # fmt: skip
# RFC 9110 section 7.6.1, and what is between us and the one in front of us besides.
HOP_BY_HOP = (
    "Keep-Alive", "Proxy-Connection", "Proxy-Authorization", "Proxy-Authenticate", "Te", "Trailer", "Upgrade",
    "Http2-Settings", "Accept-Encoding", "Range", "If-Range",
)  # fmt: skip
SPELLINGS: dict[str, Callable[[str], list[str]]] = {
    "as it is": lambda name: [name],
    "in small letters": lambda name: [name.lower()],
    "in capitals": lambda name: [name.upper()],
    "in mixed letters": lambda name: ["".join(c.upper() if i % 2 else c.lower() for i, c in enumerate(name))],
    "with underscores": lambda name: [name.replace("-", "_")],
    "with one underscore": lambda name: [name.replace("-", "_", 1)],
    "with dots": lambda name: [name.replace("-", ".")],
    "with two hyphens": lambda name: [name.replace("-", "--")],
    "between hyphens": lambda name: [f"-{name}", f"{name}-"],
    "twice": lambda name: [name, name],
    "twice, in two ways": lambda name: [name.replace("-", "_"), name],
}
# Everything that a service is told about a request with a token and no body.
EXPECTED = {
    "host", "authorization", "accept-encoding", "x-forwarded-for", "x-request-id", "traceparent", "x-deadline-ms",
}  # fmt: skip
AT_ONCE = 25


class Recorded(NamedTuple):
    """A gateway, and the service behind it that writes down what arrives."""

    gateway: Api
    service: BrokenService
    phone: Phone

    def seen(self, *lines: str) -> list[tuple[str, str]]:
        """The headers that the service gets, with names in small letters, for a request with `lines` as its own."""
        self.service.requests.clear()
        answer = ask(self.gateway, "GET", "/v1/users/me", f"Authorization: Bearer {self.phone.access_token}", *lines)
        assert answer.status == 200, answer.body
        [request] = self.service.requests
        head, _, body = request.decode("latin-1").partition("\r\n\r\n")
        assert body == ""
        fields = [line.split(": ", 1) for line in head.split("\r\n")[1:]]
        return [(name.lower(), value) for name, value in fields]


@pytest.fixture(scope="module")
def recorded(world: World) -> Recorded:
    world.users_service.reply = raw_reply("200 OK", b'{"seen": true}')
    return Recorded(world.broken, world.users_service, world.bystander)


@pytest.fixture
def behind_a_proxy(world: World, recorded: Recorded, log_path: Path) -> Iterator[Recorded]:
    environment = {**world.stack.environment("gateway"), "USERS_URL": recorded.service.url}
    with gateway_process(environment, log_path, TRUSTED_HOPS="1") as gateway:
        yield recorded._replace(gateway=gateway)


def value_of(headers: list[tuple[str, str]], name: str) -> str:
    [value] = [value for field, value in headers if field == name]
    return value


def forged_lines(names: tuple[str, ...], spelling: str) -> list[str]:
    return [f"{spelled}: forged-{name}" for name in names for spelled in SPELLINGS[spelling](name)]


@pytest.mark.parametrize("spelling", SPELLINGS)
def test_no_header_about_the_caller_or_the_connection_crosses_in_any_spelling(
    recorded: Recorded, spelling: str
) -> None:
    names = FORGED + HOP_BY_HOP
    for start in range(0, len(names), AT_ONCE):
        headers = recorded.seen(*forged_lines(names[start : start + AT_ONCE], spelling))

        assert [(name, value) for name, value in headers if "forged" in value] == []
        assert sorted(name for name, _ in headers) == sorted(EXPECTED)


@pytest.mark.parametrize("spelling", ["as it is", "in small letters", "with underscores"])
def test_naming_a_header_in_connection_takes_away_the_strangers_and_not_ours(recorded: Recorded, spelling: str) -> None:
    ours = ("X-Forwarded-For", "X-Request-Id", "Traceparent", "X-Deadline-Ms", "Host", "Authorization")
    named = [spelled for name in (*ours, "X-User-Id", "X-App-Colour") for spelled in SPELLINGS[spelling](name)]

    headers = recorded.seen(
        f"Connection: keep-alive , {', '.join(named)}", "connection: x-app-size,", "X-User-Id: forged-1",
        "X-App-Colour: named", "X-App-Size: named", "X-App-Version: 7",
    )  # fmt: skip

    assert sorted(name for name, _ in headers) == sorted(EXPECTED | {"x-app-version"})
    assert value_of(headers, "x-forwarded-for") == "127.0.0.1"
    assert value_of(headers, "authorization") == f"Bearer {recorded.phone.access_token}"


def test_who_waits_for_a_go_ahead_gets_it_from_the_gateway(recorded: Recorded) -> None:
    assert {name for name, _ in recorded.seen("Expect: 100-continue")} == EXPECTED


def test_a_header_of_the_app_crosses_and_one_with_an_underscore_is_no_second_spelling_of_it(recorded: Recorded) -> None:
    headers = recorded.seen("x-app-VERSION: 7", "X_App_Version: forged", "Idempotency_Key: forged", "If_Match: forged")

    assert value_of(headers, "x-app-version") == "7"
    assert {name for name, _ in headers} == EXPECTED | {"x-app-version"}


def test_without_trusted_proxies_a_client_is_where_its_connection_comes_from(recorded: Recorded) -> None:
    headers = recorded.seen("X-Forwarded-For: 203.0.113.1", "X-Forwarded-For: 198.51.100.2", "Forwarded: for=192.0.2.9")

    assert value_of(headers, "x-forwarded-for") == "127.0.0.1"


def test_behind_one_trusted_proxy_a_service_hears_only_the_address_that_it_has_added(behind_a_proxy: Recorded) -> None:
    for lines in (
        ["X-Forwarded-For: 203.0.113.1, 198.51.100.2"],
        ["X-Forwarded-For: 203.0.113.1", "X-Forwarded-For: 198.51.100.2"],
        ["X-Forwarded-For: 198.51.100.2", "X_Forwarded_For: 203.0.113.1", "X-Real-Ip: 203.0.113.1"],
        ["X-Forwarded-For: 198.51.100.2", "Connection: X-Forwarded-For"],
    ):
        assert value_of(behind_a_proxy.seen(*lines), "x-forwarded-for") == "198.51.100.2"
    assert value_of(behind_a_proxy.seen(), "x-forwarded-for") == "127.0.0.1"


def test_the_host_that_a_service_sees_is_its_own(recorded: Recorded) -> None:
    headers = recorded.seen("X-Forwarded-Host: forged.example", "X-Host: forged.example")

    assert f"http://{value_of(headers, 'host')}" == recorded.service.url


@pytest.mark.parametrize("forged", ["1", "0", "999999", "-5"])
def test_how_long_a_service_may_take_is_not_for_the_world_to_say(recorded: Recorded, forged: str) -> None:
    # This gateway gives a second.
    assert 100 < int(value_of(recorded.seen(f"X-Deadline-Ms: {forged}"), "x-deadline-ms")) <= 1000


def test_two_request_ids_are_none_and_one_crosses_once(recorded: Recorded) -> None:
    assert value_of(recorded.seen("X-Request-Id: mine-4711"), "x-request-id") == "mine-4711"

    made = value_of(recorded.seen("X-Request-Id: mine-4711", "x-request-id: mine-4712"), "x-request-id")

    assert re.fullmatch(r"[0-9a-f]{32}", made)


def test_what_follows_a_chunked_body_is_no_header(recorded: Recorded) -> None:
    recorded.service.requests.clear()
    chunks = b"2\r\n{}\r\n0\r\nX-User-Id: forged\r\nX-App-Version: forged\r\n\r\n"
    lines = ("Content-Type: application/json", "Transfer-Encoding: chunked", "Trailer: X-User-Id")

    token = f"Authorization: Bearer {recorded.phone.access_token}"
    assert ask(recorded.gateway, "PATCH", "/v1/users/me", token, *lines, body=chunks).status == 200

    [request] = recorded.service.requests
    head, _, body = request.partition(b"\r\n\r\n")
    assert b"forged" not in request
    assert b"\r\nContent-Length: 2" in head
    assert b"transfer-encoding" not in head.lower()
    assert body == b"{}"
