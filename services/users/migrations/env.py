"""Alembic's entry into this room's migrations."""

from services.users.models import Base
from shared.migrations import run

run(Base.metadata)
