"""The path of a request through the gateway, in front of Flask, which serves only the gateway's own pages."""

import io
import time
from collections.abc import Callable, Iterable, Mapping
from http import HTTPStatus
from typing import TYPE_CHECKING, NamedTuple

from gateway import headers, matching
from gateway.answers import Answer
from gateway.asking import ask
from gateway.compression import accept_tags
from gateway.edge import Edge
from gateway.envelope_check import EnvelopeCheck
from gateway.exchange import UpstreamRequest
from gateway.guard import TokenGuard
from gateway.headers import Environ, HeaderList
from gateway.matching import RouteTable
from gateway.reading import LastWords, read_body, refuse_ambiguous, target_of
from gateway.replying import failed, log_access, respond
from gateway.routes import Guard, Route
from gateway.settings import Settings
from gateway.upstream import Upstream
from shared import tracing
from shared.envelope import CONTENT_TYPE
from shared.errors import MethodNotAllowed, NotJson
from shared.languages import DEFAULT_LANGUAGE, choose_language
from shared.trace import DEADLINE_HEADER, Trace

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication


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
        *,
        edge: Edge,
        check: EnvelopeCheck,
        settings: Settings,
    ) -> None:
        self._pages = pages
        self._table = table
        self._guard = guard
        self._upstreams = upstreams
        self._edge = edge
        self._check = check
        self._settings = settings

    def __call__(self, environ: Environ, start_response: "StartResponse") -> Iterable[bytes]:
        """Serve one request (PEP 3333)."""
        started = time.perf_counter()
        try:
            return self._serve(environ, start_response, started)
        except Exception as error:  # noqa: BLE001 - a bug in what is around a request's own way
            trace = Trace.start(_header_of(environ), 0)
            answer, extra = failed(error, DEFAULT_LANGUAGE, trace)
            log_access(environ, None, trace, answer, started)
            return LastWords(respond(environ, start_response, answer, extra, trace), environ, start_response)

    def _serve(self, environ: Environ, start_response: "StartResponse", started: float) -> Iterable[bytes]:
        if (preflight := self._edge.cors.preflight(environ)) is not None:
            return self._permit(environ, start_response, preflight)
        accept_tags(environ)
        methods = self._table.methods_for(environ["PATH_INFO"])
        caller = _Caller(
            headers.client_address(environ, self._settings.trusted_hops),
            choose_language(environ.get("HTTP_ACCEPT_LANGUAGE", "")),
        )
        route = matching.find(methods, environ["REQUEST_METHOD"])
        trace = Trace.start(_header_of(environ), self._settings.deadline_seconds)
        if methods:
            trace = tracing.begin(trace, environ["REQUEST_METHOD"])
        whole = False
        try:
            refuse_ambiguous(environ)
            if route is None or route.limited_by_network:
                self._edge.count_network(environ, caller.address)
            body = read_body(environ, limit=self._settings.max_body, seconds=self._settings.deadline_seconds)
            whole = True
            if not methods:
                environ["wsgi.input"] = io.BytesIO(body)
                # It is about changes, and no page of ours takes one; werkzeug would answer with a 412.
                environ.pop("HTTP_IF_MATCH", None)
                return self._pages(environ, start_response)
            if route is None:
                raise MethodNotAllowed(matching.allowed(methods))
            trace = trace.restarted(route.seconds or self._settings.deadline_seconds)
            answer, extra = self._forward(route, environ, body, trace, caller)
        except Exception as error:  # noqa: BLE001 - the place where what goes wrong becomes an envelope
            answer, extra = failed(error, caller.language, trace)
        answer, extra = self._check.approve(answer, extra, route, trace, caller.language)
        secret = route is not None and route.guard is Guard.PUBLIC
        answer = self._edge.finish(environ, answer, extra, secret=secret)
        log_access(environ, route, trace, answer, started)
        reply = respond(environ, start_response, answer, extra, trace)
        return reply if whole else LastWords(reply, environ, start_response)

    def _forward(
        self, route: Route, environ: Environ, body: bytes, trace: Trace, caller: _Caller
    ) -> tuple[Answer, HeaderList]:
        if route.guard is Guard.SIGNED_IN:
            self._edge.count_person(environ, self._guard.check(environ.get("HTTP_AUTHORIZATION")))
        if body and not _is_plain_json(environ):
            raise NotJson
        service_url = self._settings.service_urls[route.service]
        with tracing.call(route.method, route.service):
            request = UpstreamRequest(
                route.method, target_of(environ), headers.onward(environ, trace, caller.address), body
            )
            return ask(
                self._upstreams[route.service], route, request,
                service_url=service_url, language=caller.language, trace=trace,
                max_depth=self._settings.max_json_depth,
            )  # fmt: skip

    def _permit(self, environ: Environ, start_response: "StartResponse", preflight: HeaderList) -> Iterable[bytes]:
        """Answer what a browser asks before the request itself. Such a question has no token, and meets no limit."""
        trace, answer = Trace.start(_header_of(environ), 0), Answer(HTTPStatus.NO_CONTENT, b"")
        log_access(environ, None, trace, answer, time.perf_counter())
        self._edge.finish(environ, answer, preflight, secret=True)
        return respond(environ, start_response, answer, preflight, trace)


def _is_plain_json(environ: Environ) -> bool:
    """Whether a body is announced as JSON, and not packed (RFC 9110 section 8.4): nobody here unpacks it."""
    media_type: str = environ.get("CONTENT_TYPE", "").partition(";")[0].strip().lower()
    coding: str = environ.get("HTTP_CONTENT_ENCODING", "identity").lower()
    return media_type == CONTENT_TYPE and coding == "identity"


def _header_of(environ: Environ) -> Callable[[str], str | None]:
    """Reads the headers of a trace. How long a request may take is not for the world to say."""
    return lambda name: None if name == DEADLINE_HEADER else environ.get(f"HTTP_{name.upper().replace('-', '_')}")
