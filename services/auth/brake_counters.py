"""Where attempts are counted: in Redis for all workers, in PostgreSQL while Redis is away, at worst in this process."""

import threading
import time
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import redis
import structlog

from services.auth.brake_rules import Brake, State, judge
from services.auth.sql_counters import SqlCounters
from shared.errors import Unavailable
from shared.redis_client import connect

# A healthy Redis answers in less than a millisecond; this is how long a frozen one may hold a sign-in, once.
REDIS_SECONDS = 0.3
# How long a Redis that failed is left alone; then one request tries it again.
PAUSE_SECONDS = 2.0
_MAX_LOCAL = 100_000

# `judge` in Lua, with the clock of Redis. KEYS: for every brake its key and its ticket (the key once more for none).
# ARGV: for every brake free, first, greatest, forget, most.
_TAKE = """
local time = redis.call('TIME')
local now = time[1] + time[2] / 1000000
local longest = 0
local tickets, used, counted = {}, {}, {}
for i = 1, #KEYS / 2 do
  local key, ticket = KEYS[2 * i - 1], KEYS[2 * i]
  local rule = {}
  for j = 1, 5 do rule[j] = tonumber(ARGV[5 * (i - 1) + j]) end
  local function wait(count)
    local whole = math.ceil(count - 0.001)
    if whole < rule[1] then return 0 end
    return math.min(rule[3], rule[2] * 2 ^ (whole - rule[1]))
  end
  local stored = redis.call('HMGET', key, 'count', 'moment')
  local before, moment = tonumber(stored[1] or 0), tonumber(stored[2] or now)
  local count = math.max(0, before - math.max(0, now - moment) / rule[4])
  local ready = moment + wait(before)
  if ticket ~= key then
    ready = now
    if wait(count) > 0 then
      ready = tonumber(redis.call('GET', ticket) or now + wait(count))
    end
    table.insert(used, ticket)
    if ready > now then table.insert(tickets, {ticket, ready, ready - now + rule[3]}) end
  end
  longest = math.max(longest, ready - now)
  local more = math.min(count + 1, rule[5])
  table.insert(counted, {key, more, more * rule[4]})
end
if longest > 0 then
  for _, ticket in ipairs(tickets) do
    redis.call('SET', ticket[1], string.format('%.6f', ticket[2]), 'PX', math.ceil(ticket[3] * 1000))
  end
  return math.ceil(longest * 1000)
end
for _, ticket in ipairs(used) do redis.call('DEL', ticket) end
for _, entry in ipairs(counted) do
  redis.call('HSET', entry[1], 'count', string.format('%.6f', entry[2]), 'moment', string.format('%.6f', now))
  redis.call('PEXPIRE', entry[1], math.ceil(entry[3] * 1000))
end
return 0
"""
# KEYS lose one attempt each.
_GIVE_BACK = """
for _, key in ipairs(KEYS) do
  local count = tonumber(redis.call('HGET', key, 'count') or 0)
  if count > 1 then redis.call('HSET', key, 'count', string.format('%.6f', count - 1)) else redis.call('DEL', key) end
end
"""

T = TypeVar("T")
log = structlog.get_logger(__name__)


class RedisCounters:
    """One script for each question, so that nothing comes between looking and counting. Raises redis.RedisError."""

    def __init__(self, redis_url: str) -> None:
        self._redis = connect(redis_url, answer_seconds=REDIS_SECONDS)
        self._take = self._redis.register_script(_TAKE)
        self._give_back = self._redis.register_script(_GIVE_BACK)

    def take(self, brakes: Sequence[Brake]) -> float:
        """Count an attempt and return 0, or return the seconds to wait."""
        keys = [key for brake in brakes for key in (brake.key, brake.ticket or brake.key)]
        rules = [(rule.free, rule.first, rule.greatest, rule.forget, rule.most) for rule in (b.rule for b in brakes)]
        milliseconds: Any = self._take(keys=keys, args=[number for rule in rules for number in rule])
        return int(milliseconds) / 1000

    def give_back(self, keys: Sequence[str]) -> None:
        """Take one attempt off each count."""
        self._give_back(keys=keys)

    def clear(self, key: str) -> None:
        """Forget a count."""
        self._redis.delete(key)


class LocalCounters:
    """The counts of this process alone."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._states: dict[str, tuple[State, float]] = {}

    def take(self, brakes: Sequence[Brake]) -> float:
        """Count an attempt and return 0, or return the seconds to wait."""
        with self._lock:
            now = time.time()
            if len(self._states) > _MAX_LOCAL:
                self._states = {key: entry for key, entry in self._states.items() if entry[1] > now}
            known = {key: self._states[key][0] for brake in brakes for key in brake.keys if key in self._states}
            verdict = judge(brakes, known, now)
            for key, change in verdict.changes.items():
                self._states.pop(key, None)
                if change:
                    self._states[key] = change[0], now + change[1]
            return verdict.wait

    def give_back(self, keys: Sequence[str]) -> None:
        """Take one attempt off each count."""
        with self._lock:
            for key in keys:
                if key in self._states:
                    (attempts, moment), until = self._states[key]
                    self._states[key] = State(max(0.0, attempts - 1), moment), until

    def clear(self, key: str) -> None:
        """Forget a count."""
        with self._lock:
            self._states.pop(key, None)


class Counters:
    """The first of Redis, `second` and this process that answers.

    A Redis that failed is left alone for a moment, so that it costs its deadline once and not every request. What was
    counted at one place and given back at another is forgotten with time.
    """

    def __init__(self, shared: RedisCounters, second: SqlCounters | LocalCounters) -> None:
        self._shared = shared
        self._second = second
        self._local = LocalCounters()
        self._avoid_until = 0.0

    @property
    def without_redis(self) -> bool:
        """Whether Redis failed when it was asked last."""
        return self._avoid_until > 0

    def take(self, brakes: Sequence[Brake]) -> float:
        """Count an attempt under all of `brakes` and return 0, or count nothing and return the seconds to wait."""
        return self._ask(lambda store: store.take(brakes))

    def give_back(self, keys: Sequence[str]) -> None:
        """Take one attempt off each count: it was none of those that are counted."""
        self._ask(lambda store: store.give_back(keys))

    def clear(self, key: str) -> None:
        """Forget a count."""
        self._ask(lambda store: store.clear(key))

    def _ask(self, question: Callable[[RedisCounters | SqlCounters | LocalCounters], T]) -> T:
        now = time.monotonic()
        if now >= self._avoid_until:
            suspect = self._avoid_until > 0
            if suspect:
                # The others do not wait for the one that tries it again.
                self._avoid_until = now + PAUSE_SECONDS
            try:
                answer = question(self._shared)
            except redis.RedisError as error:
                self._avoid_until = time.monotonic() + PAUSE_SECONDS
                log.warning("brakes_without_redis", reason=repr(error))
            else:
                if suspect:
                    self._avoid_until = 0.0
                return answer
        try:
            return question(self._second)
        except Unavailable as error:
            log.warning("brakes_are_local", reason=repr(error))
            return question(self._local)
