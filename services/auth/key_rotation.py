"""The life of a signing key: published, then signing, then only published, then gone.

A key signs only when everybody who checks tokens has had the time to learn of it, and stays published until the last
token that it signed has expired. So a rotation signs nobody out. Times are the database's.
"""

from collections.abc import Sequence
from datetime import timedelta

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from services.auth import audit
from services.auth.models import SigningKey
from services.auth.refusal import Refusal
from services.auth.signing_keys import KEYS_LOCK, RELOAD_SECONDS, SigningKeys

# Processes sign with the old key until they look again, and services take a token up to 30 s beyond its expiry.
_MARGIN_SECONDS = RELOAD_SECONDS + 60


def rotate(session: Session, keys: SigningKeys, lead: int) -> SigningKey:
    """Publish a new key that signs in `lead` seconds, and from then on instead of the present one."""
    _take_turns(session)
    key = keys.generate()
    key.signs_from = func.now() + timedelta(seconds=lead)
    session.add(key)
    session.flush()
    session.refresh(key)
    audit.record(session, "key_rotated", kid=key.kid)
    return key


def retire(session: Session, kid: str) -> SigningKey:
    """Take a key away at once, because it is no longer secret; a successor that is still waiting signs from now on.

    Raises Refusal for an unknown key, and for the only one, without which nobody could sign in. Again is fine.
    """
    _take_turns(session)
    key = session.get(SigningKey, kid)
    if key is None:
        raise Refusal(f"There is no signing key {kid}.")
    if key.retired_at is not None:
        return key
    others = session.scalars(
        select(SigningKey).where(SigningKey.kid != kid, SigningKey.retired_at.is_(None)).order_by(SigningKey.signs_from)
    ).all()
    if not others:
        raise Refusal("This is the only signing key. Rotate first, then retire it.")
    if not session.scalar(select(others[0].signs_from <= func.now())):
        others[0].signs_from = func.now()
    _end(session, key)
    return key


def retire_spent(session: Session, longest_token: int) -> Sequence[SigningKey]:
    """Retire the keys whose tokens have all expired: a successor has signed for longer than `longest_token` seconds."""
    _take_turns(session)
    long_ago = func.now() - timedelta(seconds=longest_token + _MARGIN_SECONDS)
    newest_proven = (
        select(func.max(SigningKey.signs_from))
        .where(SigningKey.retired_at.is_(None), SigningKey.signs_from <= long_ago)
        .scalar_subquery()
    )
    spent = session.scalars(
        select(SigningKey).where(SigningKey.retired_at.is_(None), SigningKey.signs_from < newest_proven)
    ).all()
    for key in spent:
        _end(session, key)
    return spent


def all_keys(session: Session) -> list[tuple[SigningKey, str]]:
    """Every key there ever was, the newest first, and its state: waiting, signing, published or retired."""
    rows = session.execute(
        select(SigningKey, SigningKey.signs_from > func.now()).order_by(SigningKey.signs_from.desc())
    ).all()
    signing = next((key.kid for key, waits in rows if key.retired_at is None and not waits), None)
    return [(key, _state(key, signing=key.kid == signing, waits=waits)) for key, waits in rows]


def _state(key: SigningKey, *, signing: bool, waits: bool) -> str:
    if key.retired_at is not None:
        return "retired"
    if signing:
        return "signing"
    return "waiting" if waits else "published"


def _end(session: Session, key: SigningKey) -> None:
    key.retired_at = func.now()
    # A key that signs nothing any more is of use only to a thief.
    key.private_key = b""
    audit.record(session, "key_retired", kid=key.kid)
    session.flush()
    session.refresh(key)


def _take_turns(session: Session) -> None:
    session.execute(select(func.pg_advisory_xact_lock(KEYS_LOCK)))
