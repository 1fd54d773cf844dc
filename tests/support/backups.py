"""Somebody who saves a laptop's stack, brings it back, and may change the file in between."""

import io
import os
import shutil
import subprocess
import sys
import tarfile
from pathlib import Path

from tools.process import ROOT
from tools.stack import Stack

SECONDS = 120


def command(name: str, *arguments: str | Path) -> list[str]:
    return [sys.executable, "-m", "tools.backup", name, *map(str, arguments)]


def environment(data_dir: Path, **more: str) -> dict[str, str]:
    return {**os.environ, "DATA_DIR": str(data_dir), **more}


def run(name: str, *arguments: str | Path, data_dir: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command(name, *arguments),
        cwd=ROOT,
        env=environment(data_dir),
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )


def data_dir_of(stack: Stack) -> Path:
    return stack.processes["postgres"].log_path.parent.parent


def new_data_dir(path: Path, source: Stack) -> Path:
    """An empty one that has the passwords and keys of another."""
    path.mkdir(mode=0o700)
    shutil.copy(data_dir_of(source) / "secrets.json", path)
    return path


def with_part(whole: Path, changed: Path, name: str, before: bytes, after: bytes) -> None:
    """A copy of a backup that has other bytes in one of its parts."""
    with tarfile.open(whole) as archive, tarfile.open(changed, "w") as copy:
        for member in archive.getmembers():
            part = archive.extractfile(member)
            assert part
            content = part.read()
            if member.name == name:
                assert before in content
                content = content.replace(before, after)
            member.size = len(content)
            copy.addfile(member, io.BytesIO(content))
