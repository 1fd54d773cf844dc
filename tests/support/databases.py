"""Further databases in a stack's PostgreSQL, for tests that change tables or move data about."""

from collections.abc import Iterator
from contextlib import contextmanager
from uuid import uuid4

import psycopg
from psycopg import sql

from tools.ports import HOST
from tools.stack import Stack


@contextmanager
def superuser(stack: Stack) -> Iterator[psycopg.Connection]:
    """PostgreSQL as its superuser."""
    with psycopg.connect(
        host=HOST,
        port=stack.ports.postgres,
        user="postgres",
        password=stack.secrets.postgres,
        dbname="postgres",
        autocommit=True,
    ) as connection:
        yield connection


@contextmanager
def empty_database(stack: Stack, name: str) -> Iterator[str]:
    """The URL of an empty database that belongs to the role of "auth" or "users"."""
    own = stack.database_url(name)
    role, database = own.rpartition("/")[2], f"lk_{uuid4().hex}"
    with superuser(stack) as connection:
        names = {"database": sql.Identifier(database), "role": sql.Identifier(role)}
        connection.execute(sql.SQL("CREATE DATABASE {database} OWNER {role}").format(**names))
        try:
            yield f"{own.rpartition('/')[0]}/{database}"
        finally:
            connection.execute(sql.SQL("DROP DATABASE {database} WITH (FORCE)").format(**names))
