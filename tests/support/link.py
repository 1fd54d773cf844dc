"""A TCP link that can be bad: slow, thin, breaking off, or a hole that swallows everything."""

import socket
import struct
import threading
import time
from contextlib import suppress
from types import TracebackType
from typing import Self

from tools.ports import HOST

_PIECE_BYTES = 16 * 1024
_LOOK_AGAIN_SECONDS = 0.02
_RESET = struct.pack("ii", 1, 0)


class Link:
    """A way to a port of the loopback. As a context manager it is open inside.

    `latency` is in seconds for each direction, `bytes_per_second` holds for each connection and direction, `resets`
    breaks a connection when its answer begins, and while it `swallows`, bytes stay under way, to arrive afterwards.
    """

    def __init__(self, port: int) -> None:
        self.latency = 0.0
        self.bytes_per_second = float("inf")
        self.resets = False
        self.swallows = False
        self._target = port
        self._closed = threading.Event()
        self._open: set[socket.socket] = set()
        self._listener = socket.create_server((HOST, 0), backlog=128)
        self.url = f"http://{HOST}:{self._listener.getsockname()[1]}"

    def __enter__(self) -> Self:
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._closed.set()
        for one in (self._listener, *self._open):
            with suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
            one.close()

    def heal(self) -> None:
        """Be a good link again."""
        self.latency, self.bytes_per_second = 0.0, float("inf")
        self.resets = self.swallows = False

    def _accept(self) -> None:
        while not self._closed.is_set():
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._connect, args=(client,), daemon=True).start()

    def _connect(self, client: socket.socket) -> None:
        try:
            server = socket.create_connection((HOST, self._target), timeout=5)
        except OSError:
            client.close()
            return
        server.settimeout(None)
        self._open |= {client, server}
        back = threading.Thread(target=self._carry, args=(server, client), kwargs={"is_answer": True}, daemon=True)
        back.start()
        self._carry(client, server, is_answer=False)
        back.join()
        for one in (client, server):
            self._open.discard(one)
            one.close()

    def _carry(self, source: socket.socket, sink: socket.socket, *, is_answer: bool) -> None:
        with suppress(OSError):
            while piece := source.recv(_PIECE_BYTES):
                if is_answer and self.resets:
                    # Closing is the other direction's, which ends when its reading end does.
                    sink.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
                    source.shutdown(socket.SHUT_RDWR)
                    sink.shutdown(socket.SHUT_RD)
                    return
                time.sleep(self.latency + len(piece) / self.bytes_per_second)
                while self.swallows and not self._closed.wait(_LOOK_AGAIN_SECONDS):
                    pass
                sink.sendall(piece)
        with suppress(OSError):
            sink.shutdown(socket.SHUT_WR)
