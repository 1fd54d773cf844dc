"""One request and its answer over one connection to a service."""

from collections.abc import Mapping
from dataclasses import dataclass

from gevent import socket
from geventhttpclient.header import Headers
from geventhttpclient.response import HTTPParseError, HTTPProtocolViolationError, HTTPResponse

_PIECE_BYTES = 64 * 1024
# What may come besides the body: heads, also of interim answers, the lines between chunks, and trailers.
MAX_HEAD_BYTES = 32 * 1024
_FRAMING_FOR_EACH_BYTE = 8
# What may be sent twice when a connection ends without an answer (RFC 9110 section 9.2.2).
_IDEMPOTENT = frozenset({"GET", "HEAD", "PUT", "DELETE"})
_WITH_A_BODY = frozenset({"POST", "PUT", "PATCH"})


class ConnectionLost(Exception):
    """The connection ended before the first byte of an answer, and nobody knows what became of the request."""


class BrokenAnswer(Exception):
    """What came back is no whole HTTP answer, or too much; `seen` is how it began."""

    def __init__(self, reason: str, seen: bytes = b"") -> None:
        super().__init__(reason)
        self.seen = seen


@dataclass(frozen=True)
class UpstreamRequest:
    """What a service is asked: an origin-form target, headers that are ready to send, and the whole body."""

    method: str
    target: str
    headers: Mapping[str, str]
    body: bytes

    @property
    def may_be_repeated(self) -> bool:
        """Whether it does no harm when the service gets it twice."""
        return self.method in _IDEMPOTENT or "Idempotency-Key" in self.headers

    @property
    def is_conditional(self) -> bool:
        """Whether 304 is an answer to it (RFC 9110 section 13.1)."""
        return self.method == "GET" and ("If-None-Match" in self.headers or "If-Modified-Since" in self.headers)


@dataclass(frozen=True)
class UpstreamAnswer:
    """What a service answered, with its whole body; the names of `headers` are in lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def content_type(self) -> str:
        """The media type; one that nobody reads for a body that is encoded although we asked for none."""
        return "application/octet-stream" if self.header("Content-Encoding") else self.header("Content-Type")

    def header(self, name: str) -> str:
        """A header's value, several of one name joined (RFC 9110 section 5.3); empty when there is none."""
        return self.headers.get(name.lower(), "")


def request_bytes(request: UpstreamRequest, host: str, prefix: str) -> bytes:
    """A request as it goes over the wire, in one piece; `prefix` comes before its target."""
    lines = [f"{request.method} {prefix}{request.target} HTTP/1.1", f"Host: {host}"]
    lines += [f"{name}: {value}" for name, value in request.headers.items()]
    if request.body or request.method in _WITH_A_BODY:
        lines.append(f"Content-Length: {len(request.body)}")
    return "\r\n".join([*lines, "\r\n"]).encode("latin-1") + request.body


def exchange(sock: socket.socket, sent: bytes, method: str, max_answer: int) -> tuple[UpstreamAnswer, bool]:
    """The answer to what is `sent`, and whether the connection is good for another request.

    Raises ConnectionLost, or BrokenAnswer, also when the body has more than `max_answer` bytes or the head more than
    MAX_HEAD_BYTES.
    """
    response = _Response(method)
    try:
        sock.sendall(sent)
        piece = sock.recv(_PIECE_BYTES)
    except OSError as error:
        raise ConnectionLost(str(error)) from error
    if not piece:
        raise ConnectionLost("it was closed")
    seen, received = piece, len(piece)
    try:
        response.feed(piece)
        while piece and not response.whole and len(response.body) <= max_answer:
            if received > MAX_HEAD_BYTES + (1 + _FRAMING_FOR_EACH_BYTE) * len(response.body):
                raise BrokenAnswer(f"a head of more than {MAX_HEAD_BYTES} bytes", seen)
            piece = sock.recv(_PIECE_BYTES)
            received += len(piece)
            # The empty piece is the end, which some answers have instead of a length.
            response.feed(piece)
    except (OSError, HTTPParseError) as error:
        raise BrokenAnswer(repr(error), seen) from error
    if len(response.body) > max_answer:
        raise BrokenAnswer(f"more than {max_answer} bytes", seen)
    if not response.whole:
        raise BrokenAnswer("less than was announced", seen)
    return UpstreamAnswer(
        response.status_code, _joined(response.info()), bytes(response.body)
    ), not response.should_close()


def _joined(headers: Headers) -> dict[str, str]:
    found: dict[str, str] = {}
    for name, value in headers.items():
        key = name.lower()
        found[key] = f"{found[key]}, {value}" if key in found else value
    return found


class _Response(HTTPResponse):
    """The parser, which tells an interim answer (1xx) from the one that counts, and takes one of these only."""

    def __init__(self, method: str) -> None:
        super().__init__(method)
        self.body = bytearray()
        self.whole = False

    def _on_body(self, buf: bytearray) -> None:
        self.body += buf

    def _on_message_begin(self) -> None:
        if self.whole:
            raise HTTPProtocolViolationError("a second answer to one request")
        super()._on_message_begin()

    def _on_message_complete(self) -> None:
        super()._on_message_complete()
        self.whole = self.get_code() >= 200
