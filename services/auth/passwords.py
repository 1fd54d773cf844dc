"""Hashes and checks passwords with argon2id, a few at a time, and checks what other systems hashed."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

import structlog
from argon2 import PasswordHasher, Type
from argon2.exceptions import VerificationError, VerifyMismatchError

from services.auth import imported_hashes, metrics
from services.auth.places import too_many

MIN_PASSWORD = 8
MAX_PASSWORD = 128
_WAIT_SECONDS = 3.0
_OWN_SCHEME = "$argon2id$"

T = TypeVar("T")

log = structlog.get_logger(__name__)


class Passwords:
    """argon2id with the given cost; at most `slots` hashes are computed at once, in threads of their own.

    Whoever has a password hashed for a request takes one of the `places` for the whole of it.
    """

    def __init__(self, *, memory_kib: int, time_cost: int, slots: int) -> None:
        self._hasher = PasswordHasher(time_cost=time_cost, memory_cost=memory_kib, parallelism=1, type=Type.ID)
        self._slots = ThreadPoolExecutor(slots, "hashing")
        # Checked when there is no account, so that an unknown email takes the time of a wrong password.
        self._nobody = self._hasher.hash("nobody")

    def hash(self, password: str) -> str:
        """The hash of a new password. Raises Unavailable when it takes too long."""
        return self._in_turn(self._hasher.hash, password)

    def matches(self, password_hash: str | None, password: str) -> bool:
        """Whether `password` fits; None stands for "no such account" and takes as long. Raises Unavailable.

        A hash that was imported takes as long as its own scheme does, until the first sign-in renews it.
        """
        return self._in_turn(self._matches, password_hash, password)

    def is_outdated(self, password_hash: str) -> bool:
        """Whether a new hash of the same password would have another scheme or cost."""
        return not password_hash.startswith(_OWN_SCHEME) or self._hasher.check_needs_rehash(password_hash)

    def _matches(self, password_hash: str | None, password: str) -> bool:
        try:
            if password_hash and not password_hash.startswith(_OWN_SCHEME):
                return imported_hashes.verify(password_hash, password)
            self._hasher.verify(password_hash or self._nobody, password)
        except VerifyMismatchError:
            return False
        # What the libraries raise, and UnusableHash: for its owner it is as if every password were wrong.
        except (VerificationError, ValueError) as error:
            log.error("password_hash_is_unusable", reason=repr(error))
            return False
        return password_hash is not None

    def _in_turn(self, work: Callable[..., T], *arguments: Any) -> T:
        turn = self._slots.submit(work, *arguments)
        try:
            with metrics.hashing_seconds.time():
                return turn.result(_WAIT_SECONDS)
        except TimeoutError as error:
            turn.cancel()
            raise too_many("no password was hashed in time") from error
