"""What makes and sends spans; `shared.tracing` is what everybody calls, and imports this only when it is wanted.

Names and attributes are those of OpenTelemetry's semantic conventions for HTTP and databases. Left out are `url.full`,
`url.path` and `url.query`, because ids of people and what strangers type stand in them; a route's template says enough.
"""

from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from contextvars import ContextVar
from dataclasses import replace
from typing import TYPE_CHECKING, Any, NamedTuple

from opentelemetry import context as contexts
from opentelemetry.context import Context
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.sdk.trace.sampling import ParentBased, TraceIdRatioBased
from opentelemetry.trace import (
    NonRecordingSpan,
    Span,
    SpanContext,
    SpanKind,
    Status,
    StatusCode,
    TraceFlags,
    get_current_span,
    set_span_in_context,
)

from shared.trace import Trace

if TYPE_CHECKING:
    from sqlalchemy import Engine

# A collector that is slower than this loses the batch; requests never wait for it.
_EXPORT_SECONDS = 2.0
_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
# Whose requests the world sends: it has no say in which of them are looked at.
_EDGE = "gateway"


def sender(url: str) -> SpanProcessor:
    """Sends spans to a collector from a thread of its own; past 2,048 that wait, the oldest are dropped."""
    return BatchSpanProcessor(OTLPSpanExporter(endpoint=f"{url}/v1/traces", timeout=_EXPORT_SECONDS))


class _Serving(NamedTuple):
    """The span of the request that is served, how it is called so far, and what ends its being the current one."""

    span: Span
    method: str
    token: Any


_serving: ContextVar[_Serving | None] = ContextVar("serving", default=None)


class Tracer:
    """Makes the spans of a room and gives them to `processor`."""

    def __init__(self, room: str, processor: SpanProcessor, share: float) -> None:
        by_share = TraceIdRatioBased(share)
        self._provider = TracerProvider(
            sampler=by_share if room == _EDGE else ParentBased(by_share),
            resource=Resource.create({"service.name": f"latchkey-{room}"}),
            shutdown_on_exit=False,
        )
        self._provider.add_span_processor(processor)
        self._tracer = self._provider.get_tracer("latchkey")

    def close(self) -> None:
        """Send what is left."""
        self._provider.shutdown()

    def begin(self, trace: Trace, method: str) -> Trace:
        """Begin the span of a request and make it the current one."""
        method = method if method in _METHODS else "_OTHER"
        attributes = {
            "http.request.method": method, "url.scheme": "http", "latchkey.request_id": trace.request_id,
        }  # fmt: skip
        span = self._tracer.start_span(method, _parent_of(trace), SpanKind.SERVER, attributes)
        _serving.set(_Serving(span, method, contexts.attach(set_span_in_context(span, Context()))))
        made = span.get_span_context()
        return replace(trace, trace_id=f"{made.trace_id:032x}", flags=f"{made.trace_flags:02x}")

    def end(self, route: str, status: int, error_code: str | None) -> None:
        """End the span that `begin` began last in this thread or greenlet."""
        serving = _serving.get()
        if serving is None:
            return
        _serving.set(None)
        contexts.detach(serving.token)
        serving.span.update_name(f"{serving.method} {route}")
        serving.span.set_attributes({"http.route": route, "http.response.status_code": status})
        if error_code:
            serving.span.set_attribute("latchkey.error_code", error_code)
        if status >= 500:
            _fail(serving.span, error_code or str(status))
        serving.span.end()

    def call(self, method: str, service: str, port: int | None) -> AbstractContextManager[None]:
        """A span around a request to a service."""
        attributes: dict[str, Any] = {"http.request.method": method, "server.address": service}
        return self._around(method, attributes | ({"server.port": port} if port else {}))

    def answered(self, status: int) -> None:
        """Write down what a service answered."""
        span = get_current_span()
        span.set_attribute("http.response.status_code", status)
        if status >= 400:
            _fail(span, str(status))

    def redis(self, command: str) -> AbstractContextManager[None]:
        """A span around a command of Redis."""
        return self._around(command, {"db.system.name": "redis", "db.operation.name": command})

    def sql(self, statement: str) -> AbstractContextManager[None]:
        """A span around a statement that does not go by an engine; see `watch_sql`."""
        return self._around(*_of_statement(statement))

    def watch_sql(self, engine: "Engine") -> None:
        """Let each statement have a span; its text has marks where its parameters go, and these stay out of it."""
        from sqlalchemy import event  # noqa: PLC0415 - the gateway has no database, and no package for one

        def before(_connection: Any, _cursor: Any, statement: str, _parameters: Any, context: Any, _many: Any) -> None:
            context.latchkey_span = self._child(*_of_statement(statement))

        def after(_connection: Any, _cursor: Any, _statement: str, _parameters: Any, context: Any, _many: Any) -> None:
            context.latchkey_span.end()

        def failed(situation: Any) -> None:
            span = getattr(situation.execution_context, "latchkey_span", None)
            if span is not None:
                _fail(span, type(situation.original_exception).__name__)
                span.end()

        event.listen(engine, "before_cursor_execute", before)
        event.listen(engine, "after_cursor_execute", after)
        event.listen(engine, "handle_error", failed)

    def current_span_id(self) -> str | None:
        """The id of the current span, also of one that is not kept; None outside a request."""
        made = get_current_span().get_span_context()
        return f"{made.span_id:016x}" if made.is_valid else None

    def _child(self, name: str, attributes: Mapping[str, Any]) -> Span:
        """A span below the current one, or none that counts where no request is served."""
        parent = get_current_span()
        if not parent.is_recording():
            return NonRecordingSpan(parent.get_span_context())
        return self._tracer.start_span(name, kind=SpanKind.CLIENT, attributes=attributes)

    @contextmanager
    def _around(self, name: str, attributes: Mapping[str, Any]) -> Iterator[None]:
        span = self._child(name, attributes)
        token = contexts.attach(set_span_in_context(span))
        try:
            yield
        except BaseException as error:
            # Its name and nothing of what it says: there may be anything in that.
            _fail(span, type(error).__name__)
            raise
        finally:
            contexts.detach(token)
            span.end()


def _of_statement(statement: str) -> tuple[str, dict[str, Any]]:
    """The name and the attributes of a statement's span."""
    operation = statement.split(maxsplit=1)[0].upper()
    return operation, {
        "db.system.name": "postgresql", "db.operation.name": operation, "db.query.text": statement,
    }  # fmt: skip


def _fail(span: Span, what: str) -> None:
    span.set_status(Status(StatusCode.ERROR))
    span.set_attribute("error.type", what)


def _parent_of(trace: Trace) -> Context:
    if not trace.parent_id:
        return Context()
    flags = TraceFlags(int(trace.flags, 16))
    remote = SpanContext(int(trace.trace_id, 16), int(trace.parent_id, 16), is_remote=True, trace_flags=flags)
    return set_span_in_context(NonRecordingSpan(remote), Context())
