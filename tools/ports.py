"""Which TCP port each process of a stack listens on."""

import random
import socket
from dataclasses import dataclass

from tools.errors import StackError

HOST = "127.0.0.1"
_COUNT = 9
_HIGHEST_BASE = 65535 - _COUNT + 1
# Below the range from which kernels pick ports for outgoing connections (32768 on Linux), so that
# none of these is taken between being found free and being used.
_FREE_RANGE = range(10_000, 32_768 - _COUNT)


@dataclass(frozen=True)
class Ports:
    """One stack's ports on the loopback interface."""

    gateway: int
    auth: int
    users: int
    postgres: int
    valkey: int
    gateway_metrics: int
    auth_metrics: int
    users_metrics: int
    worker_metrics: int

    @classmethod
    def from_base(cls, base: int) -> "Ports":
        """The gateway at `base`, everything else on the ports that follow."""
        if not 1 <= base <= _HIGHEST_BASE:
            raise StackError(f"PORT must be between 1 and {_HIGHEST_BASE}, not {base}.")
        return cls(*range(base, base + _COUNT))

    @classmethod
    def free(cls) -> "Ports":
        """Nine ports in a row that nobody listens on, for tests."""
        while True:
            base = random.choice(_FREE_RANGE)  # noqa: S311 - a port is no secret
            if not any(obstacle(port) for port in range(base, base + _COUNT)):
                return cls.from_base(base)


def obstacle(port: int) -> str | None:
    """One sentence on why nobody can listen on this port now, or None when it is free."""
    with socket.socket() as probe:
        # As the servers do it: connections that are only fading away do not count.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except PermissionError:
            return f"Port {port} is reserved for root: choose another with PORT=…"
        except OSError:
            return f"Port {port} is already in use: stop what listens there, or choose another with PORT=…"
    return None
