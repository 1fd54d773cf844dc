"""What happened is remembered, and the clean-up finds what is old."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0003"
down_revision = "0002"

# Nobody who speaks to the database as auth can change what happened, nor forget it before its time: also a bug or an
# injected statement would have to change the table's definition first. The clean-up deletes what is older.
APPEND_ONLY = """
CREATE FUNCTION refuse_to_change_history() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'DELETE' THEN
        IF OLD.at < now() - interval '30 days' THEN
            RETURN OLD;
        END IF;
    END IF;
    RAISE EXCEPTION 'audit_events is append-only for 30 days' USING ERRCODE = 'insufficient_privilege';
END
$$
"""
ROW_TRIGGER = """
CREATE TRIGGER audit_events_append_only BEFORE UPDATE OR DELETE ON audit_events
FOR EACH ROW EXECUTE FUNCTION refuse_to_change_history()
"""
TRUNCATE_TRIGGER = """
CREATE TRIGGER audit_events_not_emptied BEFORE TRUNCATE ON audit_events
FOR EACH STATEMENT EXECUTE FUNCTION refuse_to_change_history()
"""


def upgrade() -> None:
    op.create_table(
        "audit_events",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("event", sa.Text(), nullable=False),
        sa.Column("account_id", sa.BigInteger(), nullable=True),
        sa.Column("session_id", sa.Uuid(), nullable=True),
        sa.Column("network", sa.Text(), nullable=True),
        sa.Column("request_id", sa.Text(), nullable=True),
        sa.Column(
            "details", postgresql.JSONB(astext_type=sa.Text()), server_default=sa.text("'{}'::jsonb"), nullable=False
        ),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("ix_audit_events_account", "audit_events", ["account_id", "id"])
    op.create_index("ix_audit_events_at", "audit_events", ["at"])
    op.execute(APPEND_ONLY)
    op.execute(ROW_TRIGGER)
    op.execute(TRUNCATE_TRIGGER)
    op.add_column("accounts", sa.Column("password_changed_at", sa.DateTime(timezone=True), nullable=True))
    op.create_index(
        "ix_outbox_delivered", "outbox", ["delivered_at"], postgresql_where=sa.text("delivered_at IS NOT NULL")
    )
    op.create_index("ix_signup_keys_created", "signup_keys", ["created_at"])


def downgrade() -> None:
    op.drop_index("ix_signup_keys_created", table_name="signup_keys")
    op.drop_index("ix_outbox_delivered", table_name="outbox")
    op.drop_column("accounts", "password_changed_at")
    op.drop_table("audit_events")
    op.execute("DROP FUNCTION refuse_to_change_history()")
