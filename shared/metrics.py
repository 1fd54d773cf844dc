"""Figures for Prometheus: what every room counts, and the door at which they are read.

Metrics are made with `counter`, `gauge` and `histogram`, in the module `metrics` of the room that they belong to. Their
labels take a fixed, small number of values: a route's template and never a path, a code of the catalogue, a method
that we know.
"""

import threading
import time
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any, Literal

import structlog
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, make_wsgi_app, start_http_server, values
from prometheus_client.multiprocess import MultiProcessCollector

from shared.catalogue import CATALOGUE
from shared.envelope import CONTENT_TYPE, failure
from shared.languages import DEFAULT_LANGUAGE
from shared.metric_files import own_slot

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication

UNKNOWN_ROUTE = "unknown"
BROKEN_REQUEST = "broken"
_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
_OTHER = "other"
# In seconds: from what a cached answer takes to the longest deadline.
LATENCY_BUCKETS = (0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
_SAMPLE_SECONDS = 5.0

log = structlog.get_logger(__name__)

# The workers of gunicorn write to files, every other process keeps its figures in its own memory.
_slot = own_slot()
if _slot is not None:
    values.ValueClass = values.MultiProcessValue(lambda: _slot)  # type: ignore[no-untyped-call]
_registry = CollectorRegistry()


def counter(name: str, what: str, *labels: str) -> Counter:
    """Something that only grows; its name ends in `_total` when it is read."""
    return Counter(name, what, labels, registry=_registry)


def gauge(name: str, what: str, *labels: str, over_workers: Literal["min", "max", "sum"]) -> Gauge:
    """Something that goes up and down; `over_workers` says what several workers' values come to."""
    modes: dict[str, Any] = {"min": "livemin", "max": "livemax", "sum": "livesum"}
    return Gauge(name, what, labels, registry=_registry, multiprocess_mode=modes[over_workers])


def histogram(name: str, what: str, *labels: str) -> Histogram:
    """How long things take, in seconds."""
    return Histogram(name, what, labels, registry=_registry, buckets=LATENCY_BUCKETS)


_requests = counter("latchkey_http_requests", "Requests that were answered", "route", "method", "status", "error_code")
_durations = histogram(
    "latchkey_http_request_duration_seconds", "From the request's head to the whole answer", "route", "method"
)
_failures = counter("latchkey_failures", "5xx answers by who failed, a room or a service", "failed", "error_code")
_children: dict[tuple[str, str, int, str], tuple[Counter, Histogram]] = {}


def count_request(
    route: str, method: str, status: int, error_code: str | None, *, seconds: float | None, failed: str | None
) -> None:
    """Count a request that was answered, after `seconds` if it is known how many.

    `route` is a template, `failed` says whose fault a 5xx is; method and code may be anything that a stranger says.
    The labels' children are kept here, because looking them up takes longer than counting.
    """
    method = method if method in _METHODS else _OTHER
    code = "" if error_code is None else error_code if error_code in CATALOGUE else _OTHER
    key = (route, method, status, code)
    known = _children.get(key)
    if known is None:
        known = _children[key] = (_requests.labels(*map(str, key)), _durations.labels(route, method))
    known[0].inc()
    if seconds is not None:
        known[1].observe(seconds)
    if failed:
        _failures.labels(failed, code).inc()


_samples: list[Callable[[], None]] = []


def sample(measured: Gauge, measure: Callable[[], float]) -> None:
    """Let a gauge (or its child, where it has labels) say what `measure` says, every five seconds.

    Because a worker that is scraped can't ask the others, each writes down its own state from time to time.
    """
    look_often(lambda: measured.set(measure()))


def sample_growth(counted: Counter, count: Callable[[], int]) -> None:
    """Let a counter follow a number that only grows and begins at 0, every five seconds."""
    seen = 0

    def look() -> None:
        nonlocal seen
        now = count()
        counted.inc(now - seen)
        seen = now

    look_often(look)


def look_often(look: Callable[[], None]) -> None:
    """Call `look`, which sets figures, every five seconds."""
    _samples.append(look)


def open_door(worker: Any, port: str) -> None:
    """Let a worker of gunicorn answer for all workers at the port of METRICS_BIND."""
    everybodys = CollectorRegistry()
    MultiProcessCollector(everybodys)  # type: ignore[no-untyped-call]
    worker.wsgi = MetricsDoor(worker.wsgi, make_wsgi_app(everybodys), port)
    _start_sampling()


def serve_alone(address: str) -> None:
    """Answer at `address` ("host:port") from a thread, for a process that gunicorn did not start; "" is nowhere."""
    if address:
        host, _, port = address.rpartition(":")
        start_http_server(int(port), host, _registry)
        _start_sampling()


class MetricsDoor:
    """A WSGI application in front of another: at the metrics' port there are /metrics and /health/* and nothing else.

    gunicorn takes SERVER_PORT from the socket that the request came in by, whatever its `Host` says.
    """

    def __init__(self, app: "WSGIApplication", metrics: "WSGIApplication", port: str) -> None:
        self._app = app
        self._metrics = metrics
        self._port = port

    def __call__(self, environ: dict[str, Any], start_response: "StartResponse") -> Iterable[bytes]:
        """Serve one request (PEP 3333)."""
        if environ["SERVER_PORT"] != self._port:
            return self._app(environ, start_response)
        if environ["PATH_INFO"] == "/metrics":
            return self._metrics(environ, start_response)
        if environ["PATH_INFO"].startswith("/health/"):
            return self._app(environ, start_response)
        body = failure("REQ_404", DEFAULT_LANGUAGE)
        start_response("404 Not Found", [("Content-Type", CONTENT_TYPE), ("Content-Length", str(len(body)))])
        return [] if environ["REQUEST_METHOD"] == "HEAD" else [body]


def _start_sampling() -> None:
    threading.Thread(target=_sample_for_ever, name="figures", daemon=True).start()


def _sample_for_ever() -> None:
    while True:
        for look in _samples:
            try:
                look()
            except Exception as error:  # noqa: BLE001 - a figure that can't be had is no reason to have none
                log.warning("figure_not_sampled", reason=repr(error))
        time.sleep(_SAMPLE_SECONDS)
