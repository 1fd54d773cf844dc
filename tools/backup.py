"""`make backup` and `make restore`: deploy/backup and deploy/restore for one DATA_DIR, with the wheel's programs."""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import NamedTemporaryFile

from tools import services, stores
from tools.data_dir import DataDir
from tools.ports import HOST
from tools.process import ROOT
from tools.stack import Ports, Stack, StackError
from tools.up import chosen_data_dir


def main(arguments: list[str]) -> int:
    command, *rest = arguments
    try:
        with _postgres(may_be_in_use=command == "backup") as environment:
            return subprocess.run(["sh", ROOT / "deploy" / command, *rest], env=environment, check=False).returncode
    except (StackError, OSError) as error:
        print(error, file=sys.stderr)
        return 1


@contextmanager
def _postgres(*, may_be_in_use: bool) -> Iterator[dict[str, str]]:
    """How the programs reach DATA_DIR's server; one that does not run is started for this. Raises StackError."""
    path = chosen_data_dir()
    if not (path / "secrets.json").exists():
        raise StackError(f"DATA_DIR {path} has no secrets.json, which holds the keys: put it there first.")
    port = stores.port_of_former_server(DataDir(path)) if may_be_in_use else None
    if port is not None:
        with _environment(DataDir(path), port) as environment:
            yield environment
        return
    with Stack(path, Ports.free(), say=lambda _: None) as stack:
        stack.start(only=["postgres"])
        with _environment(DataDir(path), stack.ports.postgres) as environment:
            yield environment


@contextmanager
def _environment(data: DataDir, port: int) -> Iterator[dict[str, str]]:
    secrets = data.load_secrets()
    programs = Path(stores.postgres_program("psql")).parent
    passwords = {
        stores.SUPERUSER: secrets.postgres,
        services.ROLES["auth"]: secrets.auth_database,
        services.ROLES["users"]: secrets.users_database,
    }
    with NamedTemporaryFile("w", dir=data.temp) as file:
        file.writelines(f"{HOST}:{port}:*:{role}:{password}\n" for role, password in passwords.items())
        file.flush()
        yield {
            **services.basics(),
            "PATH": f"{programs}:{os.environ['PATH']}",
            "IN_POSTGRES": os.environ.get("IN_POSTGRES", "env"),
            "PGHOST": HOST,
            "PGPORT": str(port),
            "PGPASSFILE": file.name,
            "PGSSLMODE": "disable",
            "KEY_ENCRYPTION_KEY": secrets.key_encryption_key,
            "REFRESH_TOKEN_KEY": secrets.refresh_token_key,
        }


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
