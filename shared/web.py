"""The Flask application that every room starts from: one error path, one envelope, a request id on every line."""

import logging
import re
import time

import structlog
from flask import Flask, Response, current_app, g, request
from werkzeug.exceptions import HTTPException
from werkzeug.routing import IntegerConverter

from shared import tracing
from shared.catalogue import CATALOGUE, code_for_status
from shared.envelope import CONTENT_TYPE, failure
from shared.errors import ApiError
from shared.languages import choose_language
from shared.logs import log_request
from shared.metrics import UNKNOWN_ROUTE, count_request
from shared.trace import REQUEST_ID_HEADER, Trace, current_trace

MAX_BODY_BYTES = 64 * 1024
# Headers of werkzeug's own exceptions that a client needs (RFC 9110 sections 10.2.1, 10.2.3, 11.6.1, 14.4).
_KEPT_HEADERS = frozenset({"allow", "retry-after", "www-authenticate"})

# werkzeug's `<int:user_id>`.
_PARAMETER = re.compile(r"<(?:[^<>:]+:)?([^<>]+)>")

log = structlog.get_logger(__name__)


def create_app(room: str, *, budget: float, max_json_depth: int, max_body: int = MAX_BODY_BYTES) -> Flask:
    """An application for `room` whose requests have `budget` seconds.

    Bodies have up to `max_body` bytes, and JSON in them is up to `max_json_depth` deep.
    """
    app = Flask(room, static_folder=None)
    app.config.update(ROOM=room, MAX_CONTENT_LENGTH=max_body, PROPAGATE_EXCEPTIONS=False)
    app.config["MAX_JSON_DEPTH"] = max_json_depth
    # OPTIONS is answered like any other method that a page does not have.
    app.config["PROVIDE_AUTOMATIC_OPTIONS"] = False
    app.url_map.converters["int"] = _PlainInteger
    # A redirect to a tidier address would be an answer outside the contract.
    app.url_map.merge_slashes = False
    app.url_map.redirect_defaults = False

    @app.before_request
    def begin() -> None:
        g.started = time.perf_counter()
        trace = Trace.start(request.headers.get, budget)
        # Whoever balances load asks for health all the time.
        if not request.path.startswith("/health/"):
            trace = tracing.begin(trace, request.method)
        current_trace.set(trace)
        structlog.contextvars.clear_contextvars()
        structlog.contextvars.bind_contextvars(request_id=trace.request_id, trace_id=trace.trace_id)

    app.after_request(_finish)
    app.register_error_handler(Exception, answer_error)
    return app


class _PlainInteger(IntegerConverter):
    """Digits as they are on every keyboard; werkzeug's own converter takes those of all scripts."""

    regex = r"[0-9]+"


def language() -> str:
    """The language that the caller of the current request reads."""
    return choose_language(request.headers.get("Accept-Language", ""))


def envelope_response(body: bytes, status: int) -> Response:
    """A response with an envelope that is written already."""
    response = Response(body, status, content_type=CONTENT_TYPE)
    response.headers["Content-Language"] = language()
    response.vary.add("Accept-Language")
    return response


def answer_error(error: Exception) -> Response:
    """The failure envelope for whatever was raised while a request was served."""
    # What is raised after a view, where its answer is finished, comes from Flask in a wrapper that tells nothing.
    error = getattr(error, "original_exception", None) or error
    known = isinstance(error, ApiError)
    if isinstance(error, ApiError):
        code, messages, headers = error.entry.code, error.messages, error.headers
    elif isinstance(error, HTTPException) and (error.code or 0) >= 400:
        code, messages, headers = code_for_status(error.code or 500), (), _kept_headers(error)
    else:
        code, messages, headers = "SRV_500", (), {}
    status = CATALOGUE[code].status
    if status >= 500:
        log.error("request_failed", error_code=code, reason=str(error), exc_info=None if known else error)
    g.error_code = code
    response = envelope_response(failure(code, language(), messages), status)
    response.headers.update(headers)
    return response


def _kept_headers(error: HTTPException) -> dict[str, str]:
    return {name: value for name, value in error.get_headers() if name.lower() in _KEPT_HEADERS}


def _finish(response: Response) -> Response:
    trace = current_trace.get()
    if trace is not None:
        response.headers[REQUEST_ID_HEADER] = trace.request_id
    route, status, error_code = _route(), response.status_code, g.get("error_code")
    failed = current_app.config["ROOM"] if status >= 500 else None
    seconds = time.perf_counter() - g.started
    tracing.end(route, status, error_code)
    count_request(route, request.method, status, error_code, seconds=seconds, failed=failed)
    log_request(
        logging.DEBUG if status == 200 and route.startswith("/health/") else logging.INFO,
        **structlog.contextvars.get_contextvars(),
        method=request.method,
        path=request.path,
        route=route,
        status=status,
        error_code=error_code,
        failed=failed,
        milliseconds=round(seconds * 1000, 1),
    )
    return response


def _route() -> str:
    """The route's template, written as the gateway's table writes it."""
    return _PARAMETER.sub(r"{\1}", request.url_rule.rule) if request.url_rule else UNKNOWN_ROUTE
