"""One process of a stack: started, watched, paused and ended together with all its descendants."""

import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

import psutil

from tools.errors import StackError

ROOT = Path(__file__).resolve().parent.parent
POLL_SECONDS = 0.05
# Readiness takes one or two seconds; a laptop that is busy with other things takes ten.
READY_SECONDS = 30.0
STOP_SECONDS = 3.0
_TAIL_LINES = 25


class Process:
    """A command that runs in the foreground, in a process group of its own, with its output in a log file.

    `stop_signal` asks it to end, `orphan_signal` reaches it when the launcher was killed. The default is for everybody
    whose children end by themselves then, such as gunicorn's workers; gunicorn forgets gentler signals while it starts.
    Start it from a thread that lives as long as it shall: for the kernel, the end of that thread is the launcher's end.
    """

    def __init__(
        self,
        name: str,
        command: Sequence[str],
        *,
        environment: Mapping[str, str],
        log_path: Path,
        is_ready: Callable[[], bool] = lambda: True,
        before_start: Callable[[], None] = lambda: None,
        stop_signal: signal.Signals = signal.SIGTERM,
        orphan_signal: signal.Signals = signal.SIGKILL,
        privileges: Sequence[str] = (),
    ) -> None:
        self.name = name
        self.log_path = log_path
        self.is_ready = is_ready
        self.wanted = False
        self.started_at = 0.0
        self._before_start = before_start
        self._command = list(command)
        self._privileges = list(privileges)
        self._orphan_signal = orphan_signal
        self._environment = dict(environment)
        self._stop_signal = stop_signal
        self._log_start = 0
        self._popen: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        if self._popen is None:
            raise StackError(f"{self.name} was never started.")
        return self._popen.pid

    @property
    def exit_code(self) -> int | None:
        return self._popen.returncode if self._popen else None

    def start(self) -> None:
        """Starts it and returns at once; starting what runs already changes nothing."""
        self.wanted = True
        if self.is_running():
            return
        self._before_start()
        self.log_path.parent.mkdir(parents=True, exist_ok=True)
        with open(self.log_path, "ab") as log:
            self._log_start = log.tell()
            self.started_at = time.monotonic()
            self._popen = subprocess.Popen(
                tied_to_launcher(self._command, self._orphan_signal, self._privileges),
                cwd=ROOT,
                env=self._environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                # Ctrl-C in the terminal is for the launcher, which stops everything in order.
                start_new_session=True,
            )

    def is_running(self) -> bool:
        if self._popen is None or self._popen.returncode is not None:
            return False
        if self._popen.poll() is None:
            return True
        # Whoever outlives the head of the family would keep its port.
        with suppress(ProcessLookupError):
            os.killpg(self._popen.pid, signal.SIGKILL)
        return False

    def became_ready(self, timeout: float = READY_SECONDS) -> bool:
        """Whether it answers now; raises StackError when it ended or had its `timeout` seconds."""
        if not self.is_running():
            raise StackError(f"{self.name} {self.how_it_ended()} while starting.{self.log_tail()}")
        if self.is_ready():
            return True
        if time.monotonic() - self.started_at > timeout:
            raise StackError(f"{self.name} was not ready after {timeout:.0f} s.{self.log_tail()}")
        return False

    def has_finished(self) -> bool:
        """Whether it ended well; raises StackError when it ended badly."""
        if self.is_running():
            return False
        if self.exit_code:
            raise StackError(f"{self.name} {self.how_it_ended()}.{self.log_tail()}")
        return True

    def wait_ready(self, timeout: float = READY_SECONDS) -> None:
        """Blocks until it answers; raises StackError as `became_ready` does."""
        while not self.became_ready(timeout):
            time.sleep(POLL_SECONDS)

    def stop(self, timeout: float = STOP_SECONDS) -> None:
        """Asks it to end, and kills it after `timeout` seconds."""
        stop_together([self], timeout)

    def ask_to_stop(self) -> None:
        self.wanted = False
        if self.is_running():
            os.kill(self.pid, self._stop_signal)
            # A paused process would not hear the signal.
            self.resume()

    def kill(self) -> None:
        """SIGKILL for it and all its descendants, as in a crash; a supervisor starts it again."""
        if not self.is_running():
            return
        for member in self._family():
            with suppress(psutil.NoSuchProcess):
                member.kill()
        while self.is_running():
            time.sleep(0.001)

    def pause(self) -> None:
        """Freezes it and its descendants (SIGSTOP): connections stay open, nobody answers."""
        family = self._family()
        for member in family:
            with suppress(psutil.NoSuchProcess):
                member.suspend()
        while any(_is_awake(member) for member in family):
            time.sleep(0.001)

    def resume(self) -> None:
        for member in self._family():
            with suppress(psutil.NoSuchProcess):
                member.resume()

    def how_it_ended(self) -> str:
        code = self.exit_code
        if code is not None and code < 0:
            return f"was ended by {signal.Signals(-code).name}"
        return f"ended with exit code {code}"

    def log_tail(self) -> str:
        """The last lines of its log since its last start, below a line that names the file."""
        with open(self.log_path, "rb") as log:
            log.seek(self._log_start)
            lines = log.read().decode(errors="replace").splitlines()[-_TAIL_LINES:]
        return "\n".join(["", f"--- the end of {self.log_path}", *lines, "---"])

    def _family(self) -> list[psutil.Process]:
        # PostgreSQL's processes leave the process group, so the tree of parents has to tell.
        try:
            head = psutil.Process(self.pid)
            return [head, *head.children(recursive=True)]
        except psutil.NoSuchProcess:
            return []


def _is_awake(member: psutil.Process) -> bool:
    try:
        return member.status() not in (psutil.STATUS_STOPPED, psutil.STATUS_ZOMBIE, psutil.STATUS_DEAD)
    except psutil.NoSuchProcess:
        return False


def stop_together(processes: Collection[Process], timeout: float = STOP_SECONDS) -> None:
    """Asks all of them to end at the same time, and kills those that are left after `timeout` seconds."""
    deadline = time.monotonic() + timeout
    for process in processes:
        process.ask_to_stop()
    while any(process.is_running() for process in processes) and time.monotonic() < deadline:
        time.sleep(0.01)
    for process in processes:
        process.kill()


def tied_to_launcher(command: Sequence[str], orphan_signal: signal.Signals, privileges: Sequence[str]) -> list[str]:
    """The command, so that the kernel sends it `orphan_signal` when the launcher is gone, however that happened."""
    if shutil.which("setpriv") is None:
        return list(command)
    # The shell looks whether the launcher went before the kernel was asked.
    unless_orphaned = 'test "$PPID" = "$0" && exec "$@"'
    own_pid = str(os.getpid())
    signal_name = orphan_signal.name.removeprefix("SIG")
    tie = ["setpriv", f"--pdeathsig={signal_name}", *privileges, "--", "sh", "-c", unless_orphaned, own_pid]
    return [*tie, *command]
