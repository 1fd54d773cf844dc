"""Starts again what died, sooner at first, and says so."""

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from tools.process import Process

_PAUSES = (0.2, 0.5, 1.0, 2.0, 5.0, 10.0)
# Whoever lived this long gets the shortest pause again.
_STEADY_SECONDS = 30.0


class Supervisor:
    """Looks after running processes; leaves alone those that somebody stopped on purpose."""

    def __init__(self, processes: Iterable[Process], say: Callable[[str], None]) -> None:
        self._watches = [_Watch(process, say) for process in processes]

    def look(self) -> None:
        """One round: notices deaths, starts what is due. Call it many times a second."""
        for watch in self._watches:
            if watch.process.wanted:
                watch.look()


@dataclass
class _Watch:
    process: Process
    say: Callable[[str], None]
    deaths: int = 0
    due: float | None = None
    restarted: bool = False

    def look(self) -> None:
        if self.process.is_running():
            self._welcome()
        elif self.due is None:
            self._plan(self.process.how_it_ended())
        elif time.monotonic() >= self.due:
            self._start()

    def _plan(self, what_happened: str) -> None:
        pause = _PAUSES[min(self.deaths, len(_PAUSES) - 1)]
        self.deaths += 1
        self.due = time.monotonic() + pause
        self.say(f"{self.process.name} {what_happened}; starting it again in {pause} s ({self.process.log_path})")

    def _start(self) -> None:
        self.due = None
        self.restarted = True
        try:
            self.process.start()
        except OSError as error:
            # A full disk, say: that is no reason to take everything else down.
            self._plan(f"could not be started ({error})")

    def _welcome(self) -> None:
        self.due = None
        alive = time.monotonic() - self.process.started_at
        if self.restarted and self.process.is_ready():
            self.restarted = False
            self.say(f"{self.process.name} is back after {alive:.1f} s")
        if alive > _STEADY_SECONDS:
            self.deaths = 0
