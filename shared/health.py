"""Health pages: alive means that the process answers, ready means that it should be sent requests."""

from collections.abc import Callable, Mapping

import structlog
from flask import Flask, Response

from shared.envelope import failure, success
from shared.guards import public
from shared.web import envelope_response, language

log = structlog.get_logger(__name__)


def add_health(app: Flask, checks: Mapping[str, Callable[[], bool]]) -> None:
    """Add `/health/live` and `/health/ready`; ready asks every one of `checks`, whose failure is logged by name."""

    @app.get("/health/live")
    @public
    def show_liveness() -> Response:
        return envelope_response(success("Alive", {}, language()), 200)

    @app.get("/health/ready")
    @public
    def show_readiness() -> Response:
        failed = [name for name, check in checks.items() if not _passes(check)]
        if failed:
            log.warning("not_ready", failed=failed)
            response = envelope_response(failure("SRV_503", language()), 503)
            response.headers["Retry-After"] = "1"
            return response
        return envelope_response(success("Ready", {}, language()), 200)


def _passes(check: Callable[[], bool]) -> bool:
    try:
        return check()
    except Exception as error:  # a check that fails in any way says "not ready"
        log.warning("health_check_failed", reason=repr(error))
        return False
