"""Auth's worker: what has to be done besides answering requests, again and again until it is told to stop."""

import signal
import threading
import time
from collections.abc import Callable
from pathlib import Path

import redis
import structlog

from services.auth import metrics, outbox, worker_figures
from services.auth.cleanup import CleanUp
from services.auth.confirmations import Confirmations
from services.auth.parts import Parts
from services.auth.revocations import REDIS_SECONDS, RevocationRepeater
from shared.errors import Unavailable
from shared.metrics import look_often, serve_alone
from shared.redis_client import connect

_IDLE_SECONDS = 0.5
_BUG_SECONDS = 5.0
# A batch of deliveries to a service that hangs takes this long.
_LONGEST_ROUND_SECONDS = 90.0

log = structlog.get_logger(__name__)


def run(parts: Parts) -> None:
    """Do every job in a thread of its own; SIGTERM and SIGINT end them after the batch in hand."""
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    confirmations = Confirmations(parts.database, connect(parts.settings.redis_url, answer_seconds=REDIS_SECONDS))
    repeater = RevocationRepeater(parts.database, parts.revocations, parts.settings.ended_sessions_kept)
    jobs: dict[str, Callable[[], int]] = {
        "outbox": lambda: outbox.deliver_due(parts.database, parts.users),
        "confirmations": confirmations.take,
        "revocations": repeater.repeat,
        "clean-up": CleanUp(parts.database, parts.settings).run,
    }
    rounds = {name: time.monotonic() for name in jobs}
    threads = [
        threading.Thread(target=_repeat, args=(name, job, rounds, stop), name=name) for name, job in jobs.items()
    ]
    look_often(lambda: worker_figures.look(parts.database))
    serve_alone(parts.settings.metrics_bind)
    for thread in threads:
        thread.start()
    log.info("worker_started", jobs=list(jobs))
    while not stop.wait(_IDLE_SECONDS):
        _show_life(parts.settings.heartbeat_file, rounds)
    for thread in threads:
        thread.join()
    log.info("worker_stopped")


def _repeat(name: str, job: Callable[[], int], rounds: dict[str, float], stop: threading.Event) -> None:
    while not stop.is_set():
        pause, result = _IDLE_SECONDS, "done"
        try:
            if job():
                pause = 0
        except (Unavailable, redis.RedisError) as error:
            result = "waits"
            log.warning("worker_waits", job=name, reason=repr(error))
        except Exception:
            # A bug in one job must not keep the others from their work.
            log.exception("worker_job_failed", job=name)
            pause, result = _BUG_SECONDS, "failed"
        metrics.worker_rounds.labels(name, result).inc()
        rounds[name] = time.monotonic()
        stop.wait(pause)


def _show_life(heartbeat_file: str, rounds: dict[str, float]) -> None:
    """Touch the file while every job goes round, so that a health check sees one that hangs."""
    if heartbeat_file and time.monotonic() - min(rounds.values()) < _LONGEST_ROUND_SECONDS:
        Path(heartbeat_file).touch()
