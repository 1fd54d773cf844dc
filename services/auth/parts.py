"""What the auth service is made of, built once for a process."""

from dataclasses import dataclass
from typing import cast

from flask import current_app

from services.auth.brake_counters import Counters, RedisCounters
from services.auth.brakes import Brakes
from services.auth.passwords import Passwords
from services.auth.places import Places
from services.auth.revocations import REDIS_SECONDS, Revocations
from services.auth.settings import Settings
from services.auth.signing_keys import SigningKeys
from services.auth.sql_counters import SqlCounters
from services.auth.tokens import OwnToken, Tokens
from shared.database import Database
from shared.redis_client import connect
from shared.service_client import ServiceClient

ROOM = "auth"
USERS_SCOPES = ("profiles:read", "profiles:write")


@dataclass(frozen=True)
class Parts:
    """The parts that views hand to the use cases."""

    settings: Settings
    database: Database
    passwords: Passwords
    places: Places
    signing_keys: SigningKeys
    tokens: Tokens
    users: ServiceClient
    brakes: Brakes
    revocations: Revocations


def build_parts(settings: Settings) -> Parts:
    """All parts; nothing is connected to before it is used."""
    database = Database(settings.database_url, connections=settings.threads + 2)
    signing_keys = SigningKeys(database, settings.key_encryption_key)
    tokens = Tokens(settings, signing_keys)
    return Parts(
        settings=settings,
        database=database,
        passwords=Passwords(
            memory_kib=settings.argon2_memory_kib,
            time_cost=settings.argon2_time_cost,
            slots=settings.hashing_slots,
        ),
        places=Places(settings.hashing_slots, settings.hashing_queue),
        signing_keys=signing_keys,
        tokens=tokens,
        users=ServiceClient(settings.users_url, OwnToken(tokens, signing_keys, ROOM, "users", USERS_SCOPES)),
        brakes=Brakes(Counters(RedisCounters(settings.redis_url), SqlCounters(database)), settings),
        revocations=Revocations(
            connect(settings.redis_url, answer_seconds=REDIS_SECONDS), settings.ended_sessions_kept
        ),
    )


def parts() -> Parts:
    """The parts of the application that serves the current request."""
    return cast(Parts, current_app.extensions["parts"])
