"""The tables of auth's own database."""

import uuid
from datetime import datetime
from typing import Any

from sqlalchemy import BigInteger, DateTime, Double, ForeignKey, Identity, Index, LargeBinary, Text, Uuid, func, text
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

Moment = DateTime(timezone=True)


class Base(DeclarativeBase):
    """What the tables of this room have in common."""

    type_annotation_map = {str: Text, datetime: Moment, bytes: LargeBinary, dict[str, Any]: JSONB}


class Account(Base):
    """Somebody who can sign in. `email` is canonical (see `emails`), and unique as stored."""

    __tablename__ = "accounts"

    id: Mapped[int] = mapped_column(BigInteger, Identity(), primary_key=True)
    email: Mapped[str] = mapped_column(unique=True)
    password_hash: Mapped[str]
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())
    disabled_at: Mapped[datetime | None]
    password_changed_at: Mapped[datetime | None]


class SessionRow(Base):
    """One device's sign-in, from the password to its end.

    The refresh token is derived from `id`, `generation` and `secret`, and never stored. `confirmed_at` says when the
    newest pair was first used; until then, and a grace after, the generation before it is answered with that pair
    again. `ended_at` never goes back to null: ended is ended. `push_token_hash` stays when the push token goes,
    to know the device again and tell it once (`end_told_at`) why it was signed out. `refreshes_forgotten_at` belongs to
    `refresh_brake`.
    """

    __tablename__ = "sessions"
    __table_args__ = (
        Index("ix_sessions_live", "account_id", postgresql_where=text("ended_at IS NULL")),
        Index("ix_sessions_ended", "ended_at", postgresql_where=text("ended_at IS NOT NULL")),
        Index(
            "ix_sessions_untold",
            "account_id",
            postgresql_where=text("ended_at IS NOT NULL AND end_told_at IS NULL"),
        ),
        Index(
            "uq_sessions_push_token",
            "notification_device_id",
            unique=True,
            postgresql_where=text("ended_at IS NULL AND notification_device_id IS NOT NULL"),
        ),
    )

    id: Mapped[uuid.UUID] = mapped_column(Uuid, primary_key=True, server_default=text("uuidv7()"))
    account_id: Mapped[int] = mapped_column(ForeignKey("accounts.id", ondelete="CASCADE"))
    secret: Mapped[bytes]
    generation: Mapped[int] = mapped_column(server_default="0")
    device_type: Mapped[str]
    notification_device_id: Mapped[str | None]
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())
    last_used_at: Mapped[datetime] = mapped_column(server_default=func.now())
    rotated_at: Mapped[datetime] = mapped_column(server_default=func.now())
    confirmed_at: Mapped[datetime | None]
    idle_expires_at: Mapped[datetime]
    absolute_expires_at: Mapped[datetime]
    ended_at: Mapped[datetime | None]
    end_reason: Mapped[str | None]
    push_token_hash: Mapped[bytes | None]
    end_told_at: Mapped[datetime | None]
    refreshes_forgotten_at: Mapped[datetime | None]


class SigningKey(Base):
    """A key that access tokens are signed with.

    `private_key` is encrypted by the key from the environment, and empty once the key is retired. `key_rotation` tells
    what the times mean.
    """

    __tablename__ = "signing_keys"

    kid: Mapped[str] = mapped_column(primary_key=True)
    private_key: Mapped[bytes]
    public_jwk: Mapped[dict[str, Any]]
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())
    signs_from: Mapped[datetime] = mapped_column(server_default=func.now())
    retired_at: Mapped[datetime | None]


class OutboxEntry(Base):
    """Something that the users service must be told, written in the transaction that made it true."""

    __tablename__ = "outbox"
    __table_args__ = (
        Index("ix_outbox_waiting", "account_id", "id", postgresql_where=text("delivered_at IS NULL")),
        Index("ix_outbox_delivered", "delivered_at", postgresql_where=text("delivered_at IS NOT NULL")),
    )

    id: Mapped[int] = mapped_column(BigInteger, Identity(), primary_key=True)
    account_id: Mapped[int] = mapped_column(ForeignKey("accounts.id", ondelete="CASCADE"))
    profile: Mapped[dict[str, Any]]
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())
    attempts: Mapped[int] = mapped_column(server_default="0")
    next_attempt_at: Mapped[datetime] = mapped_column(server_default=func.now())
    delivered_at: Mapped[datetime | None]


class SignupKey(Base):
    """An `Idempotency-Key` of a sign-up, and what came of it.

    `request_hash` covers the request without its password: a fast hash of a password would be a gift to whoever steals
    this table. The password is compared with the account's own slow hash.
    """

    __tablename__ = "signup_keys"
    __table_args__ = (Index("ix_signup_keys_created", "created_at"),)

    key: Mapped[uuid.UUID] = mapped_column(Uuid, primary_key=True)
    request_hash: Mapped[bytes]
    account_id: Mapped[int] = mapped_column(ForeignKey("accounts.id", ondelete="CASCADE"))
    session_id: Mapped[uuid.UUID] = mapped_column(Uuid)
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())


class AuditEvent(Base):
    """Something that happened; never a secret, a token, or the email of somebody unknown.

    The database refuses to change a row, and to delete it before it is 30 days old (migration 0003). `account_id` and
    `session_id` refer to what may be gone.
    """

    __tablename__ = "audit_events"
    __table_args__ = (Index("ix_audit_events_account", "account_id", "id"), Index("ix_audit_events_at", "at"))

    id: Mapped[int] = mapped_column(BigInteger, Identity(), primary_key=True)
    at: Mapped[datetime] = mapped_column(server_default=func.now())
    event: Mapped[str]
    account_id: Mapped[int | None] = mapped_column(BigInteger)
    session_id: Mapped[uuid.UUID | None] = mapped_column(Uuid)
    network: Mapped[str | None]
    request_id: Mapped[str | None]
    details: Mapped[dict[str, Any]] = mapped_column(server_default=text("'{}'::jsonb"))


class KnownDevice(Base):
    """Somewhere that somebody signed in: `mark` is a keyed hash of a push token or of a network."""

    __tablename__ = "known_devices"

    account_id: Mapped[int] = mapped_column(ForeignKey("accounts.id", ondelete="CASCADE"), primary_key=True)
    mark: Mapped[bytes] = mapped_column(primary_key=True)
    seen_at: Mapped[datetime] = mapped_column(server_default=func.now())


class BrakeRow(Base):
    """How many attempts count under a key, while Redis is away; see `brake_rules.State`. A crash may empty it."""

    __tablename__ = "brakes"
    __table_args__ = (Index("ix_brakes_forgotten_at", "forgotten_at"), {"prefixes": ["UNLOGGED"]})

    key: Mapped[str] = mapped_column(primary_key=True)
    attempts: Mapped[float] = mapped_column(Double)
    moment: Mapped[float] = mapped_column(Double)
    forgotten_at: Mapped[datetime]
