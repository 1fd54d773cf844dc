"""The commands of auth: `python -m services.auth migrate | worker`."""

import argparse

from services.auth import migrations, worker
from services.auth.parts import build_parts
from services.auth.settings import Settings
from shared.migrations import migrate
from shared.serving import configure_command_logs, settings_or_exit


def main() -> None:
    """Run one command."""
    parser = argparse.ArgumentParser(prog="python -m services.auth", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("migrate", help="bring the database to the newest revision and make the first signing key")
    commands.add_parser("worker", help="deliver the outbox until stopped")
    command = parser.parse_args().command
    configure_command_logs("auth")
    settings = settings_or_exit(Settings.read)
    if command == "migrate":
        _migrate(settings)
    else:
        worker.run(build_parts(settings))


def _migrate(settings: Settings) -> None:
    migrate(migrations.FOLDER, settings.database_url)
    build_parts(settings).signing_keys.ensure_first()


if __name__ == "__main__":
    main()
