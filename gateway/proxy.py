"""The path of a request through the gateway, in front of Flask, which serves only the gateway's own pages."""

import io
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import quote

import gevent
import structlog
from gunicorn.http.errors import NoMoreData, ParseException
from gunicorn.http.wsgi import Response
from gunicorn.util import close_graceful

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
from shared.trace import DEADLINE_HEADER, REQUEST_ID_HEADER, Trace

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication

Environ = dict[str, Any]
HeaderList = list[tuple[str, str]]

_PATH_SAFE = "/:@!$&'()*+,;=-._~"
# What two programs may read as two different paths, in the decoded path and as it was sent.
_AMBIGUOUS_PATH = ("//", "\\", "\x00")
_AMBIGUOUS_TARGET = ("%2f", "%2e", "%5c", "%00", "%25")
_DRAIN_SECONDS = 2.0
_DRAIN_BYTES = 16 * 1024 * 1024
_DOT_SEGMENTS = frozenset({".", ".."})
_STATUS_LINES = {status.value: f"{status.value} {status.phrase}" for status in HTTPStatus}

log = structlog.get_logger(__name__)


class _Caller(NamedTuple):
    """Where a request comes from, and the language that answers to it are in."""

    address: str
    language: str


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
        caller = _Caller(
            headers.client_address(environ, self._settings.trusted_hops),
            choose_language(environ.get("HTTP_ACCEPT_LANGUAGE", "")),
        )
        started = time.perf_counter()
        route = matching.find(methods, environ["REQUEST_METHOD"])
        trace = Trace.start(_header_of(environ), self._settings.deadline_seconds)
        whole = False
        try:
            _refuse_ambiguous(environ)
            self._limit.spend(network_of(caller.address))
            body = self._body(environ)
            whole = True
            if not methods:
                environ["wsgi.input"] = io.BytesIO(body)
                return self._pages(environ, start_response)
            if route is None:
                raise MethodNotAllowed(matching.allowed(methods))
            trace = trace.restarted(self._seconds_for(route))
            answer, extra = self._forward(route, environ, body, trace, caller)
        except Exception as error:  # noqa: BLE001 - the one place where everything becomes an envelope
            answer, extra = _failed(error, caller.language, trace)
        _log_access(environ, route, trace, answer, started)
        reply = _respond(environ, start_response, answer, extra, trace)
        return reply if whole else _LastWords(reply, environ, start_response)

    def _forward(
        self, route: Route, environ: Environ, body: bytes, trace: Trace, caller: _Caller
    ) -> tuple[Answer, HeaderList]:
        if route.guard is Guard.SIGNED_IN:
            self._guard.check(environ.get("HTTP_AUTHORIZATION"))
        if body and environ.get("CONTENT_TYPE", "").partition(";")[0].strip().lower() != CONTENT_TYPE:
            raise NotJson
        request = UpstreamRequest(route.method, _target(environ), headers.onward(environ, trace, caller.address), body)
        reply = self._upstreams[route.service].send(request, trace.seconds_left, share=route.share)
        if reply.status == 304:
            return Answer(304, b""), headers.returned(reply, caller.language)
        answer = normalise(reply.status, reply.content_type, reply.body, caller.language)
        return answer, headers.returned(reply, caller.language)

    def _seconds_for(self, route: Route) -> float:
        return route.seconds or self._settings.deadline_seconds

    def _body(self, environ: Environ) -> bytes:
        """The whole body, read before anything is done with it: a phone that sends slowly costs no service anything."""
        limit = self._settings.max_body
        if int(environ.get("CONTENT_LENGTH") or 0) > limit:
            raise TooLarge
        try:
            with gevent.Timeout(self._settings.deadline_seconds, BadRequest("the body did not arrive in time")):
                body: bytes = environ["wsgi.input"].read(limit + 1)
        except (ParseException, NoMoreData) as error:
            raise BadRequest("the body is broken") from error
        if len(body) > limit:
            raise TooLarge
        return body


class _LastWords:
    """An answer that is given before the request was read: the connection ends with it.

    What still arrives is read for a moment, because closing over it would reset the connection and lose the answer
    (RFC 9112 section 9.6); and nothing of it is taken for a further request.
    """

    def __init__(self, reply: Iterable[bytes], environ: Environ, start_response: "StartResponse") -> None:
        self._reply = reply
        self._socket = environ.get("gunicorn.socket")
        if isinstance(response := getattr(start_response, "__self__", None), Response):
            response.force_close()

    def __iter__(self) -> Iterator[bytes]:
        return iter(self._reply)

    def close(self) -> None:
        """What gunicorn calls when the answer is sent."""
        if self._socket is not None:
            close_graceful(self._socket, timeout=_DRAIN_SECONDS, max_drain=_DRAIN_BYTES)


def _header_of(environ: Environ) -> Callable[[str], str | None]:
    """Reads the headers of a trace. How long a request may take is not for the world to say."""
    return lambda name: None if name == DEADLINE_HEADER else environ.get(f"HTTP_{name.upper().replace('-', '_')}")


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
