"""Head and body of an answer come together, so that a killed server leaves all of an answer behind or nothing."""

import socket
import struct
from contextlib import closing
from urllib.parse import urlsplit

import pytest

from tools.stack import Stack

# `tcpi_data_segs_in` of Linux's `struct tcp_info`: how many segments with data have arrived on a connection.
DATA_SEGMENTS_IN = 152


def segments_of(client: socket.socket) -> int:
    info = client.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, DATA_SEGMENTS_IN + 4)
    return int(struct.unpack_from("=I", info, DATA_SEGMENTS_IN)[0])


@pytest.mark.parametrize("door", ["gateway", "auth", "users"])
@pytest.mark.parametrize("path", ["/health/live", "/v1/users/me"])
def test_an_answer_is_one_piece(stack: Stack, door: str, path: str) -> None:
    url = urlsplit(getattr(stack, f"{door}_url"))
    assert url.hostname
    with closing(socket.create_connection((url.hostname, url.port or 80), timeout=10)) as client:
        client.sendall(f"GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode())
        answer = b"".join(iter(lambda: client.recv(65536), b""))
        assert answer.endswith(b"}")
        assert segments_of(client) == 1
