"""The spans of one room in one process, and what is refused as a place to send them to."""

import uuid
from collections.abc import Iterator

import pytest
from flask import Flask
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from sqlalchemy import text

from shared import tracing
from shared.database import Database
from shared.errors import Unavailable
from shared.redis_client import connect
from shared.service_client import ServiceClient, ServiceUnreachable
from shared.settings import SettingsError
from shared.spans import Tracer
from shared.strict_json import MAX_DEPTH
from shared.trace import current_trace
from shared.web import create_app
from tools.stack import Stack

TRACE_ID, PARENT = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"


@pytest.fixture
def exporter() -> Iterator[InMemorySpanExporter]:
    kept = InMemorySpanExporter()
    tracing.use(Tracer("users", SimpleSpanProcessor(kept), 1))
    try:
        yield kept
    finally:
        tracing.use(None)


@pytest.fixture
def app(stack: Stack, exporter: InMemorySpanExporter) -> Iterator[Flask]:
    app = create_app("users", budget=5, max_json_depth=MAX_DEPTH)
    database = Database(stack.database_url("users"), connections=1)
    away = ServiceClient("http://127.0.0.1:9")

    @app.get("/people/<int:person>")
    def show(person: int) -> str:
        with database.transaction() as session:
            session.execute(text("SELECT :secret"), {"secret": "SESAME"})
        connect(stack.redis_url, answer_seconds=1).get("SESAME")
        with pytest.raises(ServiceUnreachable):
            away.get("/SESAME", {"token": "SESAME"})
        trace = current_trace.get()
        assert trace is not None
        return trace.onward_headers()["Traceparent"]

    @app.get("/broken")
    def fail() -> str:
        with pytest.raises(Unavailable), database.transaction() as session:
            session.execute(text("SELECT pg_terminate_backend(pg_backend_pid())"))
        raise ValueError("SESAME")

    yield app
    # These requests are served by the thread of the tests, where nobody else's calls are for them.
    current_trace.set(None)
    database.engine.dispose()


def spans_of(exporter: InMemorySpanExporter) -> dict[str, ReadableSpan]:
    return {span.name: span for span in exporter.get_finished_spans()}


def test_what_a_request_waits_for_is_below_its_span(app: Flask, exporter: InMemorySpanExporter) -> None:
    headers = {"Traceparent": f"00-{TRACE_ID}-{PARENT}-01"}
    onward = app.test_client().get("/people/1234567?token=SESAME", headers=headers).text
    spans = spans_of(exporter)
    assert set(spans) == {"GET /people/{person}", "SELECT", "GET"}
    request = spans["GET /people/{person}"]
    assert request.context is not None
    assert request.parent is not None
    assert (f"{request.context.trace_id:032x}", f"{request.parent.span_id:016x}") == (TRACE_ID, PARENT)
    below = [span for span in exporter.get_finished_spans() if span is not request]
    assert [span.parent.span_id for span in below if span.parent] == [request.context.span_id] * 3
    assert onward == f"00-{TRACE_ID}-{request.context.span_id:016x}-01"
    told = [dict(span.attributes or {}) for span in below]
    assert [one["db.system.name"] for one in told if "db.system.name" in one] == ["postgresql", "redis"]
    [asked] = [one for one in told if "server.address" in one]
    assert (asked["server.address"], asked["server.port"], asked["error.type"]) == (
        "127.0.0.1", 9, "ServiceUnreachable",
    )  # fmt: skip
    assert "SESAME" not in "".join(span.to_json() for span in exporter.get_finished_spans())
    assert "1234567" not in "".join(span.to_json() for span in exporter.get_finished_spans())


def test_a_failure_is_told_by_its_code_and_nothing_that_it_says(app: Flask, exporter: InMemorySpanExporter) -> None:
    assert app.test_client().get("/broken").status_code == 500
    spans = spans_of(exporter)
    assert [span.status.is_ok for span in spans.values()] == [False, False]
    assert (spans["GET /broken"].attributes or {})["error.type"] == "SRV_500"
    assert (spans["SELECT"].attributes or {})["error.type"] == "AdminShutdown"
    assert "SESAME" not in "".join(span.to_json() for span in exporter.get_finished_spans())


def test_what_a_caller_does_not_trace_is_not_traced_here(app: Flask, exporter: InMemorySpanExporter) -> None:
    app.test_client().get("/people/1", headers={"Traceparent": f"00-{uuid.uuid4().hex}-{PARENT}-00"})
    assert exporter.get_finished_spans() == ()


def test_nothing_is_left_of_a_request_when_the_next_one_comes(app: Flask, exporter: InMemorySpanExporter) -> None:
    client = app.test_client()
    for _ in range(2):
        client.get("/people/1")
    roots = [span for span in exporter.get_finished_spans() if span.parent is None]
    assert len(roots) == len({span.context.trace_id for span in roots if span.context}) == 2
    assert tracing.current_span_id() is None


@pytest.mark.parametrize(
    ("settings", "problem"),
    [
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "collector:4318"}, "OTEL_EXPORTER_OTLP_ENDPOINT must be a URL with http"),
        ({"OTEL_TRACES_SAMPLER_ARG": "2"}, "OTEL_TRACES_SAMPLER_ARG must be a number from 0 to 1"),
        ({"OTEL_TRACES_SAMPLER_ARG": "nan"}, "OTEL_TRACES_SAMPLER_ARG must be a number from 0 to 1"),
        ({"OTEL_TRACES_SAMPLER_ARG": "often"}, "OTEL_TRACES_SAMPLER_ARG must be a number from 0 to 1"),
    ],
)
def test_a_destination_that_is_none_is_refused_by_name(settings: dict[str, str], problem: str) -> None:
    with pytest.raises(SettingsError, match=f"^{problem}"):
        tracing.Destination.read(settings)
