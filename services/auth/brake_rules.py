"""How long somebody waits before the next attempt, worked out from how many there were; knows no store and no clock."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Self

_HAIR = 0.001


class State(NamedTuple):
    """What is known under a key: how many `attempts` count, as of `moment` (epoch seconds).

    For a ticket, `moment` is when it may be used and `attempts` means nothing.
    """

    attempts: float
    moment: float


@dataclass(frozen=True)
class Rule:
    """`free` attempts cost no wait; after them it is `first` seconds, and twice as long each time, up to `greatest`.

    One attempt is forgotten every `forget` seconds, so that in the long run that is the pace, and never a lock.
    """

    free: int
    first: float
    greatest: float
    forget: float

    @classmethod
    def delays(cls, free: int, first: int, greatest: int) -> Self:
        """Delays that grow: an attacker ends at one attempt every `greatest` seconds."""
        return cls(free, first, greatest, greatest)

    @classmethod
    def per_minute(cls, number: int) -> Self:
        """A pace for what many people share: `number` at once, then one every 60 / `number` seconds."""
        return cls(number, 60 / number, 60 / number, 60 / number)

    @property
    def most(self) -> int:
        """Where the count stops growing, because the delay does not grow either."""
        return self.free + math.ceil(math.log2(self.greatest / self.first))

    def wait(self, count: float) -> float:
        """Seconds between an attempt that brought the count here and the next one."""
        # What is half forgotten still counts; the hair is for fractions that do not come out even.
        whole = math.ceil(count - _HAIR)
        if whole < self.free:
            return 0.0
        return min(self.greatest, self.first * 2.0 ** (whole - self.free))

    def remaining(self, state: State, now: float) -> float:
        """What is not forgotten of a count."""
        return max(0.0, state.attempts - max(0.0, now - state.moment) / self.forget)


@dataclass(frozen=True)
class Brake:
    """A rule for what is counted under `key`.

    Without a ticket, everybody whom it counts waits for the same moment. With one, the count says how long each caller
    waits, and `ticket` is the key under which this caller's own turn is kept: nobody can take another's.
    """

    key: str
    rule: Rule
    ticket: str = ""

    @property
    def keys(self) -> tuple[str, ...]:
        """The keys whose state it depends on."""
        return (self.key, self.ticket) if self.ticket else (self.key,)


class Verdict(NamedTuple):
    """Seconds to wait, 0 for "go ahead"; and what to store: a state and for how many seconds, None for nothing."""

    wait: float
    changes: dict[str, tuple[State, float] | None]


def judge(brakes: Sequence[Brake], states: Mapping[str, State], now: float) -> Verdict:
    """Count an attempt under all brakes, or under none when one of them says wait.

    A refused caller gets a ticket where the brake has them, so that waiting is enough. `_TAKE` in `brake_counters` is
    the same in Lua; a test compares the two.
    """
    wait = 0.0
    tickets: dict[str, tuple[State, float] | None] = {}
    counted: dict[str, tuple[State, float] | None] = {}
    for brake in brakes:
        rule, state = brake.rule, states.get(brake.key, State(0.0, now))
        count = rule.remaining(state, now)
        ready = state.moment + rule.wait(state.attempts)
        if brake.ticket:
            ready = _turn(brake, count, states, now)
            counted[brake.ticket] = None
            if ready > now:
                tickets[brake.ticket] = State(0.0, ready), ready - now + rule.greatest
        wait = max(wait, ready - now)
        more = min(count + 1, rule.most)
        counted[brake.key] = State(more, now), more * rule.forget
    return Verdict(wait, tickets) if wait > 0 else Verdict(0.0, counted)


def _turn(brake: Brake, count: float, states: Mapping[str, State], now: float) -> float:
    delay = brake.rule.wait(count)
    if not delay:
        return now
    ticket = states.get(brake.ticket)
    return ticket.moment if ticket else now + delay
