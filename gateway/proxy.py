"""The path of a request through the gateway, in front of Flask, which serves only the gateway's own pages."""

import time
from collections.abc import Callable, Iterable, Mapping
from http import HTTPStatus
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import structlog
from gunicorn.http.errors import NoMoreData, ParseException

from gateway import headers, matching
from gateway.answers import Answer, normalise
from gateway.guard import TokenGuard
from gateway.limits import RequestLimit
from gateway.matching import RouteTable
from gateway.routes import Guard, Route
from gateway.settings import Settings
from gateway.upstream import Upstream, UpstreamRequest
from shared.catalogue import CATALOGUE
from shared.envelope import CONTENT_TYPE, failure
from shared.errors import ApiError, BadRequest, MethodNotAllowed, NotJson, TooLarge
from shared.languages import choose_language
from shared.networks import network_of
from shared.trace import REQUEST_ID_HEADER, Trace

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication

Environ = dict[str, Any]
HeaderList = list[tuple[str, str]]

_PATH_SAFE = "/:@!$&'()*+,;=-._~"
# What two programs may read as two different paths, in the decoded path and as it was sent.
_AMBIGUOUS_PATH = ("//", "\\", "\x00")
_AMBIGUOUS_TARGET = ("%2f", "%2e", "%5c", "%00", "%25")
_DOT_SEGMENTS = frozenset({".", ".."})
_STATUS_LINES = {status.value: f"{status.value} {status.phrase}" for status in HTTPStatus}

log = structlog.get_logger(__name__)


class Gateway:
    """A WSGI application: what the route table knows goes to a service, everything else to `pages`."""

    def __init__(
        self,
        pages: "WSGIApplication",
        table: RouteTable,
        guard: TokenGuard,
        upstreams: Mapping[str, Upstream],
        settings: Settings,
    ) -> None:
        self._pages = pages
        self._table = table
        self._guard = guard
        self._upstreams = upstreams
        self._settings = settings
        self._limit = RequestLimit(settings.requests_per_second, settings.burst)

    def __call__(self, environ: Environ, start_response: "StartResponse") -> Iterable[bytes]:
        """Serve one request (PEP 3333)."""
        methods = self._table.methods_for(environ["PATH_INFO"])
        address = headers.client_address(environ, self._settings.trusted_hops)
        language = choose_language(environ.get("HTTP_ACCEPT_LANGUAGE", ""))
        started = time.perf_counter()
        route = matching.find(methods, environ["REQUEST_METHOD"])
        trace = Trace.start(_header_of(environ), self._seconds_for(route))
        try:
            _refuse_ambiguous(environ)
            self._limit.spend(network_of(address))
            if not methods:
                return self._pages(environ, start_response)
            if route is None:
                raise MethodNotAllowed(matching.allowed(methods))
            answer, extra = self._forward(route, environ, trace, address, language)
        except Exception as error:  # noqa: BLE001 - the one place where everything becomes an envelope
            answer, extra = _failed(error, language, trace)
        _log_access(environ, route, trace, answer, started)
        return _respond(environ, start_response, answer, extra, trace)

    def _forward(
        self, route: Route, environ: Environ, trace: Trace, address: str, language: str
    ) -> tuple[Answer, HeaderList]:
        if route.guard is Guard.SIGNED_IN:
            self._guard.check(environ.get("HTTP_AUTHORIZATION"))
        request = UpstreamRequest(
            route.method, _target(environ), headers.onward(environ, trace, address), self._body(environ)
        )
        reply = self._upstreams[route.service].send(request, trace.seconds_left)
        if reply.status == 304:
            return Answer(304, b""), headers.returned(reply, language)
        answer = normalise(reply.status, reply.content_type, reply.body, language)
        return answer, headers.returned(reply, language)

    def _seconds_for(self, route: Route | None) -> float:
        return (route.seconds if route else None) or self._settings.deadline_seconds

    def _body(self, environ: Environ) -> bytes:
        limit = self._settings.max_body
        if int(environ.get("CONTENT_LENGTH") or 0) > limit:
            raise TooLarge
        try:
            body: bytes = environ["wsgi.input"].read(limit + 1)
        except (ParseException, NoMoreData) as error:
            raise BadRequest("the body is broken") from error
        if len(body) > limit:
            raise TooLarge
        if body and environ.get("CONTENT_TYPE", "").partition(";")[0].strip().lower() != CONTENT_TYPE:
            raise NotJson
        return body


def _header_of(environ: Environ) -> Callable[[str], str | None]:
    return lambda name: environ.get(f"HTTP_{name.upper().replace('-', '_')}")


def _refuse_ambiguous(environ: Environ) -> None:
    path = environ["PATH_INFO"]
    target = environ["RAW_URI"].partition("?")[0].lower()
    if (
        any(sign in path for sign in _AMBIGUOUS_PATH)
        or any(sign in target for sign in _AMBIGUOUS_TARGET)
        or not _DOT_SEGMENTS.isdisjoint(path.split("/"))
    ):
        raise BadRequest("an ambiguous path")


def _target(environ: Environ) -> str:
    path = quote(environ["PATH_INFO"].encode("latin-1"), safe=_PATH_SAFE)
    return f"{path}?{environ['QUERY_STRING']}" if environ.get("QUERY_STRING") else path


def _failed(error: Exception, language: str, trace: Trace) -> tuple[Answer, HeaderList]:
    known = isinstance(error, ApiError)
    code = error.entry.code if isinstance(error, ApiError) else "SRV_500"
    status = CATALOGUE[code].status
    if status >= 500:
        log.error(
            "request_failed",
            error_code=code,
            request_id=trace.request_id,
            trace_id=trace.trace_id,
            reason=str(error),
            exc_info=None if known else error,
        )
    messages = error.messages if isinstance(error, ApiError) else ()
    extra = list(error.headers.items()) if isinstance(error, ApiError) else []
    return Answer(status, failure(code, language, messages), code), extra + headers.language_headers(language)


def _respond(
    environ: Environ, start_response: "StartResponse", answer: Answer, extra: HeaderList, trace: Trace
) -> Iterable[bytes]:
    fields = [*extra, (REQUEST_ID_HEADER, trace.request_id)]
    if answer.status != HTTPStatus.NOT_MODIFIED:
        fields += [("Content-Type", CONTENT_TYPE), ("Content-Length", str(len(answer.body)))]
    start_response(_STATUS_LINES[answer.status], fields)
    return [] if environ["REQUEST_METHOD"] == "HEAD" else [answer.body]


def _log_access(environ: Environ, route: Route | None, trace: Trace, answer: Answer, started: float) -> None:
    log.info(
        "request",
        method=environ["REQUEST_METHOD"],
        path=environ["PATH_INFO"],
        service=route.service if route else None,
        status=answer.status,
        error_code=answer.error_code,
        request_id=trace.request_id,
        trace_id=trace.trace_id,
        milliseconds=round((time.perf_counter() - started) * 1000, 1),
    )
