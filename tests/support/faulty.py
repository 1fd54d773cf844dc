"""A service that answers as it is told by the query of each request: `?fault=NAME`."""

import socket
import struct
import urllib.request
from typing import BinaryIO
from urllib.parse import parse_qs, urlsplit

from tests.support.faults import FAULTS, Then
from tests.support.listening import Listener
from tests.support.services import raw_reply

_LOOK_AGAIN_SECONDS = 1.0
_RESET = struct.pack("ii", 1, 0)


class FaultyService:
    """Answers many requests at once, and is well and publishes auth's keys, so that a gateway starts in front of it.

    `asked` counts the requests for each fault; one for "" is answered with its own query as JSON.
    """

    def __init__(self, auth_url: str) -> None:
        self.asked: list[str] = []
        self._keys_url = f"{auth_url}/.well-known/jwks.json"
        self._listener = Listener(self._talk)
        self.url = self._listener.url

    def close(self) -> None:
        """Be gone: from now on connections are refused."""
        self._listener.close()

    def _talk(self, connection: socket.socket) -> None:
        with connection.makefile("rb") as incoming:
            while (target := _read_request(incoming)) and self._answer(connection, target):
                pass

    def _answer(self, connection: socket.socket, target: str) -> bool:
        """Answer a request; gives whether there may be another one."""
        parts = urlsplit(target)
        if parts.path == "/health/ready":
            connection.sendall(raw_reply("200 OK", b"{}"))
            return True
        if parts.path.startswith("/.well-known/"):
            with urllib.request.urlopen(self._keys_url, timeout=5) as keys:
                connection.sendall(raw_reply("200 OK", keys.read()))
            return True
        name = parse_qs(parts.query).get("fault", [""])[0]
        self.asked.append(name)
        if not name:
            connection.sendall(raw_reply("200 OK", b'{"query":"%b"}' % parts.query.encode()))
            return True
        fault = FAULTS[name]
        connection.sendall(fault.reply)
        self._go_on(connection, fault.then)
        return fault.then is Then.KEEP

    def _go_on(self, connection: socket.socket, then: Then) -> None:
        if then is Then.RESET:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
        if then in (Then.HANG, Then.DRIP):
            connection.settimeout(_LOOK_AGAIN_SECONDS)
            while not self._listener.released.is_set() and not _hung_up(connection):
                if then is Then.DRIP:
                    connection.sendall(b"x")


def _hung_up(connection: socket.socket) -> bool:
    """Whether the other side has closed, after a second in which it had not."""
    try:
        return not connection.recv(1)
    except TimeoutError:
        return False


def _read_request(incoming: BinaryIO) -> str:
    """The target of the next request, read with its body; empty when there is none."""
    words = incoming.readline().split()
    length = 0
    while (line := incoming.readline()) not in (b"\r\n", b""):
        name, _, value = line.partition(b":")
        if name.lower() == b"content-length":
            length = int(value)
    incoming.read(length)
    return words[1].decode() if len(words) == 3 else ""
