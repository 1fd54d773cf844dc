"""DATA_DIR: everything that one stack keeps between two starts, for one launcher at a time."""

import base64
import fcntl
import json
import os
import secrets
import shutil
from contextlib import suppress
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import IO

from tools.errors import StackError

_LARGEST_LOG = 5 * 1024 * 1024


def _password() -> str:
    # URL-safe, because it becomes part of DATABASE_URL and REDIS_URL.
    return secrets.token_urlsafe(24)


def _key() -> str:
    return base64.b64encode(secrets.token_bytes(32)).decode()


@dataclass(frozen=True, kw_only=True)
class Secrets:
    """The passwords and keys of one stack; whatever is not given is made up."""

    postgres: str = field(default_factory=_password, repr=False)
    valkey: str = field(default_factory=_password, repr=False)
    auth_database: str = field(default_factory=_password, repr=False)
    users_database: str = field(default_factory=_password, repr=False)
    key_encryption_key: str = field(default_factory=_key, repr=False)
    refresh_token_key: str = field(default_factory=_key, repr=False)


class DataDir:
    """A folder with the stores' data, the logs, the secrets, a lock file, and `temp` for what ends with a stack."""

    def __init__(self, path: Path) -> None:
        self.path = path.resolve()
        self.postgres = self.path / "postgres"
        self.valkey = self.path / "valkey"
        self.temp = self.path / "temp"
        self._lock_file: IO[str] | None = None

    def lock(self) -> bool:
        """Keeps other launchers out; True when the one before was killed and could not clean up. Raises StackError."""
        try:
            self.path.mkdir(mode=0o700, parents=True, exist_ok=True)
            lock_file = open(self.path / "launcher.lock", "a+")  # noqa: SIM115 - stays open for as long as the lock
        except OSError as error:
            raise StackError(f"DATA_DIR {self.path} cannot be used: {error.strerror}.") from error
        try:
            fcntl.flock(lock_file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            lock_file.close()
            raise StackError(f"DATA_DIR {self.path} is used by another launcher: stop it or choose another.") from None
        self._lock_file = lock_file
        lock_file.seek(0)
        left_by_a_killed_launcher = bool(lock_file.read())
        lock_file.write(f"{os.getpid()}\n")
        lock_file.flush()
        return left_by_a_killed_launcher

    def unlock(self) -> None:
        """Lets the next launcher in, and tells it that nothing was left running."""
        if self._lock_file is not None:
            self._lock_file.truncate(0)
            self._lock_file.close()
            self._lock_file = None

    @property
    def locked(self) -> bool:
        return self._lock_file is not None

    def log_path(self, name: str) -> Path:
        return self.path / "logs" / f"{name}.log"

    def put_large_logs_aside(self) -> None:
        """Keeps one older log per process, so that the folder stays small over many starts."""
        for log in (self.path / "logs").glob("*.log"):
            if log.stat().st_size > _LARGEST_LOG:
                log.replace(log.with_suffix(".log.1"))

    def empty_temp(self) -> None:
        """Removes what killed processes left behind."""
        shutil.rmtree(self.temp, ignore_errors=True)
        self.temp.mkdir()

    def load_secrets(self) -> Secrets:
        """The secrets of the first start; makes up those that are missing. Raises StackError."""
        path = self.path / "secrets.json"
        stored = _read_strings(path) if path.exists() else {}
        known = {entry.name: stored[entry.name] for entry in fields(Secrets) if entry.name in stored}
        found = Secrets(**known)
        if asdict(found) != known:
            write_private(path, json.dumps(stored | asdict(found), indent=2) + "\n")
        return found


def _read_strings(path: Path) -> dict[str, str]:
    with suppress(ValueError):
        match json.loads(path.read_text()):
            case dict(stored) if all(isinstance(value, str) for value in stored.values()):
                return stored
    raise StackError(f"{path} is damaged: restore it, or start with another DATA_DIR.")


def write_private(path: Path, text: str) -> None:
    """Writes a file that only its owner may read: whole or not at all, also when the power fails."""
    unfinished = path.with_name(f"{path.name}.new")
    unfinished.unlink(missing_ok=True)
    with open(os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    unfinished.replace(path)
