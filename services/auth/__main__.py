"""The commands of auth: `python -m services.auth COMMAND`, each group in a module of its own."""

import argparse
import getpass
import os
import sys
from collections.abc import Callable

from services.auth import accounts_command, audit, audit_command, keys_command, migrations, worker
from services.auth.console import Parser, complain
from services.auth.parts import Parts, build_parts
from services.auth.refusal import Refusal
from services.auth.settings import Settings
from shared import tracing
from shared.errors import Unavailable
from shared.migrations import MigrationError, migrate
from shared.serving import (
    Serving,
    check_configuration,
    configure_command_logs,
    settings_or_exit,
)

_ADMINISTRATION: dict[str, Callable[[Parts, argparse.Namespace], int]] = {
    "accounts": accounts_command.run,
    "audit": audit_command.run,
    "keys": keys_command.run,
}


def main() -> int:
    """Run one command; the exit code."""
    arguments = _parser().parse_args()
    if arguments.command == "check":
        return check_configuration(Settings.read, Serving.read, tracing.Destination.read)
    administers = arguments.command in _ADMINISTRATION
    # What a command of administration answers is read by people and programs, so its log goes elsewhere.
    configure_command_logs("auth", stream="stderr" if administers else "stdout")
    settings = settings_or_exit(Settings.read)
    if administers:
        return _administer(settings, arguments)
    if arguments.command == "migrate":
        _migrate(settings)
    else:
        worker.run(build_parts(settings))
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = Parser(prog="python -m services.auth")
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("migrate", help="bring the database to the newest revision and make the first signing key")
    commands.add_parser("worker", help="deliver the outbox, follow the gateway and clean up until stopped")
    commands.add_parser("check", help="say whether the settings are valid, and what is wrong")
    keys_command.add_arguments(commands.add_parser("keys", help="rotate the keys that access tokens are signed with"))
    accounts_command.add_arguments(commands.add_parser("accounts", help="look at an account, lock it, sign it out"))
    audit_command.add_arguments(commands.add_parser("audit", help="show what happened to an account"))
    return parser


def _administer(settings: Settings, arguments: argparse.Namespace) -> int:
    audit.origin.set(audit.Origin(operator=_operator()))
    try:
        return _ADMINISTRATION[arguments.command](build_parts(settings), arguments)
    except Refusal as refusal:
        complain(str(refusal))
    except Unavailable as error:
        complain(f"Nothing was done: {error}")
    return 1


def _operator() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        # A container's numeric user has no name.
        return f"uid {os.getuid()}"


def _migrate(settings: Settings) -> None:
    try:
        migrate(migrations.FOLDER, settings.database_url)
    except MigrationError as error:
        sys.exit(str(error))
    build_parts(settings).signing_keys.ensure_first()


if __name__ == "__main__":
    sys.exit(main())
