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
from typing import Any, Literal, TypeVar

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


def gunicorn_settings(room: str, environ: Mapping[str, str] = os.environ) -> dict[str, Any]:
    """Settings of gunicorn for `room`, from BIND, METRICS_BIND, DRAIN_SECONDS and LOG_LEVEL."""
    bind, metrics, drain_seconds = settings_or_exit(lambda _: serving_settings(environ))
    settings_or_exit(lambda _: tracing.Destination.read(environ))
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
        "logconfig_dict": logging_config(room.rpartition(".")[2], log_level(environ)),
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


def log_level(environ: Mapping[str, str]) -> str:
    """LOG_LEVEL, or INFO when it is none that we know."""
    level = environ.get("LOG_LEVEL", "INFO").upper()
    return level if level in LOG_LEVELS else "INFO"


def serving_settings(environ: Mapping[str, str]) -> tuple[str, str, int]:
    """BIND, METRICS_BIND ("" for none) and DRAIN_SECONDS; SettingsError names what is wrong."""
    longest = GRACEFUL_SECONDS - KEEPALIVE_SECONDS
    with Environment(environ) as environment:
        bind, metrics = environment.text("BIND", "0.0.0.0:8000"), environment.text("METRICS_BIND", "")
        for name, address in (("BIND", bind), ("METRICS_BIND", metrics)):
            if address and not port_of(address).isdecimal():
                environment.refuse(name, "must look like 0.0.0.0:8000")
        if port_of(metrics) == port_of(bind):
            environment.refuse("METRICS_BIND", "must have another port than BIND")
        return bind, metrics, environment.integer("DRAIN_SECONDS", DRAIN_SECONDS, low=0, high=longest)


def gunicorn_numbers(*names: str) -> Callable[[Mapping[str, str]], None]:
    """A reader of the numbers that only gunicorn's configuration reads, WEB_CONCURRENCY among them."""

    def read(environ: Mapping[str, str]) -> None:
        with Environment(environ) as environment:
            for name in ("WEB_CONCURRENCY", *names):
                environment.integer(name, 1, low=1, high=100_000)

    return read


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
    logging.config.dictConfig(logging_config(room, log_level(os.environ), stream))
