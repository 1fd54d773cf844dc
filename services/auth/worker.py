"""Auth's worker: delivers the outbox until it is told to stop."""

import signal
import threading
from pathlib import Path

import structlog

from services.auth import outbox
from services.auth.parts import Parts
from shared.errors import Unavailable

_IDLE_SECONDS = 0.5

log = structlog.get_logger(__name__)


def run(parts: Parts) -> None:
    """Deliver what is due, again and again; SIGTERM and SIGINT end it after the batch in hand."""
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    log.info("worker_started")
    while not stop.is_set():
        if parts.settings.heartbeat_file:
            Path(parts.settings.heartbeat_file).touch()
        try:
            tried = outbox.deliver_due(parts.database, parts.users)
        except Unavailable as error:
            log.warning("worker_waits", reason=str(error))
            tried = 0
        if not tried:
            stop.wait(_IDLE_SECONDS)
    log.info("worker_stopped")
