"""What each room's processes are called, how they start and which settings they are given."""

import http.client
import os
import sys
from collections.abc import Callable, Mapping

from tools.data_dir import DataDir, Secrets
from tools.ports import HOST, Ports
from tools.process import Process

# In the order in which they are shown; nobody waits for another one to start.
SERVICES = ("auth", "users", "worker", "gateway")
ROLES = {"auth": "latchkey_auth", "users": "latchkey_users"}
_COMMANDS = {
    "auth": ("gunicorn", "-c", "services/auth/gunicorn_conf.py"),
    "users": ("gunicorn", "-c", "services/users/gunicorn_conf.py"),
    "worker": ("services.auth", "worker"),
    "gateway": ("gunicorn", "-c", "gateway/gunicorn_conf.py"),
}
# What every program may know about the machine.
_BASICS = ("PATH", "HOME", "LANG", "LC_ALL", "TMPDIR")
# Settings that have a default in the rooms and may be changed for one start, such as ACCESS_TOKEN_LIFETIME=10 make up.
_OPTIONAL = (
    *("LOG_LEVEL", "WEB_CONCURRENCY", "THREADS", "WORKER_CONNECTIONS"),
    *("ACCESS_TOKEN_LIFETIME", "CLOCK_MARGIN", "REFRESH_IDLE_LIFETIME", "REFRESH_ABSOLUTE_LIFETIME", "REFRESH_GRACE"),
    *("REFRESH_UNCONFIRMED", "IDEMPOTENCY_LIFETIME"),
    *("SIGN_IN_FREE_FAILURES", "ACCOUNT_FREE_FAILURES", "SIGN_IN_FIRST_DELAY", "SIGN_IN_GREATEST_DELAY"),
    *("NETWORK_FAILURES_PER_MINUTE", "NETWORK_SIGN_UPS_PER_MINUTE", "SESSION_REFRESHES_PER_MINUTE"),
    "KNOWN_DEVICE_LIFETIME",
    *("ARGON2_MEMORY_KIB", "ARGON2_TIME_COST", "HASHING_SLOTS", "HASHING_QUEUE", "SESSIONS_PER_PERSON"),
    *("KEY_PUBLISH_LEAD", "CLEAN_UP_INTERVAL", "SESSION_RETENTION", "AUDIT_RETENTION"),
    *("TRUSTED_HOPS", "REQUESTS_PER_SECOND", "BURST", "MAX_BODY_BYTES", "MAX_ANSWER_BYTES", "CONNECTIONS_PER_SERVICE"),
    *("MAX_REQUEST_LINE_BYTES", "MAX_HEADER_BYTES", "MAX_HEADERS", "CONNECTIONS_PER_NETWORK", "SEND_SECONDS"),
    *("DEADLINE_SECONDS", "PERSON_REQUESTS_PER_SECOND", "PERSON_BURST", "ALLOWED_ORIGINS"),
    *("DRAIN_SECONDS", "ENVELOPE_CHECK_EVERY", "MAX_JSON_DEPTH"),
    *("OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_TRACES_SAMPLER_ARG"),
)
_READINESS_SECONDS = 1.0


def basics() -> dict[str, str]:
    """The part of the launcher's environment that every process inherits."""
    return {name: value for name, value in os.environ.items() if name in _BASICS or name.startswith("PYTHON")}


def environment(name: str, ports: Ports, secrets: Secrets) -> dict[str, str]:
    """Everything that one service is told, and nothing that belongs to another."""
    optional = {setting: os.environ[setting] for setting in _OPTIONAL if setting in os.environ}
    fixed = {"TOKEN_ISSUER": "latchkey", "METRICS_BIND": f"{HOST}:{metrics_port(name, ports)}"}
    # Nobody balances load between these, so nobody has to be told before they stop.
    return {**basics(), "DRAIN_SECONDS": "0", **optional, **fixed, **_own_settings(name, ports, secrets)}


def migration(name: str, data: DataDir, settings: Mapping[str, str]) -> Process:
    """The job that brings the database of `auth` or `users` up to date."""
    return Process(
        f"{name}-migrate",
        [sys.executable, "-m", f"services.{name}", "migrate"],
        environment=settings,
        log_path=data.log_path(f"{name}-migrate"),
    )


def service(name: str, data: DataDir, ports: Ports, settings: Mapping[str, str]) -> Process:
    return Process(
        name,
        [sys.executable, "-m", *_COMMANDS[name]],
        environment=settings,
        log_path=data.log_path(name),
        is_ready=_health_of(getattr(ports, name)) if name != "worker" else lambda: True,
    )


def url(port: int) -> str:
    return f"http://{HOST}:{port}"


def metrics_port(name: str, ports: Ports) -> int:
    """Where a service shows its figures."""
    return int(getattr(ports, f"{name}_metrics"))


def database_url(name: str, ports: Ports, secrets: Secrets) -> str:
    """The database of `auth` or `users`, as its own role."""
    return f"postgresql://{ROLES[name]}:{database_password(name, secrets)}@{HOST}:{ports.postgres}/{ROLES[name]}"


def database_password(name: str, secrets: Secrets) -> str:
    return {"auth": secrets.auth_database, "users": secrets.users_database}[name]


def redis_url(ports: Ports, secrets: Secrets) -> str:
    return f"redis://:{secrets.valkey}@{HOST}:{ports.valkey}/0"


def _own_settings(name: str, ports: Ports, secrets: Secrets) -> dict[str, str]:
    if name == "users":
        return {
            "DATABASE_URL": database_url("users", ports, secrets),
            "AUTH_URL": url(ports.auth),
            "BIND": f"{HOST}:{ports.users}",
        }
    if name == "gateway":
        return {
            "AUTH_URL": url(ports.auth),
            "USERS_URL": url(ports.users),
            "REDIS_URL": redis_url(ports, secrets),
            "BIND": f"{HOST}:{ports.gateway}",
        }
    return {
        "DATABASE_URL": database_url("auth", ports, secrets),
        "REDIS_URL": redis_url(ports, secrets),
        "KEY_ENCRYPTION_KEY": secrets.key_encryption_key,
        "REFRESH_TOKEN_KEY": secrets.refresh_token_key,
        "USERS_URL": url(ports.users),
        "SERVICE_CLIENTS": os.environ.get("SERVICE_CLIENTS", "{}"),
        "BIND": f"{HOST}:{ports.auth}",
    }


def _health_of(port: int) -> Callable[[], bool]:
    def answers() -> bool:
        connection = http.client.HTTPConnection(HOST, port, timeout=_READINESS_SECONDS)
        try:
            connection.request("GET", "/health/ready")
            return connection.getresponse().status == http.client.OK
        except (OSError, http.client.HTTPException):
            return False
        finally:
            connection.close()

    return answers
