"""What the auth service is told by its environment."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

from shared import redis_client
from shared.settings import Environment

DAY = 24 * 60 * 60
MIN_CLIENT_SECRET = 24
_MANY = 1_000_000


@dataclass(frozen=True)
class ServiceClientEntry:
    """A service that may get tokens: SHA-256 of its live secrets (two while they rotate), scopes by audience."""

    secret_hashes: tuple[bytes, ...]
    scopes: Mapping[str, tuple[str, ...]]


@dataclass(frozen=True)
class Settings:
    """All settings of auth. Lifetimes and pauses are in seconds.

    `key_encryption_key` encrypts the private halves of the signing keys in the database, `refresh_token_key` is the
    pepper of refresh tokens; both are 32 bytes. The worker touches `heartbeat_file`, if any, while its jobs go round,
    and shows its figures at `metrics_bind`, "host:port".
    """

    database_url: str
    redis_url: str
    users_url: str
    key_encryption_key: bytes
    refresh_token_key: bytes
    token_issuer: str
    service_clients: Mapping[str, ServiceClientEntry]
    access_token_lifetime: int
    clock_margin: int
    refresh_idle_lifetime: int
    refresh_absolute_lifetime: int
    refresh_grace: int
    refresh_unconfirmed: int
    idempotency_lifetime: int
    argon2_memory_kib: int
    argon2_time_cost: int
    sign_in_free_failures: int
    account_free_failures: int
    sign_in_first_delay: int
    sign_in_greatest_delay: int
    network_failures_per_minute: int
    network_sign_ups_per_minute: int
    session_refreshes_per_minute: int
    known_device_lifetime: int
    threads: int
    max_json_depth: int
    hashing_slots: int
    hashing_queue: int
    sessions_per_person: int
    key_publish_lead: int
    clean_up_interval: int
    session_retention: int
    audit_retention: int
    heartbeat_file: str
    metrics_bind: str

    @classmethod
    def read(cls, environ: Mapping[str, str]) -> Self:
        """The settings in `environ`; SettingsError names everything that is missing or wrong."""
        with Environment(environ) as environment:
            year = 365 * DAY
            first_delay = environment.integer("SIGN_IN_FIRST_DELAY", 2, low=1, high=DAY)
            threads, hashing_slots, hashing_queue = _threads_and_hashing(environment)
            return cls(
                database_url=environment.url("DATABASE_URL", "postgresql"),
                redis_url=environment.url("REDIS_URL", *redis_client.SCHEMES, problem_of=redis_client.problem_of),
                users_url=environment.url("USERS_URL", "http", "https"),
                key_encryption_key=environment.key("KEY_ENCRYPTION_KEY"),
                refresh_token_key=environment.key("REFRESH_TOKEN_KEY"),
                token_issuer=environment.text("TOKEN_ISSUER", "latchkey"),
                service_clients=_service_clients(environment),
                access_token_lifetime=environment.integer("ACCESS_TOKEN_LIFETIME", 15 * 60, low=1, high=DAY),
                clock_margin=environment.integer("CLOCK_MARGIN", 15 * 60, low=0, high=DAY),
                refresh_idle_lifetime=environment.integer("REFRESH_IDLE_LIFETIME", 30 * DAY, low=1, high=year),
                refresh_absolute_lifetime=environment.integer("REFRESH_ABSOLUTE_LIFETIME", 180 * DAY, low=1, high=year),
                refresh_grace=environment.integer("REFRESH_GRACE", 60, low=0, high=DAY),
                refresh_unconfirmed=environment.integer("REFRESH_UNCONFIRMED", DAY, low=0, high=30 * DAY),
                idempotency_lifetime=environment.integer("IDEMPOTENCY_LIFETIME", DAY, low=1, high=30 * DAY),
                argon2_memory_kib=environment.integer("ARGON2_MEMORY_KIB", 19 * 1024, low=8 * 1024, high=1024 * 1024),
                argon2_time_cost=environment.integer("ARGON2_TIME_COST", 2, low=1, high=20),
                sign_in_free_failures=environment.integer("SIGN_IN_FREE_FAILURES", 10, low=1, high=_MANY),
                account_free_failures=environment.integer("ACCOUNT_FREE_FAILURES", 50, low=1, high=_MANY),
                sign_in_first_delay=first_delay,
                sign_in_greatest_delay=environment.integer(
                    "SIGN_IN_GREATEST_DELAY", 15 * 60, low=first_delay, high=DAY
                ),
                network_failures_per_minute=environment.integer("NETWORK_FAILURES_PER_MINUTE", 300, low=1, high=_MANY),
                network_sign_ups_per_minute=environment.integer("NETWORK_SIGN_UPS_PER_MINUTE", 120, low=1, high=_MANY),
                session_refreshes_per_minute=environment.integer(
                    "SESSION_REFRESHES_PER_MINUTE", 120, low=1, high=_MANY
                ),
                known_device_lifetime=environment.integer("KNOWN_DEVICE_LIFETIME", 90 * DAY, low=1, high=year),
                threads=threads,
                max_json_depth=environment.json_depth(),
                hashing_slots=hashing_slots,
                hashing_queue=hashing_queue,
                sessions_per_person=environment.integer("SESSIONS_PER_PERSON", 20, low=1, high=1000),
                key_publish_lead=environment.integer("KEY_PUBLISH_LEAD", 150, low=1, high=DAY),
                clean_up_interval=environment.integer("CLEAN_UP_INTERVAL", 10 * 60, low=1, high=DAY),
                session_retention=environment.integer("SESSION_RETENTION", 90 * DAY, low=30 * DAY, high=10 * year),
                audit_retention=environment.integer("AUDIT_RETENTION", year, low=30 * DAY, high=10 * year),
                heartbeat_file=environment.text("HEARTBEAT_FILE", ""),
                metrics_bind=environment.text("METRICS_BIND", ""),
            )

    @property
    def ended_sessions_kept(self) -> int:
        """For how many seconds it is told that a session has ended: until its access tokens expired on every clock."""
        return self.access_token_lifetime + self.clock_margin


def _threads_and_hashing(environment: Environment) -> tuple[int, int, int]:
    threads = environment.integer("THREADS", 16, low=2, high=256)
    slots = environment.integer("HASHING_SLOTS", min(2, threads - 1), low=1, high=64)
    # By default half of the threads are left for everything else, whatever happens to sign-ins.
    queue = environment.integer("HASHING_QUEUE", max(0, threads // 2 - slots), low=0, high=255)
    if slots + queue >= threads:
        environment.refuse("HASHING_SLOTS", f"plus HASHING_QUEUE must be less than THREADS ({threads})")
    return threads, slots, queue


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
