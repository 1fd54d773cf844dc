"""Where faults are tried: a stack that starts again what dies, as `make up` does, and what stands around it."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from tests.support.settings import UNLIMITED
from tools.process import POLL_SECONDS
from tools.stack import Stack
from tools.supervisor import Supervisor

# Everybody is one network here, and some refresh without a pause.
_GENEROUS = dict.fromkeys(
    ("NETWORK_SIGN_UPS_PER_MINUTE", "NETWORK_FAILURES_PER_MINUTE", "SESSION_REFRESHES_PER_MINUTE"), "1000000"
)
SETTINGS = {"auth": _GENEROUS, "gateway": {**UNLIMITED, "ENVELOPE_CHECK_EVERY": "1"}}


@contextmanager
def supervised(stack: Stack) -> Iterator[Stack]:
    """Starts a stack, and again whatever dies of it, until the end, when everything is stopped."""
    over = threading.Event()

    def supervise() -> None:
        supervisor = Supervisor(stack.processes.values(), lambda _: None)
        while not over.wait(POLL_SECONDS):
            supervisor.look()

    with stack:
        stack.start()
        # What this thread starts is ended with it (`tied_to_launcher`), so it outlives the rest.
        thread = threading.Thread(target=supervise, name="supervisor")
        thread.start()
        try:
            yield stack
        finally:
            stack.stop()
            over.set()
            thread.join()
