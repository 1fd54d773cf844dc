"""The gateway's own figures; what all rooms count stands in `shared.metrics`."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

from gateway.replicas import Health
from gateway.routes import SERVICES
from shared.metrics import counter, gauge, histogram, sample, sample_growth

if TYPE_CHECKING:
    from gateway.confirmations import Confirmations
    from gateway.revocations import RevokedSessions
    from gateway.upstream import Upstream

_upstream_seconds = histogram(
    "latchkey_upstream_duration_seconds", "From asking a service to its whole answer or to giving up", "service"
)
_refusals = counter("latchkey_rate_limit_refusals", "Requests that a rate limit refused", "limit")
checks = counter("latchkey_envelope_checks", "Answers whose envelope was looked at before they were sent")
violations = counter("latchkey_envelope_violations", "Answers that broke the envelope and were replaced; must stay 0")
_followed = gauge(
    "latchkey_revocations_followed", "1 while a worker learns at once which sessions end, else 0", over_workers="min"
)
_followed_age = gauge(
    "latchkey_revocations_read_age_seconds", "How long ago the stream of ended sessions was read", over_workers="max"
)
_revoked = gauge("latchkey_revoked_sessions", "Ended sessions that a worker remembers", over_workers="max")
_confirmations = gauge(
    "latchkey_confirmations_waiting", "Sightings of new tokens that auth is not told yet", over_workers="sum"
)
_under_way = gauge(
    "latchkey_upstream_under_way", "Requests that a service has not answered yet", "service", over_workers="sum"
)
_replicas = gauge("latchkey_upstream_replicas", "Replicas of a service that are known", "service", over_workers="max")
_ready = gauge(
    "latchkey_upstream_replicas_ready", "Replicas of a service that get requests", "service", over_workers="min"
)
_idle = gauge(
    "latchkey_upstream_idle_connections", "Connections that wait for a request", "service", over_workers="sum"
)
_retries = counter("latchkey_upstream_retries", "Requests that were sent to a service once more", "service")
_ejections = counter(
    "latchkey_upstream_ejections", "Replicas left out because a request could not reach them", "service"
)

_upstream_by_service = {name: _upstream_seconds.labels(name) for name in SERVICES}


def watch(upstreams: "Mapping[str, Upstream]", revoked: "RevokedSessions", confirmations: "Confirmations") -> None:
    """Show the state of these parts from now on."""
    for name, upstream in upstreams.items():
        _watch_upstream(name, upstream)
    sample(_followed, lambda: float(revoked.followed))
    sample(_followed_age, lambda: revoked.read_age)
    sample(_revoked, lambda: len(revoked))
    sample(_confirmations, lambda: len(confirmations))


def _watch_upstream(name: str, upstream: "Upstream") -> None:
    replicas = upstream.replicas
    sample(_under_way.labels(name), lambda: upstream.under_way)
    sample(_idle.labels(name), lambda: sum(replica.idle for replica in replicas))
    sample(_replicas.labels(name), lambda: len(list(replicas)))
    sample(_ready.labels(name), lambda: sum(replica.health is Health.READY for replica in replicas))
    sample_growth(_retries.labels(name), lambda: upstream.retries)
    sample_growth(_ejections.labels(name), lambda: replicas.ejections)


def count_refusal(limit: str) -> None:
    """Count a request that the limit of this name refused."""
    _refusals.labels(limit).inc()


def observe_upstream(service: str, seconds: float) -> None:
    """Remember how long a service took."""
    _upstream_by_service[service].observe(seconds)
