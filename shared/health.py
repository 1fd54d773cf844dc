"""Health pages: alive means that the process answers, ready means that it should be sent requests."""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import structlog
from marshmallow import Schema, fields

from shared.blueprint import Blueprint, NoData
from shared.draining import draining
from shared.errors import Unavailable
from shared.guards import public
from shared.metrics import gauge, sample

_ready = gauge("latchkey_ready", "1 while this check of /health/ready passes, else 0", "check", over_workers="min")

log = structlog.get_logger(__name__)


class ReadinessData(Schema):
    """What a room that is ready would rather have."""

    degraded = fields.List(
        fields.String(),
        metadata={"description": "What does not work although requests are served; left out when all does"},
    )


def health_pages(
    checks: Mapping[str, Callable[[], bool]], *, wishes: Mapping[str, Callable[[], bool]] | None = None
) -> Blueprint:
    """`/health/live` and `/health/ready`.

    Ready asks every one of `checks`, and the log names those that fail; a process that was told to end is not ready. A
    wish that does not come true is only told (`degraded`): taking this room out of the traffic would make things worse.
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
    @blueprint.answers(200, ReadinessData, "Ready", example={}, errors=[Unavailable])
    def show_readiness() -> dict[str, Any]:
        """Say whether requests should be sent here, and what does not work although they should."""
        failed = ["draining"] if draining() else [name for name, check in checks.items() if not _passes(name, check)]
        if failed:
            raise Unavailable(f"not ready: {', '.join(failed)}")
        degraded = [name for name, wish in (wishes or {}).items() if not _passes(name, wish)]
        return {"degraded": degraded} if degraded else {}

    return blueprint


def _passes(name: str, check: Callable[[], bool]) -> bool:
    try:
        return check()
    except Exception as error:  # noqa: BLE001 - a check that fails in any way says "not ready"
        log.warning("health_check_failed", check=name, reason=repr(error))
        return False
