"""The one shape of every answer: {"message", "data"} or {"message", "error_code"}, nothing else."""

import json
from collections.abc import Iterable
from typing import Any

from shared.catalogue import CATALOGUE
from shared.languages import translate

CONTENT_TYPE = "application/json"


def success(message: str, data: dict[str, Any] | list[Any], language: str) -> bytes:
    """The body of a success, whose `data` is an object or an array."""
    return dump({"message": translate(message, language), "data": data})


def failure(code: str, language: str, messages: Iterable[str] = ()) -> bytes:
    """The body of a failure: the sentences given, or the catalogue's own, in `language`."""
    sentences = [translate(message, language) for message in messages or (CATALOGUE[code].message,)]
    return dump({"message": "; ".join(sentences), "error_code": code})


def dump(value: Any) -> bytes:
    """`value` as JSON, UTF-8, without spaces."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False).encode()
