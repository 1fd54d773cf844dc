"""Where people signed in before, and what is counted while Redis is away."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    op.create_table(
        "known_devices",
        sa.Column("account_id", sa.BigInteger(), nullable=False),
        sa.Column("mark", sa.LargeBinary(), nullable=False),
        sa.Column("seen_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.ForeignKeyConstraint(["account_id"], ["accounts.id"], ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("account_id", "mark"),
    )
    op.create_table(
        "brakes",
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("attempts", sa.Double(), nullable=False),
        sa.Column("moment", sa.Double(), nullable=False),
        sa.Column("forgotten_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("key"),
        # What is counted may be lost, so it costs no write-ahead log.
        prefixes=["UNLOGGED"],
    )
    op.create_index("ix_brakes_forgotten_at", "brakes", ["forgotten_at"])


def downgrade() -> None:
    op.drop_table("brakes")
    op.drop_table("known_devices")
