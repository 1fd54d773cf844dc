"""The copies of one service: what is known of each, the connections that are kept to it, and who gets a request."""

import random
import socket as plain
import time
from collections import deque
from collections.abc import Collection, Iterable, Iterator, Set
from enum import IntEnum
from typing import Any, NamedTuple

import structlog
from gevent import socket
from gevent.event import Event
from gevent.monkey import get_original

CONNECT_SECONDS = 1.0
# Well before a service closes it (KEEPALIVE_SECONDS of shared/serving.py, 15), so that no request meets a closing one.
IDLE_SECONDS = 5.0

# The one of the operating system: gevent's own looks at one socket in 3.2 us, this one in 0.9.
_poll = get_original("select", "poll")
_READABLE = 1

log = structlog.get_logger(__name__)


class NotConnected(Exception):
    """No connection came about, so nothing of the request has reached anybody."""


class Address(NamedTuple):
    """Where a replica listens, as getaddrinfo tells it."""

    family: int
    sockaddr: tuple[Any, ...]

    def __str__(self) -> str:
        return f"{self.sockaddr[0]} port {self.sockaddr[1]}"


class Health(IntEnum):
    """What is known of a replica; only those with the best of all replicas get requests."""

    AWAY = 0
    """Nobody takes a connection there, or nobody has tried yet."""
    NOT_READY = 1
    """Somebody answers and wants no requests: it is draining, or its database is away."""
    READY = 2


class Replica:
    """One copy. It is `chosen` when it gets requests, and `busy` with so many from here.

    `doubted` is set when somebody should look at it now.
    """

    def __init__(self, address: Address) -> None:
        self.address = address
        self.health = Health.AWAY
        self.known = True
        self.chosen = False
        self.busy = 0
        self.doubted = Event()
        self._idle: deque[tuple[float, socket.socket]] = deque()

    @property
    def idle(self) -> int:
        """How many connections wait for a request."""
        return len(self._idle)

    def connection(self) -> socket.socket:
        """The connection that was used last, or a new one. Raises NotConnected."""
        while self._idle:
            _, sock = self._idle.pop()
            if _is_quiet(sock):
                return sock
            sock.close()
        return self.connect()

    def connect(self) -> socket.socket:
        """A new connection. Raises NotConnected."""
        try:
            sock = socket.socket(self.address.family, plain.SOCK_STREAM)
            try:
                sock.settimeout(CONNECT_SECONDS)
                sock.connect(self.address.sockaddr)
                sock.settimeout(None)
                sock.setsockopt(plain.IPPROTO_TCP, plain.TCP_NODELAY, 1)
            except BaseException:
                sock.close()
                raise
        except OSError as error:
            raise NotConnected(f"{self.address}: {error}") from error
        return sock

    def keep(self, sock: socket.socket) -> None:
        """Take back a connection whose answer was read to its end."""
        if self.chosen:
            self._idle.append((time.monotonic(), sock))
        else:
            sock.close()

    def drop_idle(self, older_than: float = 0.0) -> None:
        """Close the connections that have waited for `older_than` seconds."""
        before = time.monotonic() - older_than
        while self._idle and self._idle[0][0] <= before:
            self._idle.popleft()[1].close()


class Replicas:
    """The replicas of the service `name`. `ejections` counts those that requests, not probes, found away."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._by_address: dict[Address, Replica] = {}
        self._choice: list[Replica] = []
        self.ejections = 0

    def __iter__(self) -> Iterator[Replica]:
        return iter(list(self._by_address.values()))

    def be(self, addresses: Set[Address]) -> list[Replica]:
        """Let `addresses` be all there are; gives those that are new."""
        if addresses == self._by_address.keys():
            return []
        for address in self._by_address.keys() - addresses:
            replica = self._by_address.pop(address)
            replica.known = False
            replica.doubted.set()
            log.info("replica_left", service=self._name, address=str(address))
        new = [Replica(address) for address in addresses - self._by_address.keys()]
        for replica in new:
            self._by_address[replica.address] = replica
            log.info("replica_listed", service=self._name, address=str(replica.address))
        self._choose()
        return new

    def pick(self, tried: Collection[Replica] = ()) -> Replica | None:
        """The less busy of two random ones of the best that are left, or None.

        Two choices come close to asking all of them, and don't send everything to the one that has just become idle.
        """
        choice = _best(replica for replica in self if replica not in tried) if tried else self._choice
        count = len(choice)
        if count < 2:
            return choice[0] if choice else None
        first = int(random.random() * count)  # noqa: S311 - nobody gains from knowing who is asked
        second = int(random.random() * (count - 1))  # noqa: S311
        one, other = choice[first], choice[second if second < first else second + 1]
        return one if one.busy <= other.busy else other

    def note(self, replica: Replica, health: Health) -> None:
        """Say what is known of a replica now."""
        if health == replica.health:
            return
        replica.health = health
        self._choose()
        log.info("replica_changed", service=self._name, address=str(replica.address), health=health.name)

    def eject(self, replica: Replica) -> None:
        """Leave out a replica that a request could not reach, until it answers a probe, which is sent now.

        The last one is never left out: when all are away, all get requests.
        """
        self.ejections += 1
        self.note(replica, Health.AWAY)
        replica.drop_idle()
        replica.doubted.set()

    def _choose(self) -> None:
        before, self._choice = self._choice, _best(self)
        for replica in before:
            replica.chosen = False
        for replica in self._choice:
            replica.chosen = True
        for replica in before:
            if not replica.chosen:
                replica.drop_idle()


def _best(replicas: Iterable[Replica]) -> list[Replica]:
    found = list(replicas)
    best = max((replica.health for replica in found), default=Health.AWAY)
    return [replica for replica in found if replica.health == best]


def _is_quiet(sock: socket.socket) -> bool:
    """Whether a connection that waits is as it should be: what can be read there is its end, or nobody's answer."""
    poll = _poll()
    poll.register(sock.fileno(), _READABLE)
    return not poll.poll(0)
