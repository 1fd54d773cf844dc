"""Ended sessions are found by when they ended and by their device, and their end is told once."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    op.add_column("sessions", sa.Column("push_token_hash", sa.LargeBinary(), nullable=True))
    op.add_column("sessions", sa.Column("end_told_at", sa.DateTime(timezone=True), nullable=True))
    op.create_index("ix_sessions_ended", "sessions", ["ended_at"], postgresql_where=sa.text("ended_at IS NOT NULL"))
    op.create_index(
        "ix_sessions_untold",
        "sessions",
        ["account_id"],
        postgresql_where=sa.text("ended_at IS NOT NULL AND end_told_at IS NULL"),
    )


def downgrade() -> None:
    op.drop_index("ix_sessions_untold", table_name="sessions")
    op.drop_index("ix_sessions_ended", table_name="sessions")
    op.drop_column("sessions", "end_told_at")
    op.drop_column("sessions", "push_token_hash")
