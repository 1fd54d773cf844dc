"""Finds mistakes in the route table that nobody would notice before an app does."""

import re
from collections.abc import Iterable, Iterator

from gateway.matching import PARAMETER
from gateway.routes import Guard, Route

_METHODS = frozenset({"GET", "POST", "PUT", "PATCH", "DELETE"})
_SERVICE = re.compile(r"[a-z][a-z0-9_]*")
_SEGMENT = re.compile(r"[A-Za-z0-9._~-]+|\{[a-z_]+\}")
_DOTS = frozenset({".", ".."})
# A route there would hide a page of the gateway, or show what is not for apps.
_OWN = ("/v1/errors", "/openapi.json", "/docs", "/health", "/.well-known", "/metrics")


def problems_of(routes: Iterable[Route]) -> list[str]:
    """What is wrong with a route table, each beginning with the route that it is about."""
    known: dict[tuple[str, str], Route] = {}
    found = []
    for route in routes:
        shape = route.method, PARAMETER.sub("{}", route.path)
        if twin := known.get(shape):
            found.append(f"{_name(route)} is there twice, also as {twin.path}")
        known.setdefault(shape, route)
        found += [f"{_name(route)} {problem}" for problem in _problems(route)]
    return found


def _problems(route: Route) -> Iterator[str]:
    segments = route.path.split("/")[1:]
    if not route.path.startswith("/") or not all(map(_SEGMENT.fullmatch, segments)) or not _DOTS.isdisjoint(segments):
        yield "must be a path of plain segments and {parameters}"
    parameters = PARAMETER.findall(route.path)
    if len(set(parameters)) < len(parameters):
        yield "names a parameter twice"
    if segments[:1] == ["internal"]:
        yield "shows what is for services only"
    if any(route.path == own or route.path.startswith(f"{own}/") for own in _OWN):
        yield "hides a page of the gateway"
    if route.method not in _METHODS:
        yield f"must have one of the methods {', '.join(sorted(_METHODS))}"
    if not _SERVICE.fullmatch(route.service):
        yield f"names a service that can't be a variable's name: {route.service!r}"
    if not isinstance(route.guard, Guard):
        yield "must say who may call it: a Guard"
    if route.seconds is not None and not 0 < route.seconds <= 300:
        yield "must have from 0 to 300 seconds"
    if not 0 < route.share <= 1:
        yield "must have a share above 0 and up to 1"


def _name(route: Route) -> str:
    return f"{route.method} {route.path}"
