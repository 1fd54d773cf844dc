"""gunicorn's gevent worker, in which no client takes all the time: slow ones end, busy ones take turns with others."""

import os
from collections import Counter
from typing import Any

import gevent
from gunicorn import util
from gunicorn.http import parser
from gunicorn.http.unreader import SocketUnreader
from gunicorn.workers.ggevent import GeventWorker

from gateway.listening import Listening
from shared.networks import network_of


class _FairUnreader(SocketUnreader):  # type: ignore[misc]
    """Reads a connection and lets others go on after each piece.

    gevent's sockets do so only when they have to wait, which those of a client that sends faster than we read never do.
    Then no deadline would be noticed either. It costs a microsecond.
    """

    def chunk(self, size_hint: int | None = None) -> bytes:
        piece: bytes = super().chunk(size_hint)
        gevent.sleep(0)
        return piece


class GatewayWorker(GeventWorker):  # type: ignore[misc]
    """The worker with its last deadline.

    Idle time and the head of a request have `keepalive` seconds together (gunicorn), the body DEADLINE_SECONDS
    (`read_body`), and what goes to the client SEND_SECONDS (here); a body that comes to a halt for as long ends, too.
    """

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._listening = Listening.read(os.environ)
        self._connected: Counter[str] = Counter()

    def init_process(self) -> None:
        """Begin to serve, in the worker's own process."""
        parser.SocketUnreader = _FairUnreader
        super().init_process()

    def handle(self, listener: Any, client: Any, addr: Any) -> None:
        """Serve one connection to its end, unless its network has as many as it may have."""
        network = network_of(addr[0])
        if self._listening.trusted_hops == 0 and self._connected[network] >= self._listening.per_network:
            util.write_error(client, 429, "Too Many Requests", "too many connections from one network")
            util.close(client)
            return
        self._connected[network] += 1
        try:
            super().handle(listener, client, addr)
        finally:
            self._connected[network] -= 1
            if not self._connected[network]:
                del self._connected[network]

    def handle_request(self, listener_name: Any, req: Any, sock: Any, addr: Any) -> None:
        """Serve one request; the connection ends where the client does not take the answer."""
        # Many requests may lie in one piece that was read.
        gevent.sleep(0)
        # To gevent this is the time of one `sendall`, however many pieces it goes out in.
        sock.settimeout(self._listening.send_seconds)
        try:
            super().handle_request(listener_name, req, sock, addr)
        except TimeoutError as error:
            raise StopIteration from error
        finally:
            sock.settimeout(None)
