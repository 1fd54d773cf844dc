"""Brakes on signing in and up: they slow attackers down and lock nobody out. For refreshing see `refresh_brake`.

Why they are as they are, and what they cannot do: docs/decisions/0010-brakes-not-locks.md.
"""

import hashlib
import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from services.auth import metrics
from services.auth.brake_counters import Counters
from services.auth.brake_rules import Brake, Rule
from services.auth.errors import TooManyAttempts, WrongCredentials
from services.auth.known_devices import Place, Recognition
from services.auth.settings import Settings
from shared.metrics import sample
from shared.networks import site_of


class Brakes:
    """The rules of the settings over the counts of all workers."""

    def __init__(self, counters: Counters, settings: Settings) -> None:
        first, greatest = settings.sign_in_first_delay, settings.sign_in_greatest_delay
        self._counters = counters
        sample(metrics.brakes_without_redis, lambda: float(counters.without_redis))
        self._one_place = Rule.delays(settings.sign_in_free_failures, first, greatest)
        self._account = Rule.delays(settings.account_free_failures, first, greatest)
        self._network = Rule.per_minute(settings.network_failures_per_minute)
        self._sign_up = Rule.per_minute(settings.network_sign_ups_per_minute)

    @contextmanager
    def sign_in(self, email: str, place: Place, known_by: Recognition) -> Iterator[None]:
        """Check a password inside; only WrongCredentials stays counted. Raises TooManyAttempts.

        An attempt is counted before its password is checked and given back afterwards, so that a hundred at once are
        not a hundred guesses.
        """
        brakes = self._brakes_of(email, place, known_by)
        keys = [brake.key for brake in brakes]
        _spend(self._counters, brakes)
        try:
            yield
        except WrongCredentials:
            raise
        except BaseException:
            self._counters.give_back(keys)
            raise
        # Whoever knows the password has put a few mistyped ones right, though only at this place.
        self._counters.clear(keys[0])
        if len(keys) > 1:
            self._counters.give_back(keys[1:])

    def sign_up(self, network: str) -> None:
        """Count a sign-up. Raises TooManyAttempts."""
        _spend(self._counters, [Brake(_key("sign-up", network), self._sign_up)])

    def wrong_secret(self, client_id: str, network: str) -> None:
        """Count a wrong secret of a service; the right one is not asked to wait. Raises TooManyAttempts."""
        _spend(self._counters, [Brake(_key("client", client_id, network), self._one_place)])

    def _brakes_of(self, email: str, place: Place, known_by: Recognition) -> list[Brake]:
        """The brake of the place comes first; those that many share do not concern whom we know."""
        if known_by == "push_token":
            return [Brake(_key("device", email, place.push_token or ""), self._one_place)]
        own = Brake(_key("place", email, place.network), self._one_place)
        if known_by == "network":
            return [own]
        ticket = _key("ticket", email, site_of(place.network))
        account = Brake(_key("account", email), self._account, ticket)
        return [own, account, Brake(_key("network", place.network), self._network)]


def _spend(counters: Counters, brakes: Sequence[Brake]) -> None:
    if wait := counters.take(brakes):
        raise TooManyAttempts(math.ceil(wait))


def _key(kind: str, *values: str) -> str:
    # Neither an email nor an address has any business in Redis.
    return f"latchkey:brake:{kind}:{hashlib.sha256(chr(0).join(values).encode()).hexdigest()[:32]}"
