"""Counts attempts in an UNLOGGED table of PostgreSQL, for the time that Redis is away."""

import time
from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any

from sqlalchemy import Text, delete, func, select, update
from sqlalchemy.dialects.postgresql import array, insert
from sqlalchemy.orm import Session

from services.auth.brake_rules import Brake, State, judge
from services.auth.models import BrakeRow
from shared.database import Database

# A namespace of advisory locks beside those of push tokens (0) and sign-up keys (1).
_LOCKS = 2
_SWEEP = 100
_MAX_REFUSED = 100_000


class SqlCounters:
    """The same rules by the database's clock. Raises Unavailable.

    Whom it has refused is refused by this process until the time is over, so that a flood does not reach the database.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self._refused: dict[tuple[Brake, ...], float] = {}

    def take(self, brakes: Sequence[Brake]) -> float:
        """Count an attempt and return 0, or return the seconds to wait."""
        asked, now = tuple(brakes), time.monotonic()
        if (left := self._refused.get(asked, now) - now) > 0:
            return left
        wait = self._judge(brakes)
        if len(self._refused) > _MAX_REFUSED:
            self._refused = {}
        if wait > 0:
            self._refused[asked] = time.monotonic() + wait
        else:
            self._refused.pop(asked, None)
        return wait

    def give_back(self, keys: Sequence[str]) -> None:
        """Take one attempt off each count."""
        with self._database.transaction() as session:
            _take_turns(session, keys)
            fewer = func.greatest(0.0, BrakeRow.attempts - 1)
            session.execute(update(BrakeRow).where(BrakeRow.key.in_(keys)).values(attempts=fewer))

    def clear(self, key: str) -> None:
        """Forget a count."""
        with self._database.transaction() as session:
            session.execute(delete(BrakeRow).where(BrakeRow.key == key))

    def _judge(self, brakes: Sequence[Brake]) -> float:
        keys = [key for brake in brakes for key in brake.keys]
        with self._database.transaction() as session:
            now = _take_turns(session, [brake.key for brake in brakes])
            rows = session.scalars(select(BrakeRow).where(BrakeRow.key.in_(keys)))
            verdict = judge(brakes, {row.key: State(row.attempts, row.moment) for row in rows}, now)
            _store(session, verdict.changes)
            _sweep(session)
        return verdict.wait


def _take_turns(session: Session, keys: Sequence[str]) -> float:
    """Wait until nobody else counts under these keys; the time then."""
    # In one order for everybody, so that nobody waits in a circle.
    key = func.unnest(array(sorted(keys), type_=Text)).column_valued("key")
    lock = func.pg_advisory_xact_lock(func.hashtextextended(key, _LOCKS))
    rows = session.execute(select(lock, func.extract("epoch", func.clock_timestamp()))).all()
    return float(rows[-1][1])


def _store(session: Session, changes: Mapping[str, tuple[State, float] | None]) -> None:
    if gone := [key for key, change in changes.items() if change is None]:
        session.execute(delete(BrakeRow).where(BrakeRow.key.in_(gone)))
    rows: list[dict[str, Any]] = []
    for key, change in changes.items():
        if change:
            state, seconds = change
            rows.append({"key": key, **state._asdict(), "forgotten_at": func.now() + timedelta(seconds=seconds)})
    if rows:
        statement = insert(BrakeRow).values(rows)
        new = {name: statement.excluded[name] for name in ("attempts", "moment", "forgotten_at")}
        session.execute(statement.on_conflict_do_update(index_elements=[BrakeRow.key], set_=new))


def _sweep(session: Session) -> None:
    forgotten = select(BrakeRow.key).where(BrakeRow.forgotten_at < func.now()).limit(_SWEEP)
    session.execute(
        delete(BrakeRow).where(BrakeRow.key.in_(forgotten.with_for_update(skip_locked=True).scalar_subquery()))
    )
