"""Reads JSON more strictly than Python does: only what any strict decoder reads the same way (RFC 8259, RFC 7493)."""

import json
import re
from typing import Any, NoReturn

# How deep JSON may be nested where MAX_JSON_DEPTH does not say otherwise.
MAX_DEPTH = 64
# What MAX_JSON_DEPTH may say. Python's reader gives up near 1,000 calls, and looking at strings takes two for a level.
DEPTHS = range(8, 201)
# Only for a text that is JSON: there every string ends, and scanning is linear.
_STRING = re.compile(rb'"[^"\\]*(?:\\.[^"\\]*)*"', re.DOTALL)
_SURROGATE = re.compile(rb"\\u[dD][89a-fA-F]")


class BadJson(ValueError):
    """The text is not JSON, or not JSON that every decoder understands alike."""


def parse(text: bytes, *, max_depth: int = MAX_DEPTH) -> Any:
    """The value of a request's JSON text.

    Raises BadJson for anything but UTF-8 without a byte order mark, for NaN and Infinity, numbers beyond a double,
    duplicate names, lone surrogates, NUL in a string, and nesting deeper than `max_depth`.
    """
    value = _decode(text, _REQUEST_DECODER, max_depth)
    if b"\\u" in text:
        _check_strings(value)
    return value


def parse_answer(text: bytes, *, max_depth: int = MAX_DEPTH) -> Any:
    """The value of a service's JSON text, numbers left out (they are 0), for whoever only needs its shape.

    Numbers are not looked at: the bytes go on as they are, so 1.10, 2^64 and 1e400 arrive undamaged.
    Raises BadJson for what is not JSON, lone surrogates, and nesting deeper than `max_depth`.
    """
    value = _decode(text, _ANSWER_DECODER, max_depth)
    if _SURROGATE.search(text):
        _check_encodable(value)
    return value


def outermost_names(text: bytes) -> list[str]:
    """The names in the outermost object of what `parse_answer` took, each as often as it stands there."""
    names: list[str] = []

    def remember(pairs: list[tuple[str, Any]]) -> None:
        names[:] = [name for name, _ in pairs]  # the outermost object is complete last

    json.loads(text.decode(), object_pairs_hook=remember, parse_int=_ignore_number, parse_float=_ignore_number)
    return names


def _decode(text: bytes, decoder: json.JSONDecoder, max_depth: int) -> Any:
    try:
        value = decoder.decode(text.decode("utf-8"))
    except (ValueError, RecursionError) as error:  # a UnicodeDecodeError is a ValueError too
        raise BadJson(str(error)) from error
    _check_depth(text, max_depth)
    return value


def _check_depth(text: bytes, max_depth: int) -> None:
    # Counting brackets is an upper bound; only a text over it is looked at closely.
    if text.count(b"[") + text.count(b"{") <= max_depth:
        return
    depth = 0
    for byte in _STRING.sub(b"", text):
        if byte in b"[{":
            depth += 1
            if depth > max_depth:
                raise BadJson(f"nested deeper than {max_depth}")
        elif byte in b"]}":
            depth -= 1


def _check_strings(value: Any) -> None:
    if "\x00" in _check_encodable(value):
        raise BadJson("NUL in a string")


def _check_encodable(value: Any) -> str:
    """All strings in `value`, one after the other; BadJson when one has a lone surrogate."""
    strings = "".join(_strings(value))
    try:
        strings.encode("utf-8")
    except UnicodeEncodeError as error:
        raise BadJson("a lone surrogate in a string") from error
    return strings


def _strings(value: Any) -> list[str]:
    if isinstance(value, str):
        return [value]
    if isinstance(value, list):
        return [string for item in value for string in _strings(item)]
    if isinstance(value, dict):
        return [string for name, item in value.items() for string in (name, *_strings(item))]
    return []


def _refuse_constant(name: str) -> NoReturn:
    raise BadJson(f"{name} is not JSON")


def _finite(number: str) -> float:
    value = float(number)
    if value in (float("inf"), float("-inf")):
        raise BadJson("a number beyond a double")
    return value


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    value = dict(pairs)
    if len(value) != len(pairs):
        raise BadJson("a name stands twice in one object")
    return value


def _ignore_number(_: str) -> int:
    return 0


_REQUEST_DECODER = json.JSONDecoder(
    parse_constant=_refuse_constant, parse_float=_finite, object_pairs_hook=_unique, strict=True
)
_ANSWER_DECODER = json.JSONDecoder(
    parse_constant=_refuse_constant, parse_float=_ignore_number, parse_int=_ignore_number, strict=True
)
