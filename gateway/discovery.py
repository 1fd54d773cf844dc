"""Finds the replicas of a service and asks each whether it is ready, in the background: no request waits for a name."""

from collections.abc import Callable
from socket import SOCK_STREAM
from urllib.parse import SplitResult

import gevent
import structlog
from gevent import socket

from gateway.replicas import IDLE_SECONDS, Address, Health, NotConnected, Replica, Replicas
from shared.addresses import is_address

# Docker's records live 600 s, so nobody's idea of how long an answer is good is asked.
RESOLVE_SECONDS = 1.0
PROBE_PAUSE = 0.5
PROBE_SECONDS = 2.0
# A replica that takes connections and says nothing may only be busy; this often in a row it is not.
_SILENT_PROBES = 3
_STATUS_LINE_BYTES = 64

Resolve = Callable[[str, int], set[Address]]

log = structlog.get_logger(__name__)


def addresses_of(host: str, port: int) -> set[Address]:
    """All addresses of a name, as the system finds them. Raises OSError.

    The calling greenlet waits, the others go on. How long it may take is for the system to say (RES_OPTIONS in
    gateway/gunicorn_conf.py).
    """
    found = socket.getaddrinfo(host, port, type=SOCK_STREAM)
    return {Address(family, sockaddr) for family, _, _, _, sockaddr in found}


class Discovery:
    """Keeps `replicas` as they are: those that the name has, and how each of them is.

    A replica is ready unless it says that it is not: one that answers `/health/ready` with anything below 500, because
    a service without such a page is none the worse. `found` becomes true with the first one that is ready and stays so;
    a gateway without users still has sign-ins to serve.
    """

    def __init__(self, replicas: Replicas, url: SplitResult, resolve: Resolve = addresses_of) -> None:
        self._replicas = replicas
        self._host = url.hostname or ""
        self._port = url.port or 80
        self._resolve = resolve
        path = f"{url.path.rstrip('/')}/health/ready"
        self._question = (
            f"GET {path} HTTP/1.1\r\nHost: {url.netloc.rpartition('@')[2]}\r\nConnection: close\r\n\r\n".encode()
        )
        self._reason = ""
        self.found = False
        self._is_fixed = is_address(self._host)
        if self._is_fixed:
            replicas.be(addresses_of(self._host, self._port))

    def start(self) -> None:
        """Watch from greenlets for as long as the process lives."""
        for replica in self._replicas:
            gevent.spawn(self._watch, replica)
        if not self._is_fixed:
            gevent.spawn(self._follow)

    def _follow(self) -> None:
        """Look for new and gone addresses; while the name can't be resolved, the last ones are as good as any."""
        while True:
            try:
                for replica in self._replicas.be(self._resolve(self._host, self._port)):
                    gevent.spawn(self._watch, replica)
                self._reason = ""
            except (OSError, UnicodeError) as error:
                # Also for what can't be a name at all.
                if str(error) != self._reason:
                    log.warning("service_not_resolved", host=self._host, reason=str(error))
                self._reason = str(error)
            gevent.sleep(RESOLVE_SECONDS)

    def _watch(self, replica: Replica) -> None:
        silent = 0
        while replica.known:
            replica.doubted.clear()
            health = self._probe(replica)
            silent = silent + 1 if health is None else 0
            if health is None and silent >= _SILENT_PROBES:
                health = Health.NOT_READY
            if health is not None and replica.known:
                self.found = self.found or health == Health.READY
                self._replicas.note(replica, health)
            replica.drop_idle(older_than=IDLE_SECONDS)
            replica.doubted.wait(PROBE_PAUSE)

    def _probe(self, replica: Replica) -> Health | None:
        """How a replica is; None when it says nothing.

        Every probe has a connection of its own, so that it meets what a new request would meet.
        """
        try:
            sock = replica.connect()
        except NotConnected:
            return Health.AWAY
        try:
            with gevent.Timeout(PROBE_SECONDS):
                sock.sendall(self._question)
                line = sock.recv(_STATUS_LINE_BYTES)
        except gevent.Timeout:
            return None
        except OSError:
            return Health.NOT_READY
        finally:
            sock.close()
        status = line[9:12]
        answered = line.startswith(b"HTTP/1.") and status.isdigit() and status < b"500"
        return Health.READY if answered else Health.NOT_READY
