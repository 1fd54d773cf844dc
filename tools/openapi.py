"""Writes the API document: what the services and the gateway say of themselves, seen from outside the gateway."""

import json
import sys
from collections.abc import Iterable
from typing import Any

from flask import Flask

from gateway import pages
from gateway.docs import OPENAPI_FILE
from gateway.routes import ROUTES, Guard, Route
from services.auth import routes as auth_routes
from services.auth import session_routes
from services.users import routes as users_routes
from shared.blueprint import Blueprint, document
from shared.catalogue import CATALOGUE, code_for_field
from shared.envelope import dump
from shared.health import health_pages

Document = dict[str, Any]

_ROOMS: dict[str, tuple[Blueprint, ...]] = {
    "auth": (auth_routes.blueprint, session_routes.blueprint),
    "users": (users_routes.blueprint,),
    "gateway": (pages.blueprint, health_pages({})),
}
_DESCRIPTION = (
    "Every success is `{message, data}`, every failure `{message, error_code}`, whoever answers. "
    "Times are seconds since the epoch. `GET /v1/errors` lists the codes and what to do about each."
)
_BEARER = {"type": "http", "scheme": "bearer", "bearerFormat": "JWT", "description": "The access token"}
# What any request can meet before or behind its service.
_EVERYWHERE = ("REQ_400", "REQ_414", "REQ_429", "REQ_431", "SRV_500")
_BEHIND = ("SRV_503", "GW_502", "GW_503", "GW_504")
_WITH_BODY = ("REQ_413", "REQ_415")


def build() -> Document:
    """The whole document."""
    if strangers := {route.service for route in ROUTES} - set(_ROOMS):
        sys.exit(f"{', '.join(strangers)}: a service with routes needs its blueprints in tools/openapi.py")
    specs = {room: _spec(room, blueprints) for room, blueprints in _ROOMS.items()}
    paths: Document = {}
    for route in ROUTES:
        operation = _operations(specs[route.service], route.path)[route.method.lower()]
        paths.setdefault(route.path, {})[route.method.lower()] = _seen_from_outside(route, operation)
    for path in specs["gateway"]["paths"]:
        for method, operation in _operations(specs["gateway"], path).items():
            paths.setdefault(path, {})[method] = _completed(operation, _EVERYWHERE)
    schemas = {name: schema for spec in specs.values() for name, schema in spec["components"]["schemas"].items()}
    # flask-smorest's own, which nothing here refers to.
    del schemas["PaginationMetadata"]
    for path in paths.values():
        for operation in path.values():
            _add_codes_of_fields(operation, schemas)
    return {
        "openapi": "3.1.0",
        "info": {"title": "Latchkey", "version": "1", "description": _DESCRIPTION, "license": {"name": "MIT"}},
        "servers": [{"url": "/"}],
        "tags": [tag for spec in specs.values() for tag in spec.get("tags", [])],
        "paths": paths,
        "components": {
            "schemas": schemas,
            "securitySchemes": {"access_token": _BEARER},
        },
    }


def main() -> None:
    """Write gateway/openapi.json."""
    OPENAPI_FILE.write_text(json.dumps(build(), indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    print(f"{OPENAPI_FILE.name} describes {len(build()['paths'])} paths")


def _spec(room: str, blueprints: tuple[Blueprint, ...]) -> Document:
    app = Flask(room)
    app.config["ROOM"] = room
    spec: Document = document(app, *blueprints).spec.to_dict()
    plain: Document = json.loads(dump(spec))
    return plain


def _operations(spec: Document, path: str) -> Document:
    """The operations of a path by method, each with the parameters that all of them share."""
    operations = dict(spec["paths"][path])
    shared = operations.pop("parameters", [])
    for operation in operations.values():
        if parameters := [*shared, *operation.get("parameters", [])]:
            operation["parameters"] = parameters
    return operations


def _seen_from_outside(route: Route, operation: Document) -> Document:
    codes = [*_EVERYWHERE, *_BEHIND]
    if route.guard is Guard.SIGNED_IN:
        operation["security"] = [{"access_token": []}]
        codes += ["AUTH_401", "AUTH_003"]
    if "requestBody" in operation:
        codes += _WITH_BODY
    return _completed(operation, codes)


def _completed(operation: Document, codes: Iterable[str]) -> Document:
    """The operation with all failures that it can answer, those of its view first, by status."""
    own = [
        code
        for answer in operation["responses"].values()
        for content in answer.get("content", {}).values()
        for code in content.get("examples", {})
    ]
    failures = {status: answer for status, answer in operation["responses"].items() if status >= "400"}
    for status in failures:
        del operation["responses"][status]
    _add_failures(operation, [*own, *codes])
    return operation


def _add_codes_of_fields(operation: Document, schemas: Document) -> None:
    body = operation.get("requestBody", {}).get("content", {}).get("application/json", {}).get("schema", {})
    fields = list(schemas[body["$ref"].rpartition("/")[2]]["properties"]) if body else []
    named = [*fields, *(parameter["name"] for parameter in operation.get("parameters", []))]
    codes = [code for field in named if (code := code_for_field(field)) != "REQ_400"]
    _add_failures(operation, [*codes, *(["VAL_007"] if fields else [])])


def _add_failures(operation: Document, codes: Iterable[str]) -> None:
    for code in dict.fromkeys(codes):
        entry = CATALOGUE[code]
        answer = operation["responses"].setdefault(str(entry.status), {"description": "", "content": {}})
        content = answer["content"].setdefault(
            "application/json", {"schema": {"$ref": "#/components/schemas/FailureEnvelope"}, "examples": {}}
        )
        example = {"summary": entry.message, "value": {"message": entry.message, "error_code": code}}
        content["examples"].setdefault(code, example)
        answer["description"] = ", ".join(content["examples"])


if __name__ == "__main__":
    main()
