"""What the auth service is told by its environment."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

from shared.settings import Environment

DAY = 24 * 60 * 60
MIN_CLIENT_SECRET = 24


@dataclass(frozen=True)
class ServiceClientEntry:
    """A service that may get tokens: SHA-256 of its live secrets (two while they rotate), scopes by audience."""

    secret_hashes: tuple[bytes, ...]
    scopes: Mapping[str, tuple[str, ...]]


@dataclass(frozen=True)
class Settings:
    """All settings of auth. Lifetimes and pauses are in seconds.

    `key_encryption_key` encrypts the private halves of the signing keys in the database, `refresh_token_key` is the
    pepper of refresh tokens; both are 32 bytes. The worker touches `heartbeat_file`, if any, in every round.
    """

    database_url: str
    redis_url: str
    users_url: str
    key_encryption_key: bytes
    refresh_token_key: bytes
    token_issuer: str
    service_clients: Mapping[str, ServiceClientEntry]
    access_token_lifetime: int
    refresh_idle_lifetime: int
    refresh_absolute_lifetime: int
    refresh_grace: int
    refresh_unconfirmed: int
    idempotency_lifetime: int
    argon2_memory_kib: int
    argon2_time_cost: int
    login_attempts_per_minute: int
    threads: int
    hashing_slots: int
    sessions_per_person: int
    heartbeat_file: str

    @classmethod
    def read(cls, environ: Mapping[str, str]) -> Self:
        """The settings in `environ`; SettingsError names everything that is missing or wrong."""
        with Environment(environ) as environment:
            year = 365 * DAY
            return cls(
                database_url=environment.url("DATABASE_URL", "postgresql"),
                redis_url=environment.url("REDIS_URL", "redis", "rediss"),
                users_url=environment.url("USERS_URL", "http", "https"),
                key_encryption_key=environment.key("KEY_ENCRYPTION_KEY"),
                refresh_token_key=environment.key("REFRESH_TOKEN_KEY"),
                token_issuer=environment.text("TOKEN_ISSUER", "latchkey"),
                service_clients=_service_clients(environment),
                access_token_lifetime=environment.integer("ACCESS_TOKEN_LIFETIME", 15 * 60, low=1, high=DAY),
                refresh_idle_lifetime=environment.integer("REFRESH_IDLE_LIFETIME", 30 * DAY, low=1, high=year),
                refresh_absolute_lifetime=environment.integer("REFRESH_ABSOLUTE_LIFETIME", 180 * DAY, low=1, high=year),
                refresh_grace=environment.integer("REFRESH_GRACE", 60, low=0, high=DAY),
                refresh_unconfirmed=environment.integer("REFRESH_UNCONFIRMED", DAY, low=0, high=30 * DAY),
                idempotency_lifetime=environment.integer("IDEMPOTENCY_LIFETIME", DAY, low=1, high=30 * DAY),
                argon2_memory_kib=environment.integer("ARGON2_MEMORY_KIB", 19 * 1024, low=8 * 1024, high=1024 * 1024),
                argon2_time_cost=environment.integer("ARGON2_TIME_COST", 2, low=1, high=20),
                login_attempts_per_minute=environment.integer("LOGIN_ATTEMPTS_PER_MINUTE", 10, low=1, high=100_000),
                threads=environment.integer("THREADS", 16, low=2, high=256),
                hashing_slots=environment.integer("HASHING_SLOTS", 2, low=1, high=64),
                sessions_per_person=environment.integer("SESSIONS_PER_PERSON", 20, low=1, high=1000),
                heartbeat_file=environment.text("HEARTBEAT_FILE", ""),
            )


def _service_clients(environment: Environment) -> dict[str, ServiceClientEntry]:
    entries = environment.json_object("SERVICE_CLIENTS")
    return {name: _service_client(environment, name, entry) for name, entry in entries.items()}


def _service_client(environment: Environment, name: str, entry: Any) -> ServiceClientEntry:
    match entry:
        case {"secrets": [*secrets], "scopes": dict(scopes)} if 1 <= len(secrets) <= 2:
            if any(not isinstance(secret, str) or len(secret) < MIN_CLIENT_SECRET for secret in secrets):
                environment.refuse("SERVICE_CLIENTS", f"{name}: a secret has at least {MIN_CLIENT_SECRET} characters")
                return ServiceClientEntry((), {})
            hashes = tuple(hashlib.sha256(secret.encode()).digest() for secret in secrets)
            return ServiceClientEntry(hashes, {audience: tuple(names) for audience, names in scopes.items()})
    environment.refuse(
        "SERVICE_CLIENTS", f'{name} must look like {{"secrets": [one or two], "scopes": {{"users": []}}}}'
    )
    return ServiceClientEntry((), {})
