"""Limits how many requests one network and one person may send, exactly and over all gateways together.

A round trip to Redis for every request would cost about as much as all the rest. So a worker takes a few tokens at once
for whoever is busy (a lease), spends them, and forgets what is left of them after a second, which can only make the
limit a little stricter. The buckets are in `gateway/buckets.py`.
"""

import math
import time

from gevent.lock import BoundedSemaphore

from gateway.buckets import LocalBuckets, Rule, SharedBuckets
from gateway.metrics import count_refusal
from shared.errors import TooManyRequests

_LEASE_SECONDS = 1.0
_LARGEST_LEASE = 1_000
_MAX_LEASES = 10_000


class _Lease:
    """The tokens that this worker holds for one key, and what it knows of the bucket they come from."""

    __slots__ = ("behind", "left", "refused_until", "size", "turn", "until")

    def __init__(self) -> None:
        self.left = 0
        self.size = 0
        self.behind = 0
        self.until = 0.0
        self.refused_until = 0.0
        # One asks for more; the others wait for what it gets.
        self.turn = BoundedSemaphore(1)

    def wanted(self, now: float) -> int:
        """Twice as many as were used up in time; else as many as were used."""
        if now < self.until:
            return min(2 * self.size, _LARGEST_LEASE)
        return max(1, self.size - self.left)


class Limit:
    """One rule for everybody whom it counts."""

    def __init__(self, rule: Rule, shared: SharedBuckets) -> None:
        self._rule = rule
        self._shared = shared
        self._local = LocalBuckets()
        self._leases: dict[str, _Lease] = {}
        # draft-ietf-httpapi-ratelimit-headers-11, section 3: `q` requests in `w` seconds.
        self.policy = f'"{rule.name}";q={rule.burst};w={math.ceil(rule.burst / rule.per_second)}'

    def spend(self, key: str, standings: list[str]) -> None:
        """Count a request, and add to `standings` how things are now. Raises TooManyRequests."""
        lease = self._leases.get(key)
        if lease is None or not lease.left or time.monotonic() >= lease.until:
            lease = lease or self._new_lease(key)
            if not self._renew(lease, key):
                standings.append(self._standing(0))
                count_refusal(self._rule.name)
                # Every bucket gets at least one token a second.
                raise TooManyRequests(1)
        lease.left -= 1
        standings.append(self._standing(lease.behind + lease.left))

    def _renew(self, lease: _Lease, key: str) -> bool:
        """Get tokens for a lease; whether there is one now."""
        with lease.turn:
            now = time.monotonic()
            if lease.left and now < lease.until:
                return True
            if now < lease.refused_until:
                return False
            grant = self._shared.take(self._rule, key, lease.wanted(now)) or self._local.take(self._rule, key)
            now = time.monotonic()
            if grant.given:
                lease.left = lease.size = grant.given
                lease.behind, lease.until = grant.left, now + _LEASE_SECONDS
            else:
                lease.refused_until = now + grant.wait
            return bool(grant.given)

    def _new_lease(self, key: str) -> _Lease:
        if len(self._leases) >= _MAX_LEASES:
            now = time.monotonic()
            kept = {key: lease for key, lease in self._leases.items() if now < max(lease.until, lease.refused_until)}
            self._leases = kept if len(kept) < _MAX_LEASES else {}
        return self._leases.setdefault(key, _Lease())

    def _standing(self, left: int) -> str:
        # Section 4 of the draft: `r` requests are left, and in `t` seconds all of them are there again.
        return f'"{self._rule.name}";r={left};t={-((left - self._rule.burst) // self._rule.per_second)}'


class Limits:
    """The limits of a gateway. `policies` is what the RateLimit-Policy header says."""

    def __init__(self, network: Rule, person: Rule, redis_url: str) -> None:
        self._shared = SharedBuckets(redis_url)
        self.network = Limit(network, self._shared)
        self.person = Limit(person, self._shared)
        self.policies = f"{self.network.policy}, {self.person.policy}"

    def start(self) -> None:
        """Share the buckets with all gateways; before that, and while Redis is away, each worker has its own."""
        self._shared.start()
