"""The command of users: `python -m services.users migrate`."""

import argparse

from services.users import migrations
from services.users.settings import Settings
from shared.migrations import migrate
from shared.serving import configure_command_logs, settings_or_exit


def main() -> None:
    """Run one command."""
    parser = argparse.ArgumentParser(prog="python -m services.users", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("migrate", help="bring the database to the newest revision")
    parser.parse_args()
    configure_command_logs("users")
    migrate(migrations.FOLDER, settings_or_exit(Settings.read).database_url)


if __name__ == "__main__":
    main()
