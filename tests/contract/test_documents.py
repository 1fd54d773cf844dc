"""Routes = document = gateway table, both ways, and the document says what is on the wire."""

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest
from flask import Flask
from openapi_spec_validator import validate

from gateway.docs import OPENAPI_FILE
from gateway.routes import ROUTES, SERVICES, Guard
from shared.catalogue import CATALOGUE
from shared.guards import refuse_unguarded_views
from tests.support.documented import Document, DocumentedApi
from tests.support.doors import Doors
from tests.support.http import Api
from tests.support.phone import Phone
from tests.support.provocations import PROVOCATIONS
from tests.support.world import World
from tools import openapi

# Pages that are there to read the document, and are not in it.
UNDOCUMENTED = {("GET", "/openapi.json"), ("GET", "/docs"), ("GET", "/docs/{name}")}
# What a service may have besides its part of the route table: for other services, supervisors and key holders.
NOT_FOR_APPS = re.compile(r"/internal/.+|/health/(live|ready)|/\.well-known/jwks\.json|/metrics")
# These come from a gateway of their own, or from no operation.
ELSEWHERE = {"AUTH_403", "REQ_404", "REQ_405", "REQ_429", "SRV_500", "GW_502", "GW_503", "GW_504"}


@pytest.fixture(scope="module")
def document() -> Document:
    return Document(json.loads(OPENAPI_FILE.read_text(encoding="utf-8")))


@pytest.fixture(scope="module")
def documented(world: World, document: Document) -> Iterator[World]:
    """A world whose every answer is compared with the document."""
    with World(world.stack, DocumentedApi(world.stack.gateway_url, document), world.folder) as documented:
        yield documented


def surprises_of(world: World) -> list[str]:
    assert isinstance(world.api, DocumentedApi)
    return world.api.surprises


def examples_of(operation: dict[str, Any]) -> Iterator[tuple[dict[str, Any], Any]]:
    """Every schema of a body of an operation, with an example of it."""
    bodies = [*operation["responses"].values(), *([operation["requestBody"]] if "requestBody" in operation else [])]
    for content in [content for body in bodies for content in body.get("content", {}).values()]:
        if "example" in content:
            yield content["schema"], content["example"]
        for example in content.get("examples", {}).values():
            yield content["schema"], example["value"]


@pytest.mark.parametrize("room", SERVICES)
def test_the_route_table_has_every_public_door_of_a_service_and_no_other(doors: dict[str, Doors], room: str) -> None:
    for_apps = {door for door in doors[room] if not NOT_FOR_APPS.fullmatch(door[1])}

    assert for_apps == {(route.method, route.path) for route in ROUTES if route.service == room}
    assert all(path.startswith("/v1/") for _, path in for_apps)


def test_the_document_has_every_route_and_page_and_no_other(doors: dict[str, Doors], document: Document) -> None:
    on_the_wire = {(route.method, route.path) for route in ROUTES} | (set(doors["gateway"]) - UNDOCUMENTED)

    assert set(doors) == {*SERVICES, "gateway"}
    assert set(document.operations) == on_the_wire
    assert set(doors["gateway"]) >= UNDOCUMENTED


def test_no_page_of_the_gateway_hides_a_route(doors: dict[str, Doors]) -> None:
    assert set(doors["gateway"]) & {(route.method, route.path) for route in ROUTES} == set()


def test_the_committed_document_is_what_the_source_says() -> None:
    assert json.loads(OPENAPI_FILE.read_text(encoding="utf-8")) == openapi.build(), "run `make openapi`"


def test_the_document_that_is_served_is_the_committed_one(api: Api, document: Document) -> None:
    assert api.get("/openapi.json").json == document.text


def test_the_document_is_valid_openapi_3_1(document: Document) -> None:
    assert document.text["openapi"].startswith("3.1.")
    validate(document.text)


def test_every_operation_has_a_name_of_its_own_and_says_what_it_does(document: Document) -> None:
    names = [operation["operationId"] for operation in document.operations.values()]

    assert len(names) == len(set(names))
    for name, operation in zip(names, document.operations.values(), strict=True):
        assert re.fullmatch(r"[a-z]+(_[a-z]+)*", name)
        assert operation["summary"], name
        assert operation["tags"], name


def test_the_document_asks_for_a_token_where_the_gateway_does(document: Document) -> None:
    signed_in = {(route.method, route.path) for route in ROUTES if route.guard is Guard.SIGNED_IN}
    schemes = set(document.text["components"]["securitySchemes"])

    assert {key for key, operation in document.operations.items() if operation.get("security")} == signed_in
    assert "security" not in document.text
    for key in signed_in:
        assert [set(choice) for choice in document.operations[key]["security"]] == [schemes]


