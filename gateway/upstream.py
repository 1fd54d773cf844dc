"""Calls the services: a replica for each request, deadlines, retries only where they are safe."""

import time
from dataclasses import replace
from urllib.parse import urlsplit

import gevent
import structlog

from gateway.discovery import Discovery, Resolve, addresses_of
from gateway.errors import BadAnswer, ServiceAway, ServiceSlow
from gateway.exchange import BrokenAnswer, ConnectionLost, UpstreamAnswer, UpstreamRequest, exchange, request_bytes
from gateway.replicas import NotConnected, Replica, Replicas
from shared.trace import DEADLINE_HEADER

log = structlog.get_logger(__name__)


class RetryBudget:
    """Lets a fifth of the requests be sent a second time, so that retries never double the load of a service in need.

    `most` can be saved up: a dying replica takes everything with it that is under way there at once. A service that
    nobody has asked much yet may have FLOOR retries.
    """

    SHARE = 0.2
    FLOOR = 10.0

    def __init__(self, most: int) -> None:
        self._most = max(self.FLOOR, most)
        self._saved = self.FLOOR

    def earn(self) -> None:
        """A request was made."""
        self._saved = min(self._most, self._saved + self.SHARE)

    def spend(self) -> bool:
        """Whether there may be one more retry."""
        if self._saved < 1:
            return False
        self._saved -= 1
        return True


class Upstream:
    """One service. At most `connections` requests are under way at once; more are refused at once.

    `under_way`, `retries` and `replicas` are there to be looked at.
    """

    def __init__(
        self, name: str, url: str, *, connections: int, max_answer: int, resolve: Resolve = addresses_of
    ) -> None:
        parts = urlsplit(url)
        self._host = parts.netloc.rpartition("@")[2]
        self._prefix = parts.path.rstrip("/")
        self._name = name
        self._max_answer = max_answer
        self._limit = connections
        self._budget = RetryBudget(connections)
        self.under_way = 0
        self.retries = 0
        self.replicas = Replicas(name)
        self._discovery = Discovery(self.replicas, parts, resolve)

    def start(self) -> None:
        """Look for replicas, and at them, from now on."""
        self._discovery.start()

    @property
    def found(self) -> bool:
        """Whether there was a replica that is ready; it stays so, because the last ones known are never given up."""
        return self._discovery.found

    def send(self, request: UpstreamRequest, seconds: float, *, share: float = 1.0) -> UpstreamAnswer:
        """The answer to a request, within `seconds`, unless `share` of the connections is busy.

        Raises ServiceAway, ServiceSlow or BadAnswer.
        """
        if self.under_way >= self._limit * share:
            raise ServiceAway(f"{self._name} has {self.under_way} requests under way")
        self.under_way += 1
        try:
            with gevent.Timeout(seconds, ServiceSlow(self._name)):
                return self._send(request, time.monotonic() + seconds)
        finally:
            self.under_way -= 1

    def _send(self, request: UpstreamRequest, deadline: float) -> UpstreamAnswer:
        self._budget.earn()
        replica = self.replicas.pick()
        if replica is None:
            raise ServiceAway(f"{self._name} has no address yet")
        unreachable: list[Replica] = []
        may_repeat = request.may_be_repeated
        while True:
            fault: BadAnswer | ServiceAway
            try:
                return self._exchange(replica, request)
            except NotConnected as error:
                fault, again = ServiceAway(f"{self._name} can't be reached: {error}"), True
                unreachable.append(replica)
            except ConnectionLost as error:
                fault, again = BadAnswer(f"{self._name} closed the connection: {error}"), may_repeat
                may_repeat = False
            except BrokenAnswer as error:
                raise BadAnswer(f"{self._name}: {error}", error.seen) from error
            self.replicas.eject(replica)
            another = self.replicas.pick(unreachable) if again else None
            if another is None or not self._budget.spend():
                raise fault
            self.retries += 1
            log.info("upstream_retry", service=self._name, reason=str(fault))
            replica = another
            left = str(int((deadline - time.monotonic()) * 1000))
            request = replace(request, headers={**request.headers, DEADLINE_HEADER: left})

    def _exchange(self, replica: Replica, request: UpstreamRequest) -> UpstreamAnswer:
        replica.busy += 1
        try:
            sock = replica.connection()
            try:
                sent = request_bytes(request, self._host, self._prefix)
                answer, reusable = exchange(sock, sent, request.method, self._max_answer)
            except BaseException:
                sock.close()
                raise
            if reusable:
                replica.keep(sock)
            else:
                sock.close()
            return answer
        finally:
            replica.busy -= 1
