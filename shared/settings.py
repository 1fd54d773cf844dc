"""Reads settings from the environment once, and names everything that is missing or unsafe in one go."""

import base64
import binascii
import json
from collections.abc import Callable, Mapping
from types import TracebackType
from typing import Any, Self, TypeVar
from urllib.parse import urlsplit

from shared.strict_json import DEPTHS, MAX_DEPTH

SAMPLE_MARK = "change-me"
KEY_BYTES = 32

T = TypeVar("T")


class SettingsError(Exception):
    """The environment does not make a valid configuration; the text has one line for each problem."""


class Environment:
    """The environment as typed values.

    Used as a context manager around the construction of a settings object, so that all problems are told at once:

        with Environment(os.environ) as environment:
            return Settings(database_url=environment.url("DATABASE_URL", "postgresql"))
    """

    def __init__(self, values: Mapping[str, str]) -> None:
        self._values = values
        self._problems: list[str] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._problems:
            raise SettingsError("\n".join(self._problems))

    def text(self, name: str, default: str | None = None) -> str:
        """A non-empty string; required when it has no default."""
        value = self._values.get(name, "").strip() or default
        if value is None:
            return self._problem(name, "is required", "")
        if SAMPLE_MARK in value:
            return self._problem(name, "still has its sample value", "")
        return value

    def integer(self, name: str, default: int, *, low: int, high: int) -> int:
        """A whole number from `low` to `high`."""
        value = self._values.get(name, "").strip() or str(default)
        try:
            number = int(value)
        except ValueError:
            return self._problem(name, "must be a whole number", default)
        if not low <= number <= high:
            return self._problem(name, f"must be from {low} to {high}", default)
        return number

    def json_depth(self) -> int:
        """MAX_JSON_DEPTH, which every room reads: how deep the JSON that it takes may be nested."""
        return self.integer("MAX_JSON_DEPTH", MAX_DEPTH, low=DEPTHS[0], high=DEPTHS[-1])

    def url(self, name: str, *schemes: str, problem_of: Callable[[str], str | None] = lambda _: None) -> str:
        """A URL with a host and one of `schemes`, in which `problem_of` finds nothing wrong; required."""
        value = self.text(name)
        if not value:
            return value
        try:
            parts = urlsplit(value)
            well_formed = parts.scheme in schemes and bool(parts.hostname)
        except ValueError:
            well_formed = False
        if not well_formed:
            return self._problem(name, f"must be a URL with {' or '.join(schemes)}", "")
        problem = problem_of(value)
        return self._problem(name, problem, "") if problem else value

    def key(self, name: str) -> bytes:
        """32 secret bytes in base64; required, there is never a default for a secret."""
        value = self.text(name)
        if not value:
            return b""
        try:
            key = base64.b64decode(value, validate=True)
        except binascii.Error:
            return self._problem(name, "must be base64", b"")
        return key if len(key) == KEY_BYTES else self._problem(name, f"must be {KEY_BYTES} bytes in base64", b"")

    def json_object(self, name: str) -> dict[str, Any]:
        """A JSON object; empty when it is not set."""
        try:
            value = json.loads(self._values.get(name, "").strip() or "{}")
        except ValueError:
            return self._problem(name, "must be a JSON object", {})
        return value if isinstance(value, dict) else self._problem(name, "must be a JSON object", {})

    def refuse(self, name: str, why: str) -> None:
        """Add a problem that the caller found in a value."""
        self._problem(name, why, None)

    def _problem(self, name: str, why: str, placeholder: T) -> T:
        self._problems.append(f"{name} {why}")
        return placeholder
