"""Limits how many requests one network may send to this worker."""

import time

from shared.errors import TooManyRequests

_MAX_NETWORKS = 100_000


class RequestLimit:
    """The generic cell rate algorithm: `per_second` in the long run, `burst` at once, one number for each network."""

    def __init__(self, per_second: int, burst: int) -> None:
        self._interval = 1 / per_second
        # A hair more than the burst, because sums of fractions are a hair off.
        self._tolerance = (burst + 0.001) * self._interval
        self._theoretical: dict[str, float] = {}

    def spend(self, network: str) -> None:
        """Count a request. Raises TooManyRequests."""
        now = time.monotonic()
        arrival = max(self._theoretical.get(network, now), now) + self._interval
        if arrival - now > self._tolerance:
            raise TooManyRequests(int(arrival - now - self._tolerance) + 1)
        if len(self._theoretical) >= _MAX_NETWORKS:
            self._theoretical = {name: moment for name, moment in self._theoretical.items() if moment > now}
        self._theoretical[network] = arrival
