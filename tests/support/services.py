"""Stand-ins for services that misbehave, and further gateways in front of whatever a test needs."""

import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from tests.support.http import Api
from tests.support.listening import Listener
from tests.support.waiting import eventually
from tools.process import ROOT

STOP_SECONDS = 15


def free_port() -> int:
    """A port of the loopback that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def raw_reply(status: str, body: bytes, content_type: str = "application/json", extra: str = "") -> bytes:
    """A whole HTTP answer as bytes."""
    head = f"HTTP/1.1 {status}\r\nContent-Type: {content_type}\r\nContent-Length: {len(body)}\r\n{extra}\r\n"
    return head.encode() + body


class BrokenService:
    """A service that answers every request with the bytes that the test has put into `reply`, or hangs on None.

    What stands in `drip` follows byte by byte, ten a second. Keeps the requests that it got in `requests`, each as the
    bytes of its head and body. Of its health it says that it is well, and keeps nothing.
    """

    def __init__(self) -> None:
        self.reply: bytes | None = b""
        self.drip = b""
        self.requests: list[bytes] = []
        self._listener = Listener(self._answer)
        self.url = self._listener.url

    def close(self) -> None:
        self._listener.close()

    def _answer(self, connection: socket.socket) -> None:
        request = read_request(connection)
        if request.startswith(b"GET /health/ready "):
            connection.sendall(raw_reply("200 OK", b"{}"))
            return
        self.requests.append(request)
        if self.reply is None:
            self._listener.released.wait(60)
        else:
            connection.sendall(self.reply)
            for byte in self.drip:
                if self._listener.released.wait(0.1):
                    break
                connection.sendall(bytes([byte]))


def read_request(connection: socket.socket, seconds: float = 10) -> bytes:
    """The bytes of the next request; none when the other side hangs up. OSError when nothing comes in time."""
    connection.settimeout(seconds)
    received = b""
    while b"\r\n\r\n" not in received:
        piece = connection.recv(65536)
        if not piece:
            return received
        received += piece
    head, _, body = received.partition(b"\r\n\r\n")
    length = next(
        (int(line.split(b":")[1]) for line in head.split(b"\r\n") if line.lower().startswith(b"content-length:")), 0
    )
    while len(body) < length:
        body += connection.recv(65536)
    return head + b"\r\n\r\n" + body


@contextmanager
def gateway_process(
    environment: dict[str, str], log_path: Path, *, wsgi_app: str = "", page: str = "/health/ready", **settings: str
) -> Iterator[Api]:
    """A real gateway under gunicorn on a port of its own, with `settings` on top of `environment`.

    Waits until `page` is answered with 200. It shows figures only when METRICS_BIND is among the settings: the
    environment's port is taken.
    """
    arguments = ["gateway/gunicorn_conf.py", *([wsgi_app] if wsgi_app else [])]
    with _gunicorn(arguments, {**environment, "METRICS_BIND": "", **settings}, log_path, page) as api:
        yield api


@contextmanager
def auth_process(
    environment: dict[str, str], log_path: Path, *, page: str = "/health/ready", **settings: str
) -> Iterator[Api]:
    """A further process of auth on a port of its own, with `settings` on top of `environment`."""
    environment = {**environment, "METRICS_BIND": "", **settings}
    with _gunicorn(["services/auth/gunicorn_conf.py"], environment, log_path, page) as api:
        yield api


@contextmanager
def _gunicorn(
    arguments: list[str], environment: dict[str, str], log_path: Path, page: str = "/health/ready"
) -> Iterator[Api]:
    port = free_port()
    environment = {**environment, "BIND": f"127.0.0.1:{port}"}
    command = [sys.executable, "-m", "gunicorn", "-c", *arguments]
    with open(log_path, "wb") as log:
        process = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=log, stderr=subprocess.STDOUT)
    api = Api(f"http://127.0.0.1:{port}")
    try:
        eventually(lambda: _answers(api, page), seconds=30)
        yield api
    finally:
        api.hang_up()
        process.terminate()
        try:
            process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _answers(api: Api, page: str) -> bool:
    with suppress(Exception):
        return api.get(page).status == 200
    return False
