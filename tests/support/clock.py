"""Clocks of single processes that a test sets while they run, by libfaketime."""

import time
from collections.abc import Mapping
from pathlib import Path

# How often a process looks at its clock's file; at each question for the time it would take ten times as long to start.
NOTICED_SECONDS = 1
_WITH_CLOCK = Path(__file__).with_name("with_clock")
_FOLDERS = ("/usr/lib/x86_64-linux-gnu", "/usr/lib/aarch64-linux-gnu", "/usr/lib")


class Clock:
    """What one process takes for the time: the machine's, or so many seconds beside it."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._path.write_text("+0\n")

    def differ(self, seconds: int) -> None:
        """Be so many seconds ahead, or behind when negative; the process has noticed when this returns."""
        # In one step, so that nobody reads half of it.
        whole = self._path.with_suffix(".new")
        whole.write_text(f"{seconds:+d}\n")
        whole.replace(self._path)
        time.sleep(2 * NOTICED_SECONDS)

    def settings(self, library: Path) -> Mapping[str, str]:
        """The environment in which a process goes by this clock."""
        return {
            "LD_PRELOAD": str(library),
            "FAKETIME_TIMESTAMP_FILE": str(self._path),
            "FAKETIME_CACHE_DURATION": str(NOTICED_SECONDS),
            # Only the time of day jumps: what measures durations does not, as on a real machine.
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
            "NO_FAKE_STAT": "1",
            "PYTHONPATH": str(_WITH_CLOCK),
        }


def faketime() -> Path | None:
    """The library for programs with threads, where it is installed (Debian: libfaketime)."""
    places = (Path(folder) / "faketime" / "libfaketimeMT.so.1" for folder in _FOLDERS)
    return next((place for place in places if place.exists()), None)
