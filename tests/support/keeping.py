"""A service that keeps its connections, and can be told to break them, to be not ready, or to say nothing."""

import socket
from contextlib import suppress

from tests.support.listening import Listener
from tests.support.services import raw_reply, read_request

# Longer than any test waits, so that a connection that is closed was closed by the gateway.
_KEEP_SECONDS = 60.0


class KeepingService:
    """Answers up to `answers_per_connection` requests on each connection; then it takes one more, and hangs up.

    Every answer names the address, so that a test sees who has served it. `ready` is what it says of its health, None
    is silence. `requests` are those that it got, without questions for its health, which `probes` counts; `kept` counts
    the connections that are open and had one. `body` is what it answers.
    """

    def __init__(self, host: str = "127.0.0.1", port: int = 0, *, answers_per_connection: int = 1_000_000) -> None:
        self.ready: bool | None = True
        self.requests: list[bytes] = []
        self.probes = 0
        self.host = host
        self.body = b'{"served_by": "%s"}' % host.encode()
        self._answers_per_connection = answers_per_connection
        self._kept: set[socket.socket] = set()
        self._listener = Listener(self._answer, host, port)
        self.port, self.url = self._listener.port, self._listener.url

    @property
    def kept(self) -> int:
        return len(self._kept)

    def hang_up(self) -> None:
        """Ends the connections that are open, as a service does with those that nobody has used for a while."""
        for connection in list(self._kept):
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        """Is gone, at once."""
        self._listener.close()
        self.hang_up()

    def _answer(self, connection: socket.socket) -> None:
        with suppress(OSError):
            answered = 0
            while request := read_request(connection, _KEEP_SECONDS):
                if request.startswith(b"GET /health/ready "):
                    self.probes += 1
                    self._tell_health(connection)
                    return
                self.requests.append(request)
                if answered >= self._answers_per_connection:
                    break
                self._kept.add(connection)
                answered += 1
                reply = raw_reply("200 OK", self.body)
                # A HEAD gets the head.
                connection.sendall(reply.partition(b"{")[0] if request.startswith(b"HEAD ") else reply)
        self._kept.discard(connection)

    def _tell_health(self, connection: socket.socket) -> None:
        if self.ready is None:
            self._listener.released.wait(60)
        else:
            connection.sendall(raw_reply("200 OK" if self.ready else "503 Service Unavailable", b"{}"))
