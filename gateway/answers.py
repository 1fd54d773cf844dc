"""Turns whatever a service answered into the one envelope, without touching the bytes of its data."""

from dataclasses import dataclass, field
from typing import Any

from gateway.errors import BadAnswer, ServiceAway, ServiceSlow
from shared.catalogue import CATALOGUE, CODE_PATTERN, N_, code_for_status
from shared.envelope import dump, failure
from shared.languages import translate
from shared.strict_json import MAX_DEPTH, BadJson, outermost_names, parse_answer

# What a success says when the service gave data without a message.
DEFAULT_MESSAGE = N_("Request successful")
# The statuses of the contract. A failure with another one becomes the nearest of these.
_CLIENT_FAULTS = frozenset({400, 401, 403, 404, 405, 409, 413, 414, 415, 429, 431})
_ANSWERABLE_FAULTS = frozenset({502, 503, 504})
_NEAREST = {406: 400, 408: 400, 410: 404, 412: 409, 416: 400, 422: 400, 423: 409, 428: 400}


@dataclass(frozen=True)
class Answer:
    """What goes to the app: a status of the contract and an envelope; `own` when these are the service's own bytes."""

    status: int
    body: bytes
    error_code: str | None = None
    own: bool = field(default=False, compare=False)


def normalise(status: int, content_type: str, body: bytes, language: str, max_depth: int = MAX_DEPTH) -> Answer:
    """The envelope for a service's answer.

    An envelope goes on as it is, other JSON becomes `data` byte for byte, nothing becomes {}, and a failure in any
    other shape becomes the catalogue's entry for its status; JSON deeper than `max_depth` is none. Raises BadAnswer,
    ServiceAway or ServiceSlow for what can't be passed on: then the service failed, whatever it says.
    """
    if 200 <= status < 300 and status != 206:
        return _success(201 if status == 201 else 200, content_type, body, language, max_depth)
    if 400 <= status < 500:
        return _client_fault(_NEAREST.get(status, status), content_type, body, language, max_depth)
    if status in _ANSWERABLE_FAULTS:
        return _service_fault(status, content_type, body, max_depth)
    raise BadAnswer(f"status {status}")


def _success(status: int, content_type: str, body: bytes, language: str, max_depth: int) -> Answer:
    text = body.strip(b" \t\r\n")
    if not text:
        return _wrapped(status, b"{}", language)
    if not _is_json(content_type):
        raise BadAnswer(f"a success of type {content_type!r}")
    try:
        value = parse_answer(text, max_depth=max_depth)
    except BadJson as error:
        raise BadAnswer("a success that is not JSON") from error
    if is_success(value):
        if _says_twice(text, value):
            raise BadAnswer("an envelope in which a name stands twice")
        return Answer(status, body, own=True)
    if is_failure(value):
        raise BadAnswer("a failure with the status of a success")
    if value is None:
        text = b"{}"
    elif not isinstance(value, dict | list):
        text = b'{"value":' + text + b"}"
    return _wrapped(status, text, language)


def _client_fault(status: int, content_type: str, body: bytes, language: str, max_depth: int) -> Answer:
    if status in _CLIENT_FAULTS and (code := _failure_code(status, content_type, body, max_depth)):
        return Answer(status, body, code, own=True)
    if status == 401:
        # The gateway has checked the person already. A 401 in a foreign shape is the service's own trouble, and an app
        # that believed it would throw its session away.
        raise BadAnswer("a 401 outside the contract")
    code = "AUTH_403" if status == 403 else code_for_status(status)
    return Answer(CATALOGUE[code].status, failure(code, language), code)


def _service_fault(status: int, content_type: str, body: bytes, max_depth: int) -> Answer:
    if code := _failure_code(status, content_type, body, max_depth):
        return Answer(status, body, code, own=True)
    raise {502: BadAnswer, 503: ServiceAway, 504: ServiceSlow}[status](f"status {status}")


def _wrapped(status: int, data: bytes, language: str) -> Answer:
    message = dump(translate(DEFAULT_MESSAGE, language))
    return Answer(status, b'{"message":' + message + b',"data":' + data + b"}")


def _failure_code(status: int, content_type: str, body: bytes, max_depth: int) -> str | None:
    """The code of a failure envelope, when it may be passed on with this status.

    Only a code of the catalogue, and only with its own status: a 503 that says AUTH_003 would sign people out, and what
    an app should do about a code that it can't look up nobody has said.
    """
    if not _is_json(content_type):
        return None
    try:
        value = parse_answer(body, max_depth=max_depth)
    except BadJson:
        return None
    if not is_failure(value) or _says_twice(body, value):
        return None
    known = CATALOGUE.get(value["error_code"])
    return known.code if known is not None and known.status == status else None


def _says_twice(text: bytes, envelope: dict[str, Any]) -> bool:
    """Whether a name of the envelope stands twice in its text: decoders differ about which of the two counts."""
    if b"\\u" not in text and all(text.count(b'"%b"' % name.encode()) == 1 for name in envelope):
        return False
    return len(outermost_names(text)) != len(envelope)


def _is_json(content_type: str) -> bool:
    media_type = content_type.partition(";")[0].strip().lower()
    return media_type in ("application/json", "") or media_type.endswith("+json")


def is_success(value: Any) -> bool:
    """Whether a value is a success envelope: exactly `message` and `data`, the latter an object or an array."""
    match value:
        case {"message": str(), "data": dict() | list(), **others}:
            return not others
    return False


def is_failure(value: Any) -> bool:
    """Whether a value is a failure envelope: exactly `message` and an `error_code` of the catalogue's form."""
    match value:
        case {"message": str(), "error_code": str(code), **others}:
            return not others and CODE_PATTERN.fullmatch(code) is not None
    return False
