"""Sends bytes that no HTTP library would send: crooked paths, broken requests, half a body."""

import io
import socket
import ssl
from contextlib import closing
from http.client import HTTPResponse
from typing import cast
from urllib.parse import urlsplit

from urllib3 import HTTPHeaderDict

from tests.support.http import ANSWER_SECONDS, Answer, Api


class _Received:
    """What `HTTPResponse` wants of a socket, over bytes that have arrived already."""

    def __init__(self, received: bytes) -> None:
        self._received = received

    def makefile(self, _mode: str) -> io.BytesIO:
        return io.BytesIO(self._received)


def talk(api: Api, request: bytes, *, hang_up: bool = False) -> bytes:
    """Everything that comes back for `request`, until the other side closes; `hang_up` says that no more will come."""
    parts = urlsplit(api.base_url)
    port = parts.port or (443 if parts.scheme == "https" else 80)
    with closing(socket.create_connection((parts.hostname or "", port), timeout=ANSWER_SECONDS)) as plain:
        connection = ssl.create_default_context().wrap_socket(plain, server_hostname=parts.hostname or "") if (
            parts.scheme == "https"
        ) else plain  # fmt: skip
        connection.sendall(request)
        if hang_up:
            connection.shutdown(socket.SHUT_WR)
        received = b""
        while piece := connection.recv(65536):
            received += piece
        return received


def read(received: bytes, method: str = "GET") -> Answer:
    """The first answer in what came back."""
    response = HTTPResponse(cast(socket.socket, _Received(received)), method=method)
    response.begin()
    return Answer(response.status, HTTPHeaderDict(response.getheaders()), response.read())


def ask(api: Api, method: str, target: str, *lines: str, body: bytes = b"") -> Answer:
    """The answer to a request whose target goes out letter by letter, with `lines` as its further headers."""
    return read(talk(api, request_bytes(api, method, target, *lines) + body), method)


def request_bytes(api: Api, method: str, target: str, *lines: str) -> bytes:
    """The head of a request after whose answer the connection closes."""
    parts = urlsplit(api.base_url)
    head = [f"{method} {parts.path}{target} HTTP/1.1", f"Host: {parts.netloc}", "Connection: close", *lines]
    return "\r\n".join([*head, "", ""]).encode("latin-1")
