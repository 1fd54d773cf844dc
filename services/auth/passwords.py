"""Hashes and checks passwords with argon2id, a few at a time, and checks what other systems hashed."""

import random
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any, TypeVar

import structlog
from argon2 import PasswordHasher, Type
from argon2.exceptions import VerificationError, VerifyMismatchError

from services.auth import imported_hashes, metrics
from shared.errors import Unavailable

MIN_PASSWORD = 8
MAX_PASSWORD = 128
_WAIT_SECONDS = 3.0
# Whoever is refused comes back within this time, not all in the same second.
_RETRY_SECONDS = (1, 5)
_OWN_SCHEME = "$argon2id$"

T = TypeVar("T")

log = structlog.get_logger(__name__)


class Passwords:
    """argon2id with the given cost; at most `slots` hashes are computed at once, in threads of their own.

    Whoever has a password hashed for a request takes one of `slots` + `queue` places for the whole of it.
    """

    def __init__(self, *, memory_kib: int, time_cost: int, slots: int, queue: int) -> None:
        self._hasher = PasswordHasher(time_cost=time_cost, memory_cost=memory_kib, parallelism=1, type=Type.ID)
        self._slots = ThreadPoolExecutor(slots, "hashing")
        self._places = threading.BoundedSemaphore(slots + queue)
        metrics.hashing_places.set(slots + queue)
        # Checked when there is no account, so that an unknown email takes the time of a wrong password.
        self._nobody = self._hasher.hash("nobody")

    @contextmanager
    def place(self) -> Iterator[None]:
        """A place for somebody who signs in or up. Raises Unavailable at once when all are taken.

        It is held while the database, Redis and users are asked, too: so a storm of sign-ins leaves threads for
        refreshes and reads, whatever it is that makes them slow, and whoever is refused has cost nothing yet.
        """
        if not self._places.acquire(blocking=False):
            raise _too_many()
        metrics.hashing_under_way.inc()
        try:
            yield
        finally:
            metrics.hashing_under_way.dec()
            self._places.release()

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
            raise _too_many("no password was hashed in time") from error


def _too_many(reason: str = "too many passwords are being hashed") -> Unavailable:
    metrics.hashing_refused.inc()
    return Unavailable(reason, seconds=random.randint(*_RETRY_SECONDS))  # noqa: S311
