"""`python -m tools.command ROOM …`: a command of a room, such as `auth accounts show`, for what `make up` runs."""

import subprocess
import sys

from tools import services
from tools.data_dir import DataDir
from tools.errors import StackError
from tools.ports import Ports
from tools.process import ROOT
from tools.up import chosen_data_dir, chosen_port

_MODULES = {"auth": "services.auth", "users": "services.users", "gateway": "gateway"}


def main(arguments: list[str]) -> int:
    """Run it with the settings that the room has there; its exit code."""
    if not arguments or arguments[0] not in _MODULES:
        print(f"usage: python -m tools.command {{{','.join(_MODULES)}}} …", file=sys.stderr)
        return 2
    room, *words = arguments
    try:
        path = chosen_data_dir()
        if not (path / "secrets.json").exists():
            raise StackError(f"DATA_DIR {path} has no secrets.json: `make up` with the same DATA_DIR makes one.")
        environment = services.environment(room, Ports.from_base(chosen_port()), DataDir(path).load_secrets())
    except (StackError, OSError) as error:
        print(error, file=sys.stderr)
        return 1
    command = [sys.executable, "-m", _MODULES[room], *words]
    return subprocess.run(command, cwd=ROOT, env=environment, check=False).returncode


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
