"""Spans for OpenTelemetry: none, and nothing of it is imported, until OTEL_EXPORTER_OTLP_ENDPOINT says where they go.

A span tells that a room served a request, or waited for a service, PostgreSQL or Redis meanwhile. What no request asked
for leaves none. There is nothing in a span that a person or an app sent, but the name of a method that we know.
"""

import math
import os
import threading
from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

from shared.settings import Environment

if TYPE_CHECKING:
    from sqlalchemy import Engine

    from shared.spans import Tracer
    from shared.trace import Trace

# How long a process that ends tries to get rid of its last spans; its end has a limit (shared/serving.py).
FLUSH_SECONDS = 2.0


@dataclass(frozen=True)
class Destination:
    """Where spans go, a base URL that takes OTLP over HTTP ("" for none), and which share of the requests has some."""

    url: str
    share: float

    @classmethod
    def read(cls, environ: Mapping[str, str]) -> Self:
        """The destination in `environ`; SettingsError names what is wrong."""
        with Environment(environ) as environment:
            url = environment.text("OTEL_EXPORTER_OTLP_ENDPOINT", "")
            share = environment.text("OTEL_TRACES_SAMPLER_ARG", "1")
            if url:
                environment.url("OTEL_EXPORTER_OTLP_ENDPOINT", "http", "https")
            if not _is_share(share):
                environment.refuse("OTEL_TRACES_SAMPLER_ARG", "must be a number from 0 to 1")
                share = "1"
            return cls(url.rstrip("/"), float(share))


class _Here:
    """The tracer of this process."""

    tracer: "Tracer | None" = None


def start(room: str, environ: Mapping[str, str] = os.environ) -> None:
    """Send spans from now on, if the environment says where. Call it after the fork, before there is a database."""
    destination = Destination.read(environ)
    if destination.url:
        from shared.spans import Tracer, sender  # noqa: PLC0415 - who sends no spans does not pay for the import

        use(Tracer(room, sender(destination.url), destination.share))


def use(tracer: "Tracer | None") -> None:
    """Make spans with this tracer from now on, or none."""
    _Here.tracer = tracer


def finish() -> None:
    """Send what is left, as far as that takes no longer than FLUSH_SECONDS."""
    if tracer := _Here.tracer:
        sending = threading.Thread(target=tracer.close, daemon=True)
        sending.start()
        sending.join(FLUSH_SECONDS)


def begin(trace: "Trace", method: str) -> "Trace":
    """Begin the span of a request that came in; the trace with the ids that its span has."""
    return _Here.tracer.begin(trace, method) if _Here.tracer else trace


def end(route: str, status: int, error_code: str | None) -> None:
    """End the span of the request that is served; does nothing when there is none."""
    if _Here.tracer:
        _Here.tracer.end(route, status, error_code)


def call(method: str, service: str, port: int | None = None) -> AbstractContextManager[None]:
    """A span around a request to a service."""
    return _Here.tracer.call(method, service, port) if _Here.tracer else nullcontext()


def answered(status: int) -> None:
    """Say in the span of a `call` what the service answered."""
    if _Here.tracer:
        _Here.tracer.answered(status)


def redis(command: str) -> AbstractContextManager[None]:
    """A span around a command of Redis."""
    return _Here.tracer.redis(command) if _Here.tracer else nullcontext()


def sql(statement: str) -> AbstractContextManager[None]:
    """A span around a statement that does not go by an engine."""
    return _Here.tracer.sql(statement) if _Here.tracer else nullcontext()


def watch_sql(engine: "Engine") -> None:
    """Let each statement of this engine have a span."""
    if _Here.tracer:
        _Here.tracer.watch_sql(engine)


def current_span_id() -> str | None:
    """The parent, in 16 hexadecimal digits, of what somebody else does for the current request; None without spans."""
    return _Here.tracer.current_span_id() if _Here.tracer else None


def _is_share(text: str) -> bool:
    try:
        number = float(text)
    except ValueError:
        return False
    return math.isfinite(number) and 0 <= number <= 1
