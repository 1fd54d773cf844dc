"""What the gateway takes from whoever connects, before a request is whole: how many, how large, how slow."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Self

from shared.settings import Environment


@dataclass(frozen=True)
class Listening:
    """Settings of a worker's connections.

    `connections` is how many a worker holds, `per_network` how many of these one network may have, where the gateway
    sees networks at all: behind proxies (`trusted_hops`) everybody has the proxy's address. `send_seconds` is how long
    a client may take to read one answer. The line of a request, each of its headers and the number of these are limited
    to `line_bytes`, `header_bytes` and `headers`.
    """

    connections: int
    per_network: int
    trusted_hops: int
    send_seconds: int
    line_bytes: int
    header_bytes: int
    headers: int

    @classmethod
    def read(cls, environ: Mapping[str, str]) -> Self:
        """The settings in `environ`; SettingsError names everything that is wrong."""
        with Environment(environ) as environment:
            return cls(
                connections=environment.integer("WORKER_CONNECTIONS", 1000, low=1, high=100_000),
                per_network=environment.integer("CONNECTIONS_PER_NETWORK", 500, low=1, high=100_000),
                trusted_hops=environment.integer("TRUSTED_HOPS", 0, low=0, high=10),
                send_seconds=environment.integer("SEND_SECONDS", 30, low=1, high=600),
                # Where gunicorn itself draws the line.
                line_bytes=environment.integer("MAX_REQUEST_LINE_BYTES", 4094, low=100, high=8190),
                header_bytes=environment.integer("MAX_HEADER_BYTES", 8190, low=100, high=65_536),
                headers=environment.integer("MAX_HEADERS", 64, low=8, high=1_000),
            )
