"""Clocks of single processes that a test sets while they run, by libfaketime."""

from collections.abc import Mapping
from pathlib import Path

_FOLDERS = ("/usr/lib/x86_64-linux-gnu", "/usr/lib/aarch64-linux-gnu", "/usr/lib")


class Clock:
    """What one process takes for the time: the machine's, or so many seconds beside it."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self.differ(0)

    def differ(self, seconds: int) -> None:
        """From now on be so many seconds ahead, or behind when negative."""
        # In one step, so that nobody reads half of it.
        whole = self._path.with_suffix(".new")
        whole.write_text(f"{seconds:+d}\n")
        whole.replace(self._path)

    def settings(self, library: Path) -> Mapping[str, str]:
        """The environment in which a process goes by this clock."""
        return {
            "LD_PRELOAD": str(library),
            "FAKETIME_TIMESTAMP_FILE": str(self._path),
            "FAKETIME_NO_CACHE": "1",
            # Only the time of day jumps: what measures durations does not, as on a real machine.
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
            "NO_FAKE_STAT": "1",
        }


def faketime() -> Path | None:
    """The library for programs with threads, where it is installed (Debian: libfaketime)."""
    places = (Path(folder) / "faketime" / "libfaketimeMT.so.1" for folder in _FOLDERS)
    return next((place for place in places if place.exists()), None)
