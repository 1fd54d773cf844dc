"""`python -m services.auth audit EMAIL`: what happened to an account."""

import argparse
from typing import Any

from services.auth import administration, audit
from services.auth.console import say_json, say_table
from services.auth.models import AuditEvent
from services.auth.parts import Parts

_DEFAULT_LIMIT = 50
# What PostgreSQL takes.
_GREATEST_LIMIT = 2**63 - 1


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What may follow `audit`."""
    parser.add_argument("email", metavar="EMAIL")
    parser.add_argument("--limit", type=int, default=_DEFAULT_LIMIT, help="how many events, the newest first")
    parser.add_argument("--json", action="store_true", help="answer in JSON")


def run(parts: Parts, arguments: argparse.Namespace) -> int:
    """Do it; the exit code. Raises Refusal and Unavailable."""
    with parts.database.transaction() as session:
        account = administration.find(session, arguments.email)
        limit = min(max(1, arguments.limit), _GREATEST_LIMIT)
        rows = [_row(event) for event in audit.events_of(session, account.id, limit)]
    say_json(rows) if arguments.json else say_table(rows)
    return 0


def _row(event: AuditEvent) -> dict[str, Any]:
    names = ("at", "event", "session_id", "network", "request_id", "details")
    return {name: getattr(event, name) for name in names}
