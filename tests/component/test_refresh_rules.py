"""The rules of refreshing against a small model: owner, thief, lost replies, crashes and time, in any order."""

import uuid
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass

import pytest
from hypothesis import HealthCheck, settings
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule, run_state_machine_as_test
from hypothesis.strategies import sampled_from
from sqlalchemy import text

from services.auth import refresh_tokens, rotation, sessions
from services.auth.devices import Device
from services.auth.errors import RefreshTokenReused, SessionEnded
from services.auth.models import Account
from services.auth.settings import Settings
from shared.database import Database
from tools.stack import Stack

GRACE, UNCONFIRMED = 60, 24 * 60 * 60
OLDER = """
    UPDATE sessions SET rotated_at = rotated_at - :s * interval '1 second',
                        confirmed_at = confirmed_at - :s * interval '1 second',
                        idle_expires_at = idle_expires_at - :s * interval '1 second',
                        absolute_expires_at = absolute_expires_at - :s * interval '1 second'
    WHERE id = :id
"""


@dataclass
class Model:
    """What the server should know, in as few words as the contract."""

    generation: int = 0
    since_rotation: int = 0
    since_confirmation: int | None = None
    ended: bool = False

    def refresh(self, presented: int) -> int | None:
        """The generation that the answer holds, or None when it is refused."""
        if self.ended:
            return None
        if presented == self.generation:
            self.generation, self.since_rotation, self.since_confirmation = presented + 1, 0, None
            return self.generation
        if self.is_repeatable(presented):
            return presented + 1
        self.ended = True
        return None

    def is_repeatable(self, presented: int) -> bool:
        """Whether a spent token gets its successor again: unused, or used (seen, or presented) less than GRACE ago."""
        if presented == self.generation - 1:
            in_grace = self.since_confirmation is None or self.since_confirmation < GRACE
            return self.since_rotation < UNCONFIRMED and in_grace
        return presented == self.generation - 2 and self.since_rotation < GRACE


class Refreshing(RuleBasedStateMachine):
    """One session, its owner's phone, and perhaps a thief with copies of what the phone once had."""

    database: Database
    config: Settings

    def __init__(self) -> None:
        super().__init__()
        self.model = Model()
        self.owner = 0
        self.thief_was_here = False
        with self.database.transaction() as session:
            account = Account(email=f"{uuid.uuid4()}@example.com", password_hash="-")
            session.add(account)
            session.flush()
            row = sessions.open_session(session, account.id, Device("iOS", None), self.config).row
            self.row_id, self.secret = row.id, row.secret

    def present(self, generation: int) -> int | None:
        """Refresh with the token of a generation, at the model and at the server, who must agree."""
        expected = self.model.refresh(generation)
        token = refresh_tokens.derive(self.row_id, generation, self.secret, self.config.refresh_token_key)
        got = self._rotate(token)
        assert got == expected
        return got

    def _rotate(self, token: str) -> int | None:
        """As the view does."""
        presented = refresh_tokens.read(token)
        try:
            with self.database.statements() as connection:
                if rotated := rotation.refresh_at_once(connection, presented, self.config):
                    return rotated.generation
            with self.database.transaction() as session:
                outcome = rotation.rotate(session, presented, self.config)
        except SessionEnded:
            return None
        return None if isinstance(outcome.error, RefreshTokenReused) else outcome.row.generation

    def _rotate_and_crash(self, token: str) -> None:
        with self.database.transaction() as session, suppress(SessionEnded):
            rotation.rotate(session, refresh_tokens.read(token), self.config)
            raise ZeroDivisionError
        assert self.model.ended

    @precondition(lambda self: not self.model.ended)
    @rule()
    def owner_refreshes(self) -> None:
        got = self.present(self.owner)
        if got is not None:
            self.owner = got
        elif not self.thief_was_here:
            raise AssertionError("faults alone signed the owner out")

    @precondition(lambda self: not self.model.ended)
    @rule()
    def owner_refreshes_and_loses_the_reply(self) -> None:
        got = self.present(self.owner)
        assert got is not None or self.thief_was_here

    @precondition(lambda self: not self.model.ended and self.owner > 0 and self.model.since_rotation < GRACE)
    @rule()
    def a_request_of_the_owner_arrives_late(self) -> None:
        got = self.present(self.owner - 1)
        assert got is not None or self.thief_was_here, "a request that crossed another signed the owner out"

    @rule()
    def auth_crashes_before_the_commit(self) -> None:
        token = refresh_tokens.derive(self.row_id, self.owner, self.secret, self.config.refresh_token_key)
        with suppress(ZeroDivisionError):
            self._rotate_and_crash(token)

    @precondition(lambda self: self.owner == self.model.generation)
    @rule()
    def owner_uses_the_access_token(self) -> None:
        with self.database.transaction() as session:
            rotation.confirm(session, self.row_id, self.owner)
        if self.model.since_confirmation is None:
            self.model.since_confirmation = 0

    @precondition(lambda self: not self.model.ended)
    @rule()
    def owner_refreshes_and_uses_the_new_pair(self) -> None:
        self.owner_refreshes()
        if self.owner == self.model.generation and not self.model.ended:
            self.owner_uses_the_access_token()

    @precondition(lambda self: not self.model.ended)
    @rule(seconds=sampled_from([31, 61, 3607, 13 * 3607]))
    def time_passes(self, seconds: int) -> None:
        # An owner comes back within a day of a lost reply; who does not is a thief by the contract.
        if self.owner < self.model.generation and self.model.since_rotation + seconds >= UNCONFIRMED - 60:
            return
        with self.database.transaction() as session:
            session.execute(text(OLDER), {"s": seconds, "id": self.row_id})
            # The session itself must not expire in this game.
            session.execute(
                text("UPDATE sessions SET idle_expires_at = now() + interval '20 days', "
                     "absolute_expires_at = now() + interval '90 days' WHERE id = :id"), {"id": self.row_id}
            )  # fmt: skip
        self.model.since_rotation += seconds
        if self.model.since_confirmation is not None:
            self.model.since_confirmation += seconds

    @precondition(lambda self: not self.model.ended)
    @rule(behind=sampled_from([0, 1, 1, 2, 3]))
    def thief_refreshes_with_a_copied_token(self, behind: int) -> None:
        presented = max(0, self.model.generation - behind)
        behind = self.model.generation - presented
        used = self.model.since_rotation if behind > 1 else self.model.since_confirmation or 0
        beyond = presented < self.model.generation and (
            behind > 2 or self.model.since_rotation >= UNCONFIRMED or used >= GRACE
        )
        self.thief_was_here = True
        got = self.present(presented)
        if beyond:
            assert got is None, "a thief with a spent token stayed in beyond the window"
            assert self.model.ended

    @invariant()
    def what_has_ended_stays_ended(self) -> None:
        if self.model.ended:
            assert self.present(self.model.generation) is None


@pytest.fixture
def rules(stack: Stack) -> Iterator[type[Refreshing]]:
    config = Settings.read(stack.environment("auth"))
    database = Database(config.database_url, connections=2)
    yield type("RefreshingHere", (Refreshing,), {"database": database, "config": config})
    database.engine.dispose()


def test_the_owner_is_never_signed_out_by_faults_and_a_thief_never_stays(rules: type[Refreshing]) -> None:
    run_state_machine_as_test(
        rules,
        settings=settings(
            max_examples=40, stateful_step_count=25, deadline=None, suppress_health_check=list(HealthCheck)
        ),
    )
