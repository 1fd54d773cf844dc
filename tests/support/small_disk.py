"""A small disk of its own under a stack's PostgreSQL, which can be full. Only root can have one."""

import ctypes
import errno
import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_SIZE = "160m"
_FILLER = "filler"
_PIECE = bytes(64 * 1024)
_CLONE_NEWNS = 0x00020000


def may_mount(folder: Path) -> bool:
    """Whether a file system can be mounted here; from then on only this process and its children see what is mounted.

    So a mount goes with them, however they end.
    """
    if os.geteuid() != 0 or ctypes.CDLL(None).unshare(_CLONE_NEWNS) != 0:
        return False
    commands = (
        ["mount", "--make-rprivate", "/"],
        ["mount", "-t", "tmpfs", "-o", "size=1m", "none", str(folder)],
        ["umount", str(folder)],
    )
    return all(subprocess.run(command, check=False, capture_output=True).returncode == 0 for command in commands)


class SmallDisk:
    """A folder on a disk of 160 MB."""

    def __init__(self, folder: Path) -> None:
        self._filler = folder / _FILLER

    def fill(self) -> None:
        """Leave no byte."""
        with open(self._filler, "ab", buffering=0) as filler:
            try:
                while True:
                    filler.write(_PIECE)
            except OSError as error:
                if error.errno != errno.ENOSPC:
                    raise

    def free(self) -> None:
        """Give back what was filled."""
        self._filler.unlink(missing_ok=True)


@contextmanager
def on_small_disk(folder: Path) -> Iterator[SmallDisk]:
    """Moves a folder, with what is in it, to a small disk for a while."""
    aside = folder.with_name(f"{folder.name}.aside")
    folder.rename(aside)
    folder.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={_SIZE}", "none", str(folder)], check=True)
    try:
        subprocess.run(["cp", "-a", f"{aside}/.", str(folder)], check=True)
        shutil.rmtree(aside)
        yield SmallDisk(folder)
    finally:
        subprocess.run(["umount", str(folder)], check=True)
