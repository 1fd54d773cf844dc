"""`python -m services.auth accounts …`: what an operator does to somebody's account."""

import argparse
import getpass
import sys
import uuid
from collections.abc import Callable, Sequence
from typing import Any

from sqlalchemy.orm import Session

from services.auth import administration, import_command
from services.auth.administration import Shown
from services.auth.console import say, say_json, say_table
from services.auth.parts import Parts
from services.auth.refusal import Refusal

_PURPOSES = {
    "show": "show the account and its live sessions",
    "disable": "refuse the person and end all sessions",
    "enable": "let a disabled account sign in again",
    "end-sessions": "sign the person out everywhere",
    "set-password": "ask for a new password, or read it from standard input, and end all sessions",
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What may follow `accounts`."""
    actions = parser.add_subparsers(dest="action", required=True)
    for name, purpose in _PURPOSES.items():
        action = actions.add_parser(name, help=purpose, description=purpose)
        action.add_argument("email", metavar="EMAIL")
        action.add_argument("--json", action="store_true", help="answer in JSON")
    purpose = "make accounts of the users and password hashes of another system"
    import_command.add_arguments(actions.add_parser("import", help=purpose, description=purpose))


def run(parts: Parts, arguments: argparse.Namespace) -> int:
    """Do it; the exit code. Raises Refusal and Unavailable."""
    if arguments.action == "import":
        return import_command.run(parts, arguments)
    return _ACTIONS[arguments.action](parts, arguments)


def _show(parts: Parts, arguments: argparse.Namespace) -> int:
    with parts.database.transaction() as session:
        shown = administration.show(session, arguments.email)
    rows = [_row(row) for row in shown.live]
    if arguments.json:
        say_json({**_account(shown), "sessions": rows})
    else:
        say_table([_account(shown)])
        say("")
        say_table(rows)
    return 0


def _disable(parts: Parts, arguments: argparse.Namespace) -> int:
    return _end(parts, arguments, administration.disable, f"{arguments.email} is disabled")


def _enable(parts: Parts, arguments: argparse.Namespace) -> int:
    with parts.database.transaction() as session:
        administration.enable(session, arguments.email)
    say_json({"ended_sessions": 0}) if arguments.json else say(f"{arguments.email} may sign in.")
    return 0


def _end_sessions(parts: Parts, arguments: argparse.Namespace) -> int:
    return _end(parts, arguments, administration.end_sessions, f"{arguments.email} is signed out")


def _set_password(parts: Parts, arguments: argparse.Namespace) -> int:
    # Before anybody types a password for an account that does not exist.
    with parts.database.transaction() as session:
        email = administration.find(session, arguments.email).email
    password = _new_password()
    administration.refuse_bad_password(password, email)
    password_hash = parts.passwords.hash(password)
    return _end(
        parts,
        arguments,
        lambda session, email: administration.set_password(session, email, password_hash),
        f"{arguments.email} has the new password",
    )


_ACTIONS: dict[str, Callable[[Parts, argparse.Namespace], int]] = {
    "show": _show,
    "disable": _disable,
    "enable": _enable,
    "end-sessions": _end_sessions,
    "set-password": _set_password,
}


def _end(
    parts: Parts, arguments: argparse.Namespace, do: Callable[[Session, str], Sequence[uuid.UUID]], done: str
) -> int:
    with parts.database.transaction() as session:
        ended = do(session, arguments.email)
    # Their access tokens die within a second; when Redis is away, auth's worker announces them when it is back.
    parts.revocations.publish(ended)
    if arguments.json:
        say_json({"ended_sessions": len(ended)})
    else:
        say(f"{done}; sessions ended: {len(ended)}.")
    return 0


def _new_password() -> str:
    if not sys.stdin.isatty():
        return sys.stdin.readline().rstrip("\r\n")
    password = getpass.getpass("New password: ")
    if getpass.getpass("Again: ") != password:
        raise Refusal("The two passwords differ.")
    return password


def _account(shown: Shown) -> dict[str, Any]:
    return {
        "id": shown.account.id,
        "email": shown.account.email,
        "created_at": shown.account.created_at,
        "disabled_at": shown.account.disabled_at,
        "password_changed_at": shown.account.password_changed_at,
        "live_sessions": len(shown.live),
        "ended_sessions": shown.ended_sessions,
    }


def _row(row: Any) -> dict[str, Any]:
    names = ("id", "device_type", "created_at", "last_used_at", "idle_expires_at")
    return {name: getattr(row, name) for name in names}
