"""What the gunicorn configurations of the rooms have in common.

keepalive < graceful_timeout < the `stop_grace_period` of compose (40 s): a stopping server answers what it took. Its
graceful_timeout begins with the SIGTERM, so it holds the time in which the server drains and then the keepalive of the
last connections.
"""

import logging.config
import os
import sys
import tempfile
from collections.abc import Callable, Mapping
from typing import Any, Literal, NamedTuple, TypeVar

from gunicorn.glogging import Logger

from shared import metric_files, tracing
from shared.draining import drain_before_stopping
from shared.logs import logging_config
from shared.settings import Environment, SettingsError

KEEPALIVE_SECONDS = 15
GRACEFUL_SECONDS = 30
# Six probes of the gateway, or two of a load balancer that looks every two seconds.
DRAIN_SECONDS = 5
_SHARED_MEMORY = "/dev/shm"  # noqa: S108 - gunicorn makes its own file there
LOG_LEVELS = ("DEBUG", "INFO", "WARNING", "ERROR")

T = TypeVar("T")


class Serving(NamedTuple):
    """What every room's server is told: where it listens, where for figures ("" for nowhere), how it ends and logs."""

    bind: str
    metrics: str
    drain_seconds: int
    log_level: str

    @classmethod
    def read(cls, environ: Mapping[str, str]) -> "Serving":
        """BIND, METRICS_BIND, DRAIN_SECONDS, LOG_LEVEL; SettingsError names what is wrong, also in WEB_CONCURRENCY."""
        longest = GRACEFUL_SECONDS - KEEPALIVE_SECONDS
        with Environment(environ) as environment:
            bind, metrics = environment.text("BIND", "0.0.0.0:8000"), environment.text("METRICS_BIND", "")
            for name, address in (("BIND", bind), ("METRICS_BIND", metrics)):
                if address and not port_of(address).isdecimal():
                    environment.refuse(name, "must look like 0.0.0.0:8000")
            if port_of(metrics) == port_of(bind):
                environment.refuse("METRICS_BIND", "must have another port than BIND")
            # The number of workers, which gunicorn reads itself.
            environment.integer("WEB_CONCURRENCY", 1, low=1, high=1000)
            return cls(
                bind,
                metrics,
                environment.integer("DRAIN_SECONDS", DRAIN_SECONDS, low=0, high=longest),
                log_level(environment),
            )


def log_level(environment: Environment) -> str:
    """LOG_LEVEL, one of `LOG_LEVELS`."""
    level = environment.text("LOG_LEVEL", "INFO").upper()
    if level not in LOG_LEVELS:
        environment.refuse("LOG_LEVEL", f"must be one of {', '.join(LOG_LEVELS)}")
    return level


def gunicorn_settings(room: str) -> dict[str, Any]:
    """Settings of gunicorn for `room`; ends the process when those of `Serving` or tracing are not valid."""
    bind, metrics, drain_seconds, level = settings_or_exit(Serving.read)
    settings_or_exit(tracing.Destination.read)
    return {
        "wsgi_app": f"{room}.app:create_app()",
        "bind": [bind, metrics] if metrics else bind,
        "keepalive": KEEPALIVE_SECONDS,
        "graceful_timeout": GRACEFUL_SECONDS,
        # The optional C parser takes ambiguous requests; the one in Python refuses them.
        "http_parser": "python",
        # Nobody in front of us may set WSGI variables by headers, and a header with an underscore is dropped, because
        # it would look like the one with a hyphen.
        "forwarded_allow_ips": "",
        "forwarder_headers": "",
        "header_map": "drop",
        "control_socket_disable": True,
        # The heartbeat file must not lie on a slow disk.
        "worker_tmp_dir": _SHARED_MEMORY if os.access(_SHARED_MEMORY, os.W_OK) else tempfile.gettempdir(),
        "logger_class": _Logger,
        "logconfig_dict": logging_config(room.rpartition(".")[2], level),
        "post_worker_init": lambda worker: _begin_worker(
            worker, room.rpartition(".")[2], port_of(metrics), drain_seconds
        ),
        "worker_exit": lambda _master, _worker: tracing.finish(),
        **(metric_files.hooks() if metrics else {}),
    }


class _Logger(Logger):  # type: ignore[misc]
    """gunicorn's own, without a line for each request: the rooms write better ones, and preparing these takes time."""

    def access(self, *_arguments: object) -> None:
        """Write nothing."""

    def warning(self, message: str, *arguments: Any, **fields: Any) -> None:
        """Write a warning, but none that quotes a broken request: there may be a token in it."""
        if not message.startswith("Invalid request from ip="):
            super().warning(message, *arguments, **fields)


def port_of(address: str) -> str:
    """The port of "host:port"."""
    return address.rpartition(":")[2]


def _begin_worker(worker: Any, room: str, metrics_port: str, drain_seconds: int) -> None:
    # Not at the top: gunicorn's master imports this module, and keeps no figures (see shared/metric_files.py).
    from shared.broken_requests import envelope_broken_requests  # noqa: PLC0415
    from shared.metrics import open_door  # noqa: PLC0415
    from shared.whole_answers import answer_in_one_piece  # noqa: PLC0415

    answer_in_one_piece()
    envelope_broken_requests(room)
    drain_before_stopping(worker, drain_seconds)
    if metrics_port:
        open_door(worker, metrics_port)


def check_configuration(*reads: Callable[[Mapping[str, str]], object]) -> int:
    """Say whether everything that is read of the environment is valid, and if not what and why; the exit code."""
    problems: dict[str, None] = {}
    for read in reads:
        try:
            read(os.environ)
        except SettingsError as error:
            # In their order, and once: some settings are read in two places.
            problems.update(dict.fromkeys(str(error).splitlines()))
    sys.stdout.write("\n".join(["The configuration is not valid:", *problems] if problems else ["It is valid."]) + "\n")
    return 1 if problems else 0


def settings_or_exit(read: Callable[[Mapping[str, str]], T]) -> T:
    """The settings of this process; ends it with one line for each problem when they are not valid."""
    try:
        return read(os.environ)
    except SettingsError as error:
        sys.exit(f"The configuration is not valid:\n{error}")


def configure_command_logs(room: str, *, stream: Literal["stdout", "stderr"] = "stdout") -> None:
    """Log as the services do, for a command or a worker that gunicorn does not start."""
    level = settings_or_exit(Serving.read).log_level
    logging.config.dictConfig(logging_config(room, level, stream))
