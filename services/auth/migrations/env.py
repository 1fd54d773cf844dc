"""Alembic's entry into this room's migrations."""

from services.auth.models import Base
from shared.migrations import run

run(Base.metadata)
