"""Where the workers of one gunicorn keep their figures, so that each of them can tell the sum of all.

gunicorn's master makes a folder when it starts and removes it when it ends. A worker's files are named after its slot,
the lowest number that no living worker has: whoever takes a dead worker's place goes on with its counters, so that
these never fall, and there are never more files than workers. The master itself keeps no figures and does not import
prometheus_client, because gevent patches a worker after the fork and wants to be first.
"""

import os
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

# prometheus_client looks for this one.
_FOLDER = "PROMETHEUS_MULTIPROC_DIR"
_SLOT = "METRICS_SLOT"


def hooks() -> dict[str, Callable[..., None]]:
    """The hooks of gunicorn's configuration that keep the folder."""
    return {"on_starting": _begin, "pre_fork": _give_slot, "child_exit": _drop_live, "on_exit": _end}


def own_slot() -> int | None:
    """The slot of this worker; None in a process that stands alone."""
    return int(os.environ[_SLOT]) if _SLOT in os.environ else None


def _begin(_master: Any) -> None:
    os.environ[_FOLDER] = tempfile.mkdtemp(prefix="latchkey-metrics-")


def _give_slot(master: Any, worker: Any) -> None:
    taken = {living.metrics_slot for living in master.WORKERS.values()}
    worker.metrics_slot = next(slot for slot in range(len(taken) + 1) if slot not in taken)
    # The worker inherits it a moment later.
    os.environ[_SLOT] = str(worker.metrics_slot)


def _drop_live(_master: Any, worker: Any) -> None:
    """Forget what a dead worker said about its present state; what it counted stays."""
    for file in Path(os.environ[_FOLDER]).glob(f"gauge_live*_{worker.metrics_slot}.db"):
        file.unlink(missing_ok=True)


def _end(_master: Any) -> None:
    shutil.rmtree(os.environ[_FOLDER], ignore_errors=True)
