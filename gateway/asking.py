"""Asks a service on behalf of an app, judges what comes back, and tells the log what was wrong with it."""

import time

import structlog

from gateway.answers import Answer, normalise
from gateway.errors import BadAnswer, ServiceAway, UpstreamFault
from gateway.excerpts import excerpt
from gateway.exchange import UpstreamAnswer, UpstreamRequest
from gateway.metrics import observe_upstream
from gateway.returning import retry_after, returned
from gateway.routes import Guard, Route
from gateway.upstream import Upstream
from shared import tracing
from shared.trace import Trace

log = structlog.get_logger(__name__)


def ask(
    upstream: Upstream,
    route: Route,
    request: UpstreamRequest,
    *,
    service_url: str,
    language: str,
    trace: Trace,
    max_depth: int,
) -> tuple[Answer, list[tuple[str, str]]]:
    """The answer of a route's service as the app may see it, and its headers.

    Raises BadAnswer, ServiceAway or ServiceSlow when there is none that may be passed on.
    """
    reply = None
    started = time.perf_counter()
    try:
        try:
            reply = upstream.send(request, trace.seconds_left, share=route.share)
            tracing.answered(reply.status)
        finally:
            observe_upstream(route.service, time.perf_counter() - started)
        answer = _judged(reply, request, language, max_depth)
    except UpstreamFault as error:
        if reply and isinstance(error, ServiceAway) and (seconds := retry_after(reply.header("Retry-After"))):
            error.headers["Retry-After"] = seconds
        seen = error.seen if isinstance(error, BadAnswer) else b""
        _tell(route, request, reply, trace, code=error.entry.code, reason=str(error), seen=seen)
        raise
    if answer.error_code and not answer.own:
        _tell(route, request, reply, trace, code=answer.error_code, reason="a failure in a foreign shape")
    return answer, returned(reply, answer, language, service_url)


def who_failed(answer: Answer, route: Route | None) -> str | None:
    """Whose fault an answer is: a service's name, `gateway`, or None when it is nobody's here."""
    if answer.status < 500:
        return None
    is_services = answer.own or str(answer.error_code).startswith("GW_")
    return route.service if route and is_services else "gateway"


def _judged(reply: UpstreamAnswer, request: UpstreamRequest, language: str, max_depth: int) -> Answer:
    # Nobody who did not ask whether something changed can make sense of hearing that nothing did (RFC 9110 section
    # 15.4.5).
    if reply.status == 304 and request.is_conditional:
        return Answer(304, b"", own=True)
    # In any other coding the body is not what its type says; the client has undone chunks already.
    if reply.header("Transfer-Encoding").lower() not in ("", "chunked"):
        raise BadAnswer("a transfer coding that nobody asked for")
    return normalise(reply.status, reply.content_type, reply.body, language, max_depth)


def _tell(
    route: Route, request: UpstreamRequest, reply: UpstreamAnswer | None, trace: Trace, *,
    code: str, reason: str, seen: bytes = b"",
) -> None:  # fmt: skip
    # Of what an open door answers to whoever has proved who he is nothing is kept: there are tokens in it.
    is_secret = route.guard is Guard.PUBLIC and (reply is None or reply.status < 300)
    log.warning(
        "upstream_fault",
        failed=route.service,
        error_code=code,
        reason=reason,
        status=reply.status if reply else None,
        excerpt=None if is_secret else excerpt(reply.body if reply else seen, request),
        request_id=trace.request_id,
        trace_id=trace.trace_id,
    )
