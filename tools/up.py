"""`make up`: starts everything, keeps it running until Ctrl-C or SIGTERM, and leaves nothing behind."""

import os
import signal
import sys
import threading
import time
from contextlib import suppress
from pathlib import Path

from tools.stack import Ports, Stack, StackError, StopRequested

_DEFAULT_PORT = "8080"
_DEFAULT_DATA_DIR = ".data"


def main(arguments: list[str]) -> int:
    since = time.monotonic()
    if "--with-parent" in arguments:
        threading.Thread(target=_end_with_parent, args=[os.getppid()], daemon=True).start()
    try:
        stack = Stack(chosen_data_dir(), Ports.from_base(chosen_port()), say=say)
        _listen_to_signals(stack)
        with stack:
            stack.start()
            say(f"ready  {stack.gateway_url}  ({time.monotonic() - since:.1f} s; Ctrl-C stops it)")
            stack.supervise()
            say("stopping")
    except (StackError, OSError) as error:
        with suppress(OSError):
            print(error, file=sys.stderr, flush=True)
        return 1
    except StopRequested:
        pass
    say("stopped")
    return 0


def say(line: str) -> None:
    # A terminal or pipe that went away is no reason to leave processes behind.
    with suppress(OSError):
        print(line, flush=True)


def chosen_port() -> int:
    text = os.environ.get("PORT") or _DEFAULT_PORT
    if not text.isascii() or not text.isdigit():
        raise StackError(f"PORT must be a number, not {text!r}.")
    return int(text)


def chosen_data_dir() -> Path:
    """Where the data lives, as the developer's environment says."""
    return Path(os.environ.get("DATA_DIR") or _DEFAULT_DATA_DIR)


def _listen_to_signals(stack: Stack) -> None:
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        # nohup(1) asks to survive the terminal.
        if number != signal.SIGHUP or signal.getsignal(number) != signal.SIG_IGN:
            signal.signal(number, lambda _number, _frame: stack.request_stop())


def _end_with_parent(parent: int) -> None:
    """For `make up`: killing make shall end what it started."""
    while os.getppid() == parent:
        time.sleep(0.2)
    os.kill(os.getpid(), signal.SIGTERM)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
