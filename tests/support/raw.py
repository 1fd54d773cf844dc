"""Sends bytes that no HTTP library would send: crooked paths, broken requests, half a body."""

import io
import re
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


def connect_from(number: int, port: int) -> socket.socket:
    """A connection to a port of this machine, from an address of the loopback that belongs to nobody else."""
    source = (f"127.1.{number // 250}.{number % 250 + 1}", 0)
    return socket.create_connection(("127.0.0.1", port), timeout=30, source_address=source)


def talk(api: Api, request: bytes, *, hang_up: bool = False) -> bytes:
    """Everything that comes back for `request`, until the other side closes; `hang_up` says that no more will come."""
    parts = urlsplit(api.base_url)
    port = parts.port or (443 if parts.scheme == "https" else 80)
    with closing(_connected(parts.hostname or "", port, secure=parts.scheme == "https")) as connection:
        connection.sendall(request)
        if hang_up:
            connection.shutdown(socket.SHUT_WR)
        received = b""
        while piece := connection.recv(65536):
            received += piece
        return received


def first_answer(api: Api, request: bytes, method: str = "GET") -> Answer:
    """The answer to `request` as soon as it is whole, for servers that then go on waiting for the rest of a body."""
    parts = urlsplit(api.base_url)
    with closing(_connected(parts.hostname or "", parts.port or 443, secure=parts.scheme == "https")) as connection:
        connection.sendall(request)
        response = HTTPResponse(connection, method=method)
        response.begin()
        return Answer(response.status, HTTPHeaderDict(response.getheaders()), response.read())


def _connected(host: str, port: int, *, secure: bool) -> socket.socket:
    plain = socket.create_connection((host, port), timeout=ANSWER_SECONDS)
    return ssl.create_default_context().wrap_socket(plain, server_hostname=host) if secure else plain


def read(received: bytes, method: str = "GET") -> Answer:
    """The first answer in what came back."""
    response = HTTPResponse(cast(socket.socket, _Received(received)), method=method)
    response.begin()
    return Answer(response.status, HTTPHeaderDict(response.getheaders()), response.read())


_HEAD = re.compile(rb"HTTP/1\.[01] ([0-9]{3}) [ -~]+\r\n((?:[!-9;-~]+: [ -~]*\r\n)*)\r\n")

_FIELD = re.compile("(.+?): (.*)\r\n")


def read_all(received: bytes, *methods: str) -> list[Answer]:
    """Every answer in what came back to requests with these methods, interim ones (1xx) left out.

    Fails for more answers than requests, for a byte that belongs to no answer, and for a header that could be read in
    two ways.
    """
    answers: list[Answer] = []
    left = received
    while left:
        match = _HEAD.match(left)
        assert match, left[:200]
        headers = HTTPHeaderDict([(name, value) for name, value in _FIELD.findall(match[2].decode("ascii"))])
        left = left[match.end() :]
        status = int(match[1])
        if status < 200:
            continue
        assert len(answers) < len(methods), "more answers than requests"
        assert "Transfer-Encoding" not in headers
        lengths = headers.getlist("Content-Length")
        empty = status == 304 or methods[len(answers)] == "HEAD"
        assert len(lengths) == (0 if status == 304 else 1), lengths
        length = 0 if empty else int(lengths[0])
        assert len(left) >= length, "an answer that broke off"
        answers.append(Answer(status, headers, left[:length]))
        left = left[length:]
    return answers


def ask(api: Api, method: str, target: str, *lines: str, body: bytes = b"") -> Answer:
    """The answer to a request whose target goes out letter by letter, with `lines` as its further headers."""
    return read(talk(api, request_bytes(api, method, target, *lines) + body), method)


def request_bytes(api: Api, method: str, target: str, *lines: str) -> bytes:
    """The head of a request after whose answer the connection closes."""
    parts = urlsplit(api.base_url)
    head = [f"{method} {parts.path}{target} HTTP/1.1", f"Host: {parts.netloc}", "Connection: close", *lines]
    return "\r\n".join([*head, "", ""]).encode("latin-1")
