"""Calls the services: pooled connections, deadlines, retries only where they are safe."""

from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import urlsplit

import gevent
import structlog
from geventhttpclient.connectionpool import ConnectionPool
from geventhttpclient.header import Headers
from geventhttpclient.response import HTTPConnectionClosed, HTTPParseError, HTTPSocketPoolResponse

from gateway.errors import BadAnswer, ServiceAway, ServiceSlow

CONNECT_SECONDS = 1.0
# Every request has a deadline of its own, always shorter than this.
_NETWORK_SECONDS = 600.0
_PIECE_BYTES = 64 * 1024
# What may be sent twice when a kept connection turns out to be dead (RFC 9110 section 9.2.2).
_IDEMPOTENT = frozenset({"GET", "PUT", "DELETE"})

log = structlog.get_logger(__name__)


@dataclass(frozen=True)
class UpstreamRequest:
    """What a service is asked: an origin-form target, headers that are ready to send, and the whole body."""

    method: str
    target: str
    headers: Mapping[str, str]
    body: bytes

    @property
    def is_conditional(self) -> bool:
        """Whether 304 is an answer to it (RFC 9110 section 13.1)."""
        return self.method == "GET" and ("If-None-Match" in self.headers or "If-Modified-Since" in self.headers)


@dataclass(frozen=True)
class UpstreamAnswer:
    """What a service answered, with its whole body."""

    status: int
    headers: Headers
    body: bytes

    @property
    def content_type(self) -> str:
        """The media type; one that nobody reads for a body that is encoded although we asked for none."""
        return "application/octet-stream" if self.header("Content-Encoding") else self.header("Content-Type")

    def header(self, name: str) -> str:
        """A header's value, several of one name joined (RFC 9110 section 5.3); empty when there is none."""
        value = self.headers.get(name)
        return ", ".join(value) if isinstance(value, list) else value or ""


class Upstream:
    """One service. At most `connections` requests are under way at once; more are refused at once."""

    def __init__(self, name: str, url: str, *, connections: int, max_answer: int) -> None:
        parts = urlsplit(url)
        host, port = parts.hostname or "", parts.port or 80
        self._host = parts.netloc.rpartition("@")[2]
        self._prefix = parts.path.rstrip("/")
        self._name = name
        self._max_answer = max_answer
        self._limit = connections
        self._under_way = 0
        self._pool = ConnectionPool(
            host, port, host, port,
            size=connections, connection_timeout=CONNECT_SECONDS, network_timeout=_NETWORK_SECONDS,
        )  # fmt: skip

    def send(self, request: UpstreamRequest, seconds: float, *, share: float = 1.0) -> UpstreamAnswer:
        """The answer to a request, within `seconds`, unless `share` of the connections is busy.

        Raises ServiceAway, ServiceSlow or BadAnswer.
        """
        if self._under_way >= self._limit * share:
            raise ServiceAway(f"{self._name} has {self._under_way} requests under way")
        self._under_way += 1
        try:
            with gevent.Timeout(seconds, ServiceSlow(self._name)):
                return self._send(request)
        finally:
            self._under_way -= 1

    def _send(self, request: UpstreamRequest) -> UpstreamAnswer:
        try:
            return self._exchange(request)
        except HTTPConnectionClosed as error:
            if request.method not in _IDEMPOTENT and "Idempotency-Key" not in request.headers:
                raise BadAnswer(f"{self._name} closed the connection") from error
            log.info("upstream_retry", service=self._name)
        try:
            return self._exchange(request)
        except HTTPConnectionClosed as error:
            raise BadAnswer(f"{self._name} closed the connection twice") from error

    def _exchange(self, request: UpstreamRequest) -> UpstreamAnswer:
        try:
            sock = self._pool.get_socket()
        except OSError as error:
            raise ServiceAway(f"{self._name} can't be reached: {error}") from error
        try:
            sock.sendall(self._bytes_of(request))
        except OSError as error:
            self._pool.release_socket(sock)
            raise HTTPConnectionClosed(str(error)) from error
        except BaseException:
            self._pool.release_socket(sock)
            raise
        try:
            return self._read(HTTPSocketPoolResponse(sock, self._pool, method=request.method))
        except HTTPConnectionClosed:
            raise
        except (OSError, HTTPParseError, ValueError) as error:
            raise BadAnswer(f"{self._name} broke off: {error!r}") from error

    def _read(self, response: HTTPSocketPoolResponse) -> UpstreamAnswer:
        body = bytearray()
        with response:
            while piece := response.read(_PIECE_BYTES):
                body += piece
                if len(body) > self._max_answer:
                    raise BadAnswer(f"{self._name} answered more than {self._max_answer} bytes")
        if not response.message_complete:
            raise BadAnswer(f"{self._name} answered less than it announced")
        return UpstreamAnswer(response.status_code, response.info(), bytes(body))

    def _bytes_of(self, request: UpstreamRequest) -> bytes:
        lines = [f"{request.method} {self._prefix}{request.target} HTTP/1.1", f"Host: {self._host}"]
        lines += [f"{name}: {value}" for name, value in request.headers.items()]
        if request.body or request.method in ("POST", "PUT", "PATCH"):
            lines.append(f"Content-Length: {len(request.body)}")
        return "\r\n".join([*lines, "\r\n"]).encode("latin-1") + request.body
