"""Where the replicas behind a service's name are, without making a call wait for the name."""

import random
import socket
import threading
import time
from collections.abc import Callable
from ipaddress import ip_address

import structlog

# How old an answer may be; Docker says 600 s of records that change with every container.
RESOLVE_SECONDS = 1.0
# A name is usually found in a millisecond, and in ten seconds when it is gone; nobody waits longer than this for it.
PATIENCE_SECONDS = 0.2
# A replica that could not be reached is tried last for this long.
_DOUBT_SECONDS = 5.0

Resolve = Callable[[str, int], set[str]]

log = structlog.get_logger(__name__)


def addresses_of(host: str, port: int) -> set[str]:
    """All IP addresses of a name, as the system finds them. Raises OSError."""
    return {str(sockaddr[0]) for *_, sockaddr in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)}


class Addresses:
    """The addresses of `host`, looked up by a thread while somebody asks; the last ones count while none are found.

    Safe to share between threads.
    """

    def __init__(self, host: str, port: int, resolve: Resolve = addresses_of) -> None:
        self._host = host
        self._port = port
        self._resolve = resolve
        self._is_fixed = is_address(host)
        self._known = {host} if self._is_fixed else set()
        self._looked_up_at = float("-inf")
        self._lock = threading.Lock()
        self._under_way: threading.Event | None = None
        self._doubted_until: dict[str, float] = {}

    def in_turn(self, seconds: float) -> list[str]:
        """The addresses in the order to try them in: at random, those that failed just now at the end.

        Empty when the name was never found, for which it waits `seconds` at most.
        """
        if not self._is_fixed and (answer := self._look_up()):
            answer.wait(min(seconds, PATIENCE_SECONDS) if self._known else seconds)
        now = time.monotonic()
        found = random.sample(sorted(self._known), len(self._known))
        return sorted(found, key=lambda address: self._doubted_until.get(address, 0.0) > now)

    def doubt(self, address: str) -> None:
        """Remember that an address could not be reached."""
        self._doubted_until[address] = time.monotonic() + _DOUBT_SECONDS

    def _look_up(self) -> threading.Event | None:
        """The answer that is under way; None while the last one is young."""
        with self._lock:
            if self._under_way is None and time.monotonic() >= self._looked_up_at + RESOLVE_SECONDS:
                self._under_way = threading.Event()
                threading.Thread(target=self._ask, args=(self._under_way,), name="addresses", daemon=True).start()
            return self._under_way

    def _ask(self, answered: threading.Event) -> None:
        try:
            self._known = self._resolve(self._host, self._port)
            self._doubted_until = {one: until for one, until in self._doubted_until.items() if one in self._known}
        except (OSError, UnicodeError) as error:
            # Also for what can't be a name at all.
            log.warning("service_not_resolved", host=self._host, reason=str(error))
        finally:
            with self._lock:
                self._looked_up_at = time.monotonic()
                self._under_way = None
            answered.set()


def is_address(host: str) -> bool:
    """Whether this is no name, but an IP address already."""
    try:
        ip_address(host)
    except ValueError:
        return False
    return True
