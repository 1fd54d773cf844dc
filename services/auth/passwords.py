"""Hashes and checks passwords with argon2id, a few at a time, and refuses the most common ones."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError
from zxcvbn.frequency_lists import FREQUENCY_LISTS

from shared.errors import Unavailable

MIN_PASSWORD = 8
MAX_PASSWORD = 128
_WAIT_SECONDS = 3.0


class Passwords:
    """argon2id with the given cost.

    At most `slots` hashes are computed at once and as many as `queue` wait; past that Unavailable is raised at once, so
    that a storm of sign-ins leaves threads for refreshes and reads.
    """

    def __init__(self, *, memory_kib: int, time_cost: int, slots: int, queue: int) -> None:
        self._hasher = PasswordHasher(time_cost=time_cost, memory_cost=memory_kib, parallelism=1)
        self._slots = threading.BoundedSemaphore(slots)
        self._places = threading.BoundedSemaphore(slots + queue)
        # Checked when there is no account, so that an unknown email takes the time of a wrong password.
        self._nobody = self._hasher.hash("nobody")

    def hash(self, password: str) -> str:
        """The hash of a new password. Raises Unavailable when too many are being computed."""
        with self._slot():
            return self._hasher.hash(password)

    def matches(self, password_hash: str | None, password: str) -> bool:
        """Whether `password` fits; None stands for "no such account" and takes as long. Raises Unavailable."""
        with self._slot():
            try:
                self._hasher.verify(password_hash or self._nobody, password)
            except (VerificationError, InvalidHashError):
                return False
            return password_hash is not None

    @contextmanager
    def _slot(self) -> Iterator[None]:
        if not self._places.acquire(blocking=False):
            raise Unavailable("too many passwords are being hashed")
        try:
            if not self._slots.acquire(timeout=_WAIT_SECONDS):
                raise Unavailable("no password was hashed in time")
            try:
                yield
            finally:
                self._slots.release()
        finally:
            self._places.release()


def is_common(password: str) -> bool:
    """Whether the password is in zxcvbn's list of the passwords seen most often."""
    return password.lower() in _common_passwords()


@cache
def _common_passwords() -> frozenset[str]:
    return frozenset(word for word in FREQUENCY_LISTS["passwords"] if len(word) >= MIN_PASSWORD)
