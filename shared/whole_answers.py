"""An answer leaves gunicorn in one piece: who is killed between its head and its body would leave half an answer."""

from typing import Any

from gunicorn.http import wsgi

# What is larger is not copied once more: it does not fit into one piece of the network's either.
_TOGETHER_BYTES = 64 * 1024


def answer_in_one_piece() -> None:
    """Let gunicorn, in this process, give the head of an answer to the network together with its body.

    gunicorn itself writes the two one after the other. With both in one call the system has all or nothing of an
    answer, whenever the process ends; the call and the packet that are saved are welcome, too.
    """
    wsgi.Response = _WholeResponse


class _WholeResponse(wsgi.Response):  # type: ignore[misc]
    sock: Any

    def write(self, arg: bytes) -> None:
        if self.headers_sent or len(arg) > _TOGETHER_BYTES:
            super().write(arg)
            return
        network, pieces = self.sock, _Pieces()
        self.sock = pieces
        try:
            super().write(arg)
        finally:
            self.sock = network
        network.sendall(b"".join(pieces))


class _Pieces(list[bytes]):
    """What a `Response` writes to in place of its socket."""

    sendall = list.append
