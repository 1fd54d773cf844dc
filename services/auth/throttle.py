"""Slows down whoever guesses passwords: failed sign-ins are counted by account and network."""

import hashlib
import time

import structlog
from limits import RateLimitItemPerMinute
from limits.errors import StorageError
from limits.storage import MemoryStorage, RedisStorage
from limits.strategies import MovingWindowRateLimiter

from services.auth.errors import TooManyAttempts

_REDIS_SECONDS = 0.5

log = structlog.get_logger(__name__)


class SignInThrottle:
    """At most `per_minute` failed sign-ins for one account from one network.

    Counted in Redis for all workers; while Redis is away, by each worker for itself, so that it is never unlimited and
    never locks everybody out.
    """

    def __init__(self, redis_url: str, per_minute: int) -> None:
        storage = RedisStorage(
            redis_url, wrap_exceptions=True, socket_timeout=_REDIS_SECONDS, socket_connect_timeout=_REDIS_SECONDS
        )
        self._shared = MovingWindowRateLimiter(storage)
        self._local = MovingWindowRateLimiter(MemoryStorage())
        self._limit = RateLimitItemPerMinute(per_minute)

    def check(self, email: str, network: str) -> None:
        """Raise TooManyAttempts when the limit is reached."""
        try:
            self._check(self._shared, email, network)
        except StorageError as error:
            log.warning("throttle_is_local", reason=repr(error))
            self._check(self._local, email, network)

    def count_failure(self, email: str, network: str) -> None:
        """Remember a failed sign-in."""
        self._local.hit(self._limit, *_key(email, network))
        try:
            self._shared.hit(self._limit, *_key(email, network))
        except StorageError as error:
            log.warning("throttle_is_local", reason=repr(error))

    def _check(self, limiter: MovingWindowRateLimiter, email: str, network: str) -> None:
        if not limiter.test(self._limit, *_key(email, network)):
            reset = limiter.get_window_stats(self._limit, *_key(email, network)).reset_time
            raise TooManyAttempts(int(reset - time.time()) + 1)


def _key(email: str, network: str) -> tuple[str, str, str]:
    # The address itself has no business in Redis.
    return "sign-in", hashlib.sha256(email.encode()).hexdigest(), network
