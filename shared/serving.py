"""What the gunicorn configurations of the rooms have in common.

keepalive < graceful_timeout < the `stop_grace_period` of compose (40 s), so that a stopping server answers what it took.
"""

import logging.config
import os
import sys
import tempfile
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from shared.logs import logging_config
from shared.settings import SettingsError

KEEPALIVE_SECONDS = 15
GRACEFUL_SECONDS = 30
LOG_LEVELS = ("DEBUG", "INFO", "WARNING", "ERROR")

T = TypeVar("T")


def gunicorn_settings(room: str, environ: Mapping[str, str] = os.environ) -> dict[str, Any]:
    """gunicorn's settings for `room`, from BIND, WEB_CONCURRENCY and LOG_LEVEL."""
    return {
        "wsgi_app": f"{room}.app:create_app()",
        "bind": environ.get("BIND", "0.0.0.0:8000"),
        "keepalive": KEEPALIVE_SECONDS,
        "graceful_timeout": GRACEFUL_SECONDS,
        # The optional C parser takes ambiguous requests; the one in Python refuses them.
        "http_parser": "python",
        # Peers are services and proxies, none of which may rename a header into one that we trust.
        "forwarded_allow_ips": "",
        "header_map": "refuse",
        "control_socket_disable": True,
        # The heartbeat file must not lie on a disk, and a read-only container has only this.
        "worker_tmp_dir": "/dev/shm" if os.access("/dev/shm", os.W_OK) else tempfile.gettempdir(),
        "logconfig_dict": logging_config(room.rpartition(".")[2], log_level(environ)),
    }


def log_level(environ: Mapping[str, str]) -> str:
    """LOG_LEVEL, or INFO when it is none that we know."""
    level = environ.get("LOG_LEVEL", "INFO").upper()
    return level if level in LOG_LEVELS else "INFO"


def settings_or_exit(read: Callable[[Mapping[str, str]], T]) -> T:
    """The settings of this process; ends it with one line for each problem when they are not valid."""
    try:
        return read(os.environ)
    except SettingsError as error:
        sys.exit(f"The configuration is not valid:\n{error}")


def configure_command_logs(room: str) -> None:
    """Log as the services do, for a command or a worker that gunicorn does not start."""
    logging.config.dictConfig(logging_config(room, log_level(os.environ)))
