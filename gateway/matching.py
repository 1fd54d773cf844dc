"""Finds the route of a request."""

import re
from collections.abc import Iterable

from gateway.routes import Route

PARAMETER = re.compile(r"\{[a-z_]+\}")


class RouteTable:
    """Looks routes up by path and method; a fixed path goes before one with a parameter, HEAD where GET does."""

    def __init__(self, routes: Iterable[Route]) -> None:
        self._fixed: dict[str, dict[str, Route]] = {}
        self._patterns: dict[str, tuple[re.Pattern[str], dict[str, Route]]] = {}
        for route in routes:
            self._methods_of(route.path)[route.method] = route

    def methods_for(self, path: str) -> dict[str, Route]:
        """The routes at a path by method; empty when there is nothing."""
        if fixed := self._fixed.get(path):
            return fixed
        for pattern, methods in self._patterns.values():
            if pattern.fullmatch(path):
                return methods
        return {}

    def _methods_of(self, path: str) -> dict[str, Route]:
        if "{" not in path:
            return self._fixed.setdefault(path, {})
        pattern = "[^/]+".join(re.escape(part) for part in PARAMETER.split(path))
        return self._patterns.setdefault(path, (re.compile(pattern), {}))[1]


def find(methods: dict[str, Route], method: str) -> Route | None:
    """The route for a method among those at one path."""
    return methods.get("GET" if method == "HEAD" else method)


def allowed(methods: dict[str, Route]) -> list[str]:
    """What `Allow` says for a path (RFC 9110 section 10.2.1)."""
    return sorted({*methods, *(["HEAD"] if "GET" in methods else [])})
