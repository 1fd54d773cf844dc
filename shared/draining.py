"""Leaving before stopping: a server that is told to end says that it is not ready, and serves on for a while.

Whoever balances load between replicas needs that while to notice. A bare SIGTERM reset 15 of 16 kept connections here.
"""

import signal
from types import FrameType
from typing import Any

from gunicorn.http.wsgi import Response


class _Process:
    """What this process is about to do."""

    draining = False


def draining() -> bool:
    """Whether this process was told to end."""
    return _Process.draining


def drain_before_stopping(worker: Any, seconds: int) -> None:
    """Let SIGTERM stop this gunicorn worker only after so many seconds.

    Until then it takes connections and answers every request, and says in each answer that the connection closes with
    it. SIGINT and SIGQUIT go on ending it at once. Call it in `post_worker_init`, when gunicorn has its handlers.
    """

    def leave(number: int, frame: FrameType | None) -> None:
        if _Process.draining:
            return
        _Process.draining = True
        _close_connections_with_their_answers()
        if seconds:
            # By a timer of the system, because it works alike in threads and in greenlets.
            signal.setitimer(signal.ITIMER_REAL, seconds)
        else:
            worker.handle_exit(number, frame)

    signal.signal(signal.SIGTERM, leave)
    signal.signal(signal.SIGALRM, worker.handle_exit)
    for number in (signal.SIGTERM, signal.SIGALRM):
        # As gunicorn has it: no system call of a request is interrupted.
        signal.siginterrupt(number, False)  # noqa: FBT003 - it takes no keyword


def _close_connections_with_their_answers() -> None:
    """Decided when the head of an answer is written, so that nobody is told to keep a connection that closes."""
    send_headers = Response.send_headers

    def send_last_headers(response: Any) -> None:
        if not response.headers_sent:
            response.force_close()
        send_headers(response)

    Response.send_headers = send_last_headers
