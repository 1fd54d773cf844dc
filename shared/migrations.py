"""Runs a room's Alembic migrations."""

from pathlib import Path

from alembic import command, context
from alembic.config import Config
from sqlalchemy import MetaData, create_engine, pool, text

from shared.database import CONNECT_SECONDS, sqlalchemy_url

# A migration that can't get its lock gives up, so that it never makes the requests behind it wait for long.
LOCK_TIMEOUT = "3s"


def migrate(folder: Path, url: str) -> None:
    """Bring the database at `url` to the newest revision in `folder`; nothing happens when it is there already."""
    config = Config(attributes={"url": url})
    config.set_main_option("script_location", str(folder).replace("%", "%%"))
    command.upgrade(config, "head")


def run(metadata: MetaData) -> None:
    """What a room's `migrations/env.py` calls."""
    url = sqlalchemy_url(context.config.attributes["url"])
    engine = create_engine(url, poolclass=pool.NullPool, connect_args={"connect_timeout": CONNECT_SECONDS})
    with engine.connect() as connection:
        context.configure(connection=connection, target_metadata=metadata, transaction_per_migration=True)
        connection.execute(text(f"SET lock_timeout = '{LOCK_TIMEOUT}'"))
        connection.commit()
        with context.begin_transaction():
            context.run_migrations()
