"""The tables of users' own database."""

from datetime import datetime

from sqlalchemy import BigInteger, DateTime, Text, func
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column


class Base(DeclarativeBase):
    """What the tables of this room have in common."""

    type_annotation_map = {str: Text, datetime: DateTime(timezone=True), int: BigInteger}


class Profile(Base):
    """What a person says about themselves.

    `id` is the account's. `email` is a copy that auth owns, as of auth's `account_version`; `revision` grows with every
    change and is the profile's entity tag.
    """

    __tablename__ = "profiles"

    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    email: Mapped[str]
    name: Mapped[str | None]
    phone: Mapped[str | None]
    profile_image: Mapped[str | None]
    account_version: Mapped[int]
    revision: Mapped[int] = mapped_column(server_default="1")
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())
    updated_at: Mapped[datetime] = mapped_column(server_default=func.now())
