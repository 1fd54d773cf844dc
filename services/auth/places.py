"""Places for signing in and up: so many at once in a process, and no network or person takes those of all others."""

import random
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

from services.auth import metrics
from shared.errors import Unavailable
from shared.networks import site_of

_EMAIL = 3
_ALL = "all"
# Whoever is refused comes back within this time, not all in the same second.
_RETRY_SECONDS = (1, 5)


class Places:
    """`slots` + `queue` places. A network has three quarters of them, and never fewer than keep the slots busy.

    Of these, sign-ins with one email have three, or half if that is less, and with one push token among them, or
    without any, one less: so whoever tries an account again and again leaves a place for the owner's device.
    """

    def __init__(self, slots: int, queue: int) -> None:
        self._number = slots + queue
        metrics.hashing_places.set(self._number)
        self._of_a_network = max(slots, self._number * 3 // 4)
        self._of_an_email = max(1, min(_EMAIL, self._of_a_network // 2))
        self._of_a_device = max(1, self._of_an_email - 1)
        self._taken: Counter[str] = Counter()
        self._lock = threading.Lock()

    @contextmanager
    def take(self, network: str, email: str | None = None, push_token: str | None = None) -> Iterator[None]:
        """A place for somebody who signs in with this email, or up. Raises Unavailable at once when there is none.

        It is held while the database, Redis and users are asked, too: so a storm of sign-ins leaves threads for
        refreshes and reads, whatever it is that makes them slow, and whoever is refused has cost nothing yet.

        The share of an email is that at one network: else whoever knows it could keep its owner out from anywhere. An
        email that nobody has an account with has the same.
        """
        # A customer of a hosting company has 65,536 networks of /64.
        site = site_of(network)
        limits = {_ALL: self._number, f"network {site}": self._of_a_network}
        if email is not None:
            limits[f"email {site} {email}"] = self._of_an_email
            limits[f"device {site} {email} {push_token}"] = self._of_a_device
        with self._lock:
            if any(self._taken[key] >= most for key, most in limits.items()):
                raise too_many("too many sign in or up")
            self._taken.update(limits.keys())
        try:
            with metrics.hashing_under_way.track_inprogress():
                yield
        finally:
            with self._lock:
                # This forgets whoever has none any more.
                self._taken -= Counter(limits.keys())


def too_many(reason: str) -> Unavailable:
    """What somebody is told who finds no place, or whose turn does not come in time."""
    metrics.hashing_refused.inc()
    return Unavailable(reason, seconds=random.randint(*_RETRY_SECONDS))  # noqa: S311
