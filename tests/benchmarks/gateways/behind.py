"""The service behind every gateway of the benchmark: it answers each request with the same small profile, at once.

    python -m tests.benchmarks.gateways.behind PORT JWKS

`JWKS` is the JWK set, in JSON, for whoever asks for it.
"""

import asyncio
import json
import sys

PROFILE = {
    "id": 1, "name": "John Doe", "email": "john@example.com", "phone": "9876543210", "profile_image": None,
    "created_at": 1732234500, "updated_at": 1732234500,
}  # fmt: skip
ENVELOPE = {"message": "User profile fetched successfully", "data": PROFILE}


class Service(asyncio.Protocol):
    """One connection. Requests without a body only."""

    def __init__(self, jwks: bytes) -> None:
        self._profile = _answer(json.dumps(ENVELOPE).encode())
        self._jwks = _answer(jwks)
        self._received = b""
        self._transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep what answers go out by."""
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        """Answer every request that is complete."""
        *requests, self._received = (self._received + data).split(b"\r\n\r\n")
        for request in requests:
            self._transport.write(self._jwks if b"jwks.json" in request else self._profile)


def _answer(body: bytes) -> bytes:
    head = f"HTTP/1.1 200 OK\r\nServer: behind\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    return head.encode() + body


async def _serve(port: int, jwks: bytes) -> None:
    server = await asyncio.get_running_loop().create_server(lambda: Service(jwks), "127.0.0.1", port)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(_serve(int(sys.argv[1]), sys.argv[2].encode()))
