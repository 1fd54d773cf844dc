"""Logs as JSON lines: one event with fields, and never a token, a password or a body."""

import json
import logging
import re
import sys
import threading
from datetime import UTC, datetime
from typing import Any, TextIO

import structlog

_ROOM: dict[str, str] = {}
# Whoever writes a line holds it: Python's stdout mixes long lines of several threads.
_WRITING = threading.RLock()
# A pipe, such as Docker reads, mixes what several workers write when it is longer than 4096 bytes (PIPE_BUF). A sign of
# a path takes up to six, and no path that we know is longer.
_LONGEST_PATH = 500
# No name or number in a path of ours is longer; a token that somebody put there by mistake is.
_LONG_PART = re.compile(r"([^/]{8})[^/]{33,}")
_encode = json.JSONEncoder(separators=(",", ":")).encode

_STEPS: list[Any] = [
    structlog.contextvars.merge_contextvars,
    structlog.stdlib.add_log_level,
    structlog.stdlib.add_logger_name,
    structlog.processors.TimeStamper(fmt="iso", utc=True),
    structlog.processors.format_exc_info,
]


def logging_config(room: str, level: str, stream: str = "stdout") -> dict[str, Any]:
    """The `logging` configuration of a room, for gunicorn's `logconfig_dict` and for commands.

    Everything, also what gunicorn and libraries log, becomes a JSON line with `room`, `event`, `level`, `timestamp`
    and the fields of the request that is served (`request_id`, `trace_id`).
    """
    _ROOM["room"] = room

    def add_room(_logger: Any, _name: str, event: dict[str, Any]) -> dict[str, Any]:
        return {"room": room, **event}

    structlog.configure(
        processors=[structlog.stdlib.filter_by_level, *_STEPS, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "formatters": {
            "json": {
                "()": structlog.stdlib.ProcessorFormatter,
                "processors": [
                    structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                    add_room,
                    structlog.processors.JSONRenderer(ensure_ascii=False),
                ],
                "foreign_pre_chain": [structlog.stdlib.ExtraAdder(), *_STEPS],
            }
        },
        "handlers": {"lines": {"()": LinesHandler, "formatter": "json", "stream": f"ext://sys.{stream}"}},
        "root": {"level": level, "handlers": ["lines"]},
        # gunicorn's own loggers hand their lines to the root, so that a line is written once.
        "loggers": {
            "gunicorn.error": {"level": level, "handlers": [], "propagate": True, "qualname": "gunicorn.error"},
            "gunicorn.access": {"level": "WARNING", "handlers": [], "propagate": True, "qualname": "gunicorn.access"},
        },
    }


class LinesHandler(logging.StreamHandler[TextIO]):
    """Writes one line at a time, whether it comes by `logging` or by `log_request`."""

    def createLock(self) -> None:  # noqa: N802 - the name that logging calls
        """Take the lock of all writers; logging makes it new in a forked process."""
        super().createLock()
        self.lock = _WRITING


def log_request(level: int, *, path: str | None, **fields: Any) -> None:
    """Write the line that a request leaves, in the form of all others.

    It goes past structlog and logging, which took a fifth of all processor time at the gateway: there is one such line
    for every request. Of a very long path, and of a part of one that may be a token, it has the beginning.
    """
    if logging.root.isEnabledFor(level):
        path = path and _LONG_PART.sub(r"\1…", path)[:_LONGEST_PATH]
        line = {**_ROOM, "path": path, **fields, "event": "request", "level": logging.getLevelName(level).lower()}
        line["timestamp"] = datetime.now(UTC).isoformat().replace("+00:00", "Z")
        text = _encode(line) + "\n"
        with _WRITING:
            sys.stdout.write(text)
            sys.stdout.flush()
