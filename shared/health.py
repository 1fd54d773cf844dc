"""Health pages: alive means that the process answers, ready means that it should be sent requests."""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import structlog

from shared.blueprint import Blueprint, NoData
from shared.draining import draining
from shared.errors import Unavailable
from shared.guards import public
from shared.metrics import gauge, sample

_ready = gauge("latchkey_ready", "1 while this check of /health/ready passes, else 0", "check", over_workers="min")

log = structlog.get_logger(__name__)


def health_pages(checks: Mapping[str, Callable[[], bool]]) -> Blueprint:
    """`/health/live` and `/health/ready`.

    Ready asks every one of `checks`, and the log names those that fail; a process that was told to end is not ready.
    """
    blueprint = Blueprint("health", __name__, description="For load balancers and supervisors")
    for name, check in checks.items():
        sample(_ready.labels(name), partial(_passes, name, check))

    @blueprint.route("/health/live")
    @public
    @blueprint.answers(200, NoData, "Alive", example={})
    def show_liveness() -> dict[str, Any]:
        """Say that the process answers."""
        return {}

    @blueprint.route("/health/ready")
    @public
    @blueprint.answers(200, NoData, "Ready", example={}, errors=[Unavailable])
    def show_readiness() -> dict[str, Any]:
        """Say whether requests should be sent here."""
        failed = ["draining"] if draining() else [name for name, check in checks.items() if not _passes(name, check)]
        if failed:
            raise Unavailable(f"not ready: {', '.join(failed)}")
        return {}

    return blueprint


def _passes(name: str, check: Callable[[], bool]) -> bool:
    try:
        return check()
    except Exception as error:  # noqa: BLE001 - a check that fails in any way says "not ready"
        log.warning("health_check_failed", check=name, reason=repr(error))
        return False
