"""Whoever reaches a service directly, past the gateway, needs the same proof at every door that is not open to all."""

import re

import pytest

from tests.conftest import CLIENT_ID, CLIENT_SECRET
from tests.support.doors import Doors
from tests.support.http import Api
from tests.support.phone import Phone

HEALTH = {("GET", "/health/live"), ("GET", "/health/ready")}
# Whoever opens a further door to all has to write it here.
OPEN = {
    "auth": {
        *HEALTH,
        ("GET", "/.well-known/jwks.json"),
        ("POST", "/v1/auth/signup"),
        # These ask for a password, a refresh token, either kind of token, and a service's secret.
        ("POST", "/v1/auth/login"),
        ("POST", "/v1/auth/refresh"),
        ("POST", "/v1/auth/logout"),
        ("POST", "/internal/token"),
    },
    "users": HEALTH,
}
IMPOSTORS = {
    "X-User-Id": "1", "X-Account-Id": "1", "X-Authenticated-User": "1", "Remote-User": "1", "X-Internal": "true",
    "X-Forwarded-For": "127.0.0.1", "X-Forwarded-User": "1", "X-Service-Name": "auth", "X-Forwarded-Host": "auth",
    "X-Original-Url": "/health/live", "X-Http-Method-Override": "GET", "Host": "localhost",
}  # fmt: skip
PEOPLE, SERVICES = "signed_in", "service"
rooms = pytest.mark.parametrize("room", sorted(OPEN))


@pytest.fixture(scope="module")
def visitor(api: Api) -> Phone:
    return Phone(api).sign_up()


def service_token(auth: Api, audience: str) -> str:
    request = {"client_id": CLIENT_ID, "client_secret": CLIENT_SECRET, "audience": audience}
    return str(auth.post("/internal/token", request).data["access_token"])


def doors_for(doors: Doors, room: str, guard: str = "") -> list[tuple[str, str]]:
    """The closed doors of a room, or those of one kind of guard."""
    return sorted(
        (method, path)
        for (method, path), its in doors.items()
        if (method, path) not in OPEN[room] and str(its).startswith(guard)
    )


def refuse(service: Api, which: list[tuple[str, str]], **headers: str) -> None:
    """Knock at these doors and expect to be told that there is no proof."""
    assert which
    for method, path in which:
        target = re.sub(r"\{\w+\}", "1", path)

        answer = service.send(method, target, {} if method in ("POST", "PUT", "PATCH") else None, headers=headers)

        assert (answer.status, answer.error_code) == (401, "AUTH_401"), f"{method} {path}"
        assert answer.headers["WWW-Authenticate"].startswith("Bearer"), f"{method} {path}"
        if method == "GET":
            assert service.send("HEAD", target, headers=headers).status == 401, f"HEAD {path}"


@rooms
def test_only_these_doors_are_open_to_all(doors: dict[str, Doors], room: str) -> None:
    assert {door for door, guard in doors[room].items() if guard == "public"} == OPEN[room]


@rooms
@pytest.mark.parametrize(
    "headers",
    [{}, IMPOSTORS, {"Authorization": "Bearer e30.e30.e30"}, {"Authorization": "Basic am9objpwYXNzd29yZA=="},
     {"Authorization": "Bearer"}, {"Authorization": ""}],
    ids=["nothing", "headers", "a forged token", "a password", "an empty token", "an empty header"],
)  # fmt: skip
def test_what_proves_nothing_opens_no_door(
    request: pytest.FixtureRequest, doors: dict[str, Doors], room: str, headers: dict[str, str]
) -> None:
    refuse(request.getfixturevalue(room), doors_for(doors[room], room), **headers)


@rooms
def test_a_token_in_any_other_place_opens_no_door(
    request: pytest.FixtureRequest, doors: dict[str, Doors], room: str, visitor: Phone
) -> None:
    token = visitor.access_token
    elsewhere = {"Cookie": f"access_token_cookie={token}; access_token={token}", "X-Access-Token": token, "Jwt": token}
    refuse(request.getfixturevalue(room), doors_for(doors[room], room), **elsewhere)


@rooms
def test_a_persons_token_opens_no_door_of_services_and_a_services_none_of_people(
    request: pytest.FixtureRequest, auth: Api, doors: dict[str, Doors], room: str, visitor: Phone
) -> None:
    service = request.getfixturevalue(room)
    refuse(service, doors_for(doors[room], room, SERVICES), Authorization=f"Bearer {visitor.access_token}")
    for audience in OPEN:
        theirs = {"Authorization": f"Bearer {service_token(auth, audience)}"}
        refuse(service, doors_for(doors[room], room, PEOPLE), **theirs)
        if audience != room:
            refuse(service, doors_for(doors[room], room, SERVICES), **theirs)


def test_signing_out_needs_a_token_of_either_kind(auth: Api) -> None:
    assert auth.post("/v1/auth/logout", {}, headers=IMPOSTORS).error_code == "AUTH_401"
