"""The commands of users: `python -m services.users migrate`, and `check`."""

import argparse
import sys

from services.users import migrations
from services.users.settings import Settings
from shared import tracing
from shared.migrations import MigrationError, migrate
from shared.serving import (
    Serving,
    check_configuration,
    configure_command_logs,
    settings_or_exit,
)


def main() -> int:
    """Run one command; the exit code."""
    parser = argparse.ArgumentParser(prog="python -m services.users", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("migrate", help="bring the database to the newest revision")
    commands.add_parser("check", help="say whether the settings are valid, and what is wrong")
    if parser.parse_args().command == "check":
        return check_configuration(Settings.read, Serving.read, tracing.Destination.read)
    configure_command_logs("users")
    try:
        migrate(migrations.FOLDER, settings_or_exit(Settings.read).database_url)
    except MigrationError as error:
        sys.exit(str(error))
    return 0


if __name__ == "__main__":
    sys.exit(main())
