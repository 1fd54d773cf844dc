"""How the gateway replies: the answer to whatever failed, the bytes on their way out, and the line in the log."""

import logging
import time
from collections.abc import Iterable
from http import HTTPStatus
from typing import TYPE_CHECKING

import structlog

from gateway.answers import Answer
from gateway.asking import who_failed
from gateway.errors import UpstreamFault
from gateway.headers import Environ, HeaderList, language_headers
from gateway.routes import Route
from shared import tracing
from shared.catalogue import CATALOGUE
from shared.envelope import CONTENT_TYPE, failure
from shared.errors import ApiError
from shared.logs import log_request
from shared.metrics import UNKNOWN_ROUTE, count_request
from shared.trace import REQUEST_ID_HEADER, Trace

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse

_BODILESS = frozenset({HTTPStatus.NO_CONTENT, HTTPStatus.NOT_MODIFIED})
_STATUS_LINES = {status.value: f"{status.value} {status.phrase}" for status in HTTPStatus}

log = structlog.get_logger(__name__)


def failed(error: Exception, language: str, trace: Trace) -> tuple[Answer, HeaderList]:
    """The envelope for whatever was raised while a request was served, and its headers."""
    known = isinstance(error, ApiError)
    if isinstance(error, ApiError):
        code, messages, extra = error.entry.code, error.messages, list(error.headers.items())
    else:
        code, messages, extra = "SRV_500", (), []
    status = CATALOGUE[code].status
    if status >= 500 and not isinstance(error, UpstreamFault):
        log.error(
            "request_failed",
            error_code=code,
            request_id=trace.request_id,
            trace_id=trace.trace_id,
            reason=str(error),
            exc_info=None if known else error,
        )
    return Answer(status, failure(code, language, messages), code), extra + language_headers(language)


def respond(
    environ: Environ, start_response: "StartResponse", answer: Answer, extra: HeaderList, trace: Trace
) -> Iterable[bytes]:
    """Start the response and give its body; `extra` are headers beside those that every answer has."""
    fields = [*extra, (REQUEST_ID_HEADER, trace.request_id)]
    if answer.status not in _BODILESS:
        fields += [("Content-Type", CONTENT_TYPE), ("Content-Length", str(len(answer.body)))]
    start_response(_STATUS_LINES[answer.status], fields)
    return [] if environ["REQUEST_METHOD"] == "HEAD" else [answer.body]


def log_access(environ: Environ, route: Route | None, trace: Trace, answer: Answer, started: float) -> None:
    """Write the one line that a request leaves, and count it; `started` is on the clock of time.perf_counter()."""
    seconds, path = time.perf_counter() - started, route.path if route else UNKNOWN_ROUTE
    failed = who_failed(answer, route)
    tracing.end(path, answer.status, answer.error_code)
    count_request(path, environ["REQUEST_METHOD"], answer.status, answer.error_code, seconds=seconds, failed=failed)
    log_request(
        logging.INFO,
        method=environ["REQUEST_METHOD"],
        path=environ["PATH_INFO"],
        route=path,
        service=route.service if route else None,
        status=answer.status,
        error_code=answer.error_code,
        failed=failed,
        request_id=trace.request_id,
        trace_id=trace.trace_id,
        milliseconds=round(seconds * 1000, 1),
    )
