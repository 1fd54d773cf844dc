"""Auth's worker: what has to be done besides answering requests, again and again until it is told to stop."""

import signal
import threading
from collections.abc import Callable
from pathlib import Path

import redis
import structlog

from services.auth import outbox
from services.auth.confirmations import Confirmations
from services.auth.parts import Parts
from services.auth.revocations import RevocationRepeater, connect
from shared.errors import Unavailable

_IDLE_SECONDS = 0.5

log = structlog.get_logger(__name__)


def run(parts: Parts) -> None:
    """Do every job in a thread of its own; SIGTERM and SIGINT end them after the batch in hand."""
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    confirmations = Confirmations(parts.database, connect(parts.settings.redis_url))
    repeater = RevocationRepeater(parts.database, parts.revocations, parts.settings.access_token_lifetime)
    jobs: dict[str, Callable[[], int]] = {
        "outbox": lambda: outbox.deliver_due(parts.database, parts.users),
        "confirmations": confirmations.take,
        "revocations": repeater.repeat,
    }
    threads = [threading.Thread(target=_repeat, args=(name, job, stop), name=name) for name, job in jobs.items()]
    for thread in threads:
        thread.start()
    log.info("worker_started", jobs=list(jobs))
    while all(thread.is_alive() for thread in threads) and not stop.wait(_IDLE_SECONDS):
        if parts.settings.heartbeat_file:
            Path(parts.settings.heartbeat_file).touch()
    # A job that died of a bug ends the worker, so that whoever supervises it starts it again.
    stop.set()
    for thread in threads:
        thread.join()
    log.info("worker_stopped")


def _repeat(name: str, job: Callable[[], int], stop: threading.Event) -> None:
    while not stop.is_set():
        try:
            done = job()
        except (Unavailable, redis.RedisError) as error:
            log.warning("worker_waits", job=name, reason=repr(error))
            done = 0
        if not done:
            stop.wait(_IDLE_SECONDS)
