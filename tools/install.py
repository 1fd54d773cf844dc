"""Fills .venv from a lock file and compiles the translations, where something changed; needs nothing but Python."""

# So that an older Python gets as far as the sentence that says so.
from __future__ import annotations

import fcntl
import hashlib
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

VENV = Path(".venv")
PYTHON = VENV / "bin" / "python"
OLDEST = (3, 11)


def main(lock: Path) -> int:
    if sys.version_info[:2] < OLDEST:
        print(f"Latchkey needs Python 3.11 or later, and {sys.executable} is older: name another with PYTHON=…")
        return 1
    for number in (signal.SIGINT, signal.SIGTERM):
        # Leaving by an exception ends the installer, too.
        signal.signal(number, lambda number, _frame: sys.exit(128 + number))
    # Two makes in one checkout install one after the other.
    fcntl.flock(os.open(".", os.O_RDONLY), fcntl.LOCK_EX)
    try:
        install(lock)
        compile_translations()
    except subprocess.CalledProcessError as error:
        print(f"This step failed, see above: {' '.join(map(str, error.cmd))}")
        return 1
    return 0


def install(lock: Path) -> None:
    """Makes .venv hold what the lock file says; a stamp named after its content remembers that."""
    since = time.monotonic()
    stamp = _stamp(lock)
    if stamp.exists() and _works(PYTHON, "-c", "pass"):
        _report("packages", "present", since)
        return
    if not _works(PYTHON, "-m", "pip", "--version"):
        subprocess.run([sys.executable, "-m", "venv", "--clear", VENV], check=True)
        _report(str(VENV), "created", since)
    since = time.monotonic()
    quiet_about = {"PIP_ROOT_USER_ACTION": "ignore", "PIP_DISABLE_PIP_VERSION_CHECK": "1"}
    command: list[Path | str] = [PYTHON, "-m", "pip", "install", "--require-hashes", "--requirement", lock]
    subprocess.run(command, check=True, env=os.environ | quiet_about)
    _forget_other_locks()
    stamp.touch()
    _report("packages", "installed", since)


def compile_translations() -> None:
    since = time.monotonic()
    sources = list(Path("shared/translations").glob("*/LC_MESSAGES/messages.po"))
    if all(_is_compiled(source) for source in sources):
        return
    babel: list[Path | str] = [PYTHON, "-m", "babel.messages.frontend"]
    subprocess.run([*babel, "--quiet", "compile", "-d", "shared/translations", "-D", "messages"], check=True)
    _report("translations", "compiled", since)


def _is_compiled(source: Path) -> bool:
    compiled = source.with_suffix(".mo")
    return compiled.exists() and compiled.stat().st_mtime >= source.stat().st_mtime


def _stamp(lock: Path) -> Path:
    return VENV / f".installed-{hashlib.sha256(lock.read_bytes()).hexdigest()[:16]}"


def _forget_other_locks() -> None:
    # What another version of the checkout had installed is not all there any more.
    current = {_stamp(lock) for lock in Path().glob("requirements*.txt")}
    for stamp in set(VENV.glob(".installed-*")) - current:
        stamp.unlink()


def _works(*command: Path | str) -> bool:
    try:
        return subprocess.run(command, capture_output=True, check=False).returncode == 0
    except OSError:
        return False


def _report(what: str, word: str, since: float) -> None:
    print(f"  {what:<16} {word:<10} {time.monotonic() - since:5.2f} s", flush=True)


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
