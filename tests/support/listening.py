"""The listening half of every stand-in for a service: a port of its own, and a thread for each connection."""

import socket
import threading
from collections.abc import Callable
from contextlib import suppress


class Listener:
    """Gives each connection to `talk`, in a thread of its own, and closes it when that returns or the line breaks.

    `released` is set when it closes, for whoever waits in `talk`.
    """

    def __init__(self, talk: Callable[[socket.socket], None], host: str = "127.0.0.1", port: int = 0) -> None:
        self.released = threading.Event()
        self._talk = talk
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        self._socket = socket.create_server((host, port), family=family, backlog=256)
        self.port = int(self._socket.getsockname()[1])
        self.url = f"http://[{host}]:{self.port}" if family == socket.AF_INET6 else f"http://{host}:{self.port}"
        threading.Thread(target=self._listen, daemon=True).start()

    def close(self) -> None:
        """Be gone: from now on connections are refused."""
        self.released.set()
        # Wakes the thread that waits in accept, which closing alone does not.
        with suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()

    def _listen(self) -> None:
        while not self.released.is_set():
            try:
                connection, _ = self._socket.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        with connection, suppress(OSError):
            self._talk(connection)
