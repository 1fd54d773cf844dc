"""Migrations of a release that does not exist yet: everything that one may do to tables that are in use."""

import io
import shutil
from pathlib import Path

from alembic.migration import MigrationContext
from alembic.operations import Operations
from alembic.script import Script

from tools.process import ROOT

_HEAD = '"""A sample."""\n\nimport sqlalchemy as sa\nfrom alembic import op\n\n'
_STEPS = {
    "auth": (
        """
    op.add_column("sessions", sa.Column("colour", sa.Text(), nullable=True))
    op.add_column("accounts", sa.Column("locale", sa.Text(), server_default="en", nullable=False))
    op.create_table(
        "badges",
        sa.Column("account_id", sa.BigInteger(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("account_id", "name"),
    )
    op.create_index("ix_badges_name", "badges", ["name"])
""",
        """
    with op.get_context().autocommit_block():
        op.drop_index("ix_sessions_colour", "sessions", postgresql_concurrently=True, if_exists=True)
        op.create_index("ix_sessions_colour", "sessions", ["colour"], postgresql_concurrently=True, if_not_exists=True)
""",
        """
    op.create_check_constraint("colour_is_said", "sessions", "colour <> ''", postgresql_not_valid=True)
""",
        """
    op.execute("ALTER TABLE sessions VALIDATE CONSTRAINT colour_is_said")
""",
    ),
    "users": (
        """
    op.add_column("profiles", sa.Column("locale", sa.Text(), server_default="en", nullable=False))
""",
    ),
}


def next_release(room: str, head: str, folder: Path) -> Path:
    """A copy of the room's migrations in `folder`, with those of the next release after `head`."""
    copy = folder / room
    shutil.copytree(ROOT / "services" / room / "migrations", copy, ignore=shutil.ignore_patterns("__pycache__"))
    for number, step in enumerate(_STEPS[room], int(head) + 1):
        ids = f'revision = "{number:04}"\ndown_revision = "{number - 1:04}"\n\n\n'
        (copy / "versions" / f"{number:04}_next.py").write_text(f"{_HEAD}{ids}def upgrade() -> None:{step}")
    return copy


def sql_of(script: Script) -> str:
    """What a migration says to the database on its way up, in the transaction that the job gives it."""
    said = io.StringIO()
    options = {"as_sql": True, "output_buffer": said, "literal_binds": True}
    context = MigrationContext.configure(dialect_name="postgresql", opts=options)
    with Operations.context(context):
        script.module.upgrade()
    return f"BEGIN;\n{said.getvalue()}COMMIT;\n"