def test_what_the_gateway_guards_is_guarded_by_the_service_too(doors: dict[str, Doors]) -> None:
    for route in ROUTES:
        assert doors[route.service][route.method, route.path] == route.guard.value, route.path


def test_no_door_is_without_a_guard(doors: dict[str, Doors]) -> None:
    for room, its in doors.items():
        assert [f"{room} {door}" for door, guard in its.items() if guard is None] == []
        for (_, path), guard in its.items():
            # Whoever asks for a service token proves itself by a secret.
            for_services = path.startswith("/internal/") and path != "/internal/token"
            assert for_services is str(guard).startswith("service:"), path


def test_an_application_with_an_unguarded_view_does_not_start() -> None:
    app = Flask("careless")
    app.add_url_rule("/open", "open_door", lambda: "anybody")

    with pytest.raises(RuntimeError, match="open_door"):
        refuse_unguarded_views(app)


def test_every_example_is_as_its_schema_says(document: Document) -> None:
    count = 0
    for key, operation in document.operations.items():
        for schema, example in examples_of(operation):
            assert document.errors(schema, example) == [], key
            count += 1
    assert count > 100


def test_every_field_s_example_is_as_its_schema_says(document: Document) -> None:
    count = 0
    for name, schema in document.text["components"]["schemas"].items():
        for field, property_schema in schema["properties"].items():
            if "example" in property_schema:
                assert document.errors(property_schema, property_schema["example"]) == [], f"{name}.{field}"
                count += 1
    assert count > 20


def test_every_success_is_shown_by_an_example(document: Document) -> None:
    for (method, path), operation in document.operations.items():
        if path != "/.well-known/jwks.json":
            (success,) = (answer for status, answer in operation["responses"].items() if status.startswith("2"))
            assert set(success["content"]["application/json"]["example"]) == {"message", "data"}, (method, path)


def test_a_listed_code_stands_under_its_own_status_with_its_own_message(document: Document) -> None:
    for key, operation in document.operations.items():
        for status, answer in operation["responses"].items():
            for code, example in answer.get("content", {}).get("application/json", {}).get("examples", {}).items():
                entry = CATALOGUE[code]
                assert (str(entry.status), example["value"]["error_code"]) == (status, code), key
                assert example["value"]["message"] in (entry.message, *entry.variants)


def test_what_any_request_can_meet_is_listed_everywhere(document: Document) -> None:
    behind = {(route.method, route.path): route for route in ROUTES}
    for key, operation in document.operations.items():
        listed = {
            code
            for answer in operation["responses"].values()
            for code in answer.get("content", {}).get("application/json", {}).get("examples", {})
        }
        expected = {"REQ_400", "REQ_414", "REQ_429", "REQ_431", "SRV_500"}
        if key in behind:
            # A service whose database is away says SRV_503.
            expected |= {"GW_502", "GW_503", "GW_504", "SRV_503"}
        if key[1] in ("/.well-known/jwks.json", "/health/ready"):
            expected |= {"SRV_503"}
        if operation.get("security"):
            expected |= {"AUTH_401", "AUTH_003"}
        if "requestBody" in operation:
            expected |= {"REQ_413", "REQ_415", "VAL_007"}
        assert expected - listed == set(), key


def test_a_whole_journey_is_as_documented(documented: World) -> None:
    phone = documented.phone()
    api, other = phone.api, Phone(documented.api, email=phone.email).sign_in()
    session_id = next(session["id"] for session in phone.get("/v1/auth/sessions").data if not session["is_current"])

    me = phone.get("/v1/users/me")
    phone.get("/v1/users/me", **{"If-None-Match": me.headers["ETag"]})
    phone.send("PATCH", "/v1/users/me", {"name": None, "phone": "0123456"})
    phone.get(f"/v1/users/{other.user['id']}")
    phone.send("PUT", "/v1/auth/device", {"notification_device_id": "hv283b"})
    phone.send("DELETE", f"/v1/auth/sessions/{session_id}")
    phone.refresh()
    phone.log_out("all")
    codes = api.get("/v1/errors")
    api.get("/v1/errors", headers={"If-None-Match": codes.headers["ETag"]})
    for path in ("/.well-known/jwks.json", "/health/live", "/health/ready"):
        api.get(path)

    assert surprises_of(documented) == []
    assert isinstance(api, DocumentedApi)
    assert {(method, path) for method, path, status in api.seen if status < 300} == set(api.document.operations)


@pytest.mark.parametrize("code", [code for code in CATALOGUE if code not in ELSEWHERE])
def test_every_code_is_listed_where_it_is_met(documented: World, code: str) -> None:
    surprises_of(documented).clear()

    assert PROVOCATIONS[code](documented).error_code == code

    assert surprises_of(documented) == []
