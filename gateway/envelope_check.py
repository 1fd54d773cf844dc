"""Looks at what the gateway is about to say with other eyes than those that wrote it."""

import structlog
from flask import Response, g, request

from gateway.answers import Answer
from gateway.headers import HeaderList, language_headers
from gateway.metrics import checks, violations
from gateway.routes import Route
from shared.catalogue import CATALOGUE, CODE_PATTERN
from shared.envelope import failure
from shared.strict_json import MAX_DEPTH, BadJson, outermost_names, parse_answer
from shared.trace import Trace, current_trace
from shared.web import envelope_response, language

_INSTEAD = "SRV_500"
_WITHOUT_BODY = frozenset({204, 304})
_SUCCESSES = frozenset({200, 201})
# Pages whose form a standard says, and not the contract.
_BARE = ("documents.", "gateway.show_public_keys")

log = structlog.get_logger(__name__)


def flaw_of(status: int, body: bytes, data_depth: int = MAX_DEPTH) -> str | None:
    """What is wrong with an answer of this status, or None; its bytes are never told."""
    if status in _WITHOUT_BODY:
        return "it has a body" if body else None
    try:
        # One level more than data may have, for the envelope around it.
        value = parse_answer(body, max_depth=data_depth + 1)
    except BadJson:
        return "it is not JSON"
    match status, value:
        case int(), {"message": str(), "data": dict() | list()} if status in _SUCCESSES:
            fits = True
        case int(), {"message": str(), "error_code": str(code)} if status >= 400 and CODE_PATTERN.fullmatch(code):
            fits = code not in CATALOGUE or CATALOGUE[code].status == status
        case _:
            fits = False
    # A name that stands twice is one too many as well.
    return None if fits and len(outermost_names(body)) == 2 else "it is not the envelope of its status"


class EnvelopeCheck:
    """Checks one of `every` answers before it is sent; one that breaks the contract is replaced by SRV_500."""

    def __init__(self, every: int, data_depth: int = MAX_DEPTH) -> None:
        self._every = every
        self._data_depth = data_depth
        self._count = 0

    def approve(
        self, answer: Answer, extra: HeaderList, route: Route | None, trace: Trace, spoken: str
    ) -> tuple[Answer, HeaderList]:
        """The answer and its headers, or what is said instead, in the language that is spoken."""
        if self._passes(answer.status, answer.body, route.path if route else None, trace):
            return answer, extra
        return Answer(CATALOGUE[_INSTEAD].status, failure(_INSTEAD, spoken), _INSTEAD), language_headers(spoken)

    def finish_page(self, response: Response) -> Response:
        """The same for a page of the gateway's own."""
        bare = (request.endpoint or "").startswith(_BARE) and response.status_code < 400
        if bare or self._passes(response.status_code, response.get_data(), request.endpoint, current_trace.get()):
            return response
        g.error_code = _INSTEAD
        return envelope_response(failure(_INSTEAD, language()), CATALOGUE[_INSTEAD].status)

    def _passes(self, status: int, body: bytes, route: str | None, trace: Trace | None) -> bool:
        self._count += 1
        if self._count % self._every:
            return True
        checks.inc()
        flaw = flaw_of(status, body, self._data_depth)
        if flaw is None:
            return True
        violations.inc()
        request_id = trace.request_id if trace else None
        log.error("envelope_violation", reason=flaw, status=status, route=route, request_id=request_id)
        return False
