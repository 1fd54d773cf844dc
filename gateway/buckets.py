"""Token buckets: in Redis for all gateways together, in this process while Redis is away."""

import hashlib
import time
from dataclasses import dataclass
from typing import Any, NamedTuple

import gevent
import redis
import structlog
from gevent.event import AsyncResult, Event
from redis.backoff import NoBackoff
from redis.retry import Retry

from shared import tracing
from shared.redis_client import connect

# A healthy Redis answers in less than a millisecond; this is how long a frozen one may hold requests, once.
_REDIS_SECONDS = 0.5
# How long a Redis that failed is left alone before it is tried again, by nobody's request.
_PAUSE_SECONDS = 1.0
_MOST_AT_ONCE = 500
_MAX_LOCAL = 10_000

# KEYS: the buckets. ARGV: for each its refill per second, its size, and how many tokens are wanted. The clock is that
# of Redis. What is given is at most a sixteenth of what is left, so that one gateway takes little from the others, and
# near the end one by one. The answer for each: tokens given, tokens left, microseconds until there is one again.
_TAKE = """
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
local answers = {}
for i, key in ipairs(KEYS) do
  local rate, size, wanted = ARGV[3 * i - 2] / 1000000, tonumber(ARGV[3 * i - 1]), tonumber(ARGV[3 * i])
  local tokens = size
  local kept, moment = string.match(redis.call('GET', key) or '', '(%S+) (%S+)')
  if kept then
    tokens = math.min(size, kept + math.max(0, now - moment) * rate)
  end
  local whole = math.floor(tokens)
  local given = math.min(wanted, whole, math.max(1, math.floor(whole / 16)))
  local wait = 0
  if given == 0 then
    wait = math.ceil((1 - tokens) / rate)
  else
    local left = tokens - given
    local full = math.max(1, math.ceil((size - left) / rate / 1000))
    redis.call('SET', key, string.format('%.9f %.0f', left, now), 'PX', full)
  end
  answers[i] = {given, whole - given, wait}
end
return answers
"""

log = structlog.get_logger(__name__)


@dataclass(frozen=True)
class Rule:
    """A bucket of `burst` requests that is refilled with `per_second`. `name` is what the RateLimit headers call it."""

    name: str
    per_second: int
    burst: int


class Grant(NamedTuple):
    """What came out of a bucket: `given` tokens, how many are `left`, and the seconds to wait when none was given."""

    given: int
    left: int
    wait: float


class _Ask(NamedTuple):
    rule: Rule
    key: str
    wanted: int
    answer: "AsyncResult[Grant | None]"


class SharedBuckets:
    """The buckets that all gateways take from.

    One greenlet asks Redis for all requests that wait, in one round trip. When that fails it alone tries again, every
    second, and nobody waits for it meanwhile.
    """

    def __init__(self, redis_url: str) -> None:
        self._redis = connect(redis_url, answer_seconds=_REDIS_SECONDS, retry=Retry(NoBackoff(), 0))
        self._script = self._redis.register_script(_TAKE)
        self._asks: list[_Ask] = []
        self._some = Event()
        self._away = True

    def start(self) -> None:
        """Ask from a greenlet for as long as the process lives."""
        self._away = False
        gevent.spawn(self._ask_for_ever)

    def take(self, rule: Rule, key: str, wanted: int) -> Grant | None:
        """Up to `wanted` tokens of the bucket that `rule` gives to `key`; None before the start and without Redis."""
        if self._away:
            return None
        ask = _Ask(rule, key, wanted, AsyncResult())
        self._asks.append(ask)
        self._some.set()
        # One greenlet asks for all; this is how long the request waits for it.
        with tracing.redis("EVALSHA"):
            return ask.answer.get()

    def _ask_for_ever(self) -> None:
        while True:
            self._some.wait()
            asks, self._asks = self._asks[:_MOST_AT_ONCE], self._asks[_MOST_AT_ONCE:]
            if not self._asks:
                self._some.clear()
            try:
                grants = self._ask(asks)
            except Exception as error:  # noqa: BLE001 - whatever it is, requests must not wait for it
                self._do_without(asks, error)
            else:
                for ask, grant in zip(asks, grants, strict=True):
                    ask.answer.set(grant)

    def _ask(self, asks: list[_Ask]) -> list[Grant]:
        keys = [_name(ask.rule, ask.key) for ask in asks]
        numbers = [number for ask in asks for number in (ask.rule.per_second, ask.rule.burst, ask.wanted)]
        # Also for the name of Redis, which may take seconds to resolve when it has gone.
        with gevent.Timeout(_REDIS_SECONDS, redis.TimeoutError("no answer")):
            answers: Any = self._script(keys=keys, args=numbers)
        return [Grant(given, left, wait / 1_000_000) for given, left, wait in answers]

    def _do_without(self, asks: list[_Ask], error: Exception) -> None:
        log.warning("limits_are_local", reason=repr(error))
        self._away = True
        waiting, self._asks = [*asks, *self._asks], []
        self._some.clear()
        for ask in waiting:
            ask.answer.set(None)
        while self._away:
            gevent.sleep(_PAUSE_SECONDS)
            self._away = not self._answers()
        log.info("limits_are_shared_again")

    def _answers(self) -> bool:
        try:
            with gevent.Timeout(_REDIS_SECONDS, redis.TimeoutError("no answer")):
                return bool(self._redis.ping())
        except Exception:  # noqa: BLE001 - it was told that Redis is away
            return False


class LocalBuckets:
    """Buckets of this process alone."""

    def __init__(self) -> None:
        self._kept: dict[tuple[Rule, str], tuple[float, float]] = {}

    def take(self, rule: Rule, key: str) -> Grant:
        """One token of the bucket that `rule` gives to `key`, if there is one."""
        now = time.monotonic()
        tokens, moment = self._kept.get((rule, key), (rule.burst, now))
        tokens = min(rule.burst, tokens + (now - moment) * rule.per_second)
        if tokens < 1:
            return Grant(0, 0, (1 - tokens) / rule.per_second)
        if len(self._kept) >= _MAX_LOCAL:
            self._forget_full(now)
        self._kept[rule, key] = tokens - 1, now
        return Grant(1, int(tokens - 1), 0.0)

    def _forget_full(self, now: float) -> None:
        """Forget buckets that are full again, and when that is not enough all of them."""
        kept = {
            place: (tokens, moment)
            for place, (tokens, moment) in self._kept.items()
            if tokens + (now - moment) * place[0].per_second < place[0].burst
        }
        self._kept = kept if len(kept) < _MAX_LOCAL else {}


def _name(rule: Rule, key: str) -> str:
    # By the numbers too, so that a change of settings begins anew; and an address has no business in Redis.
    digest = hashlib.sha256(key.encode()).hexdigest()[:32]
    return f"latchkey:limit:{rule.name}:{rule.per_second}:{rule.burst}:{digest}"
