"""Says which request a line of the log and an internal call belong to, and how long it may still take."""

import random
import re
import time
from collections.abc import Callable
from contextvars import ContextVar
from dataclasses import dataclass, replace
from typing import Self

from shared import tracing

REQUEST_ID_HEADER = "X-Request-Id"
TRACEPARENT_HEADER = "Traceparent"
DEADLINE_HEADER = "X-Deadline-Ms"

_REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{8,128}")
_TRACEPARENT = re.compile(r"00-(?!0{32})([0-9a-f]{32})-(?!0{16})([0-9a-f]{16})-([0-9a-f]{2})")
_MILLISECONDS = re.compile(r"[0-9]{1,6}")


@dataclass(frozen=True)
class Trace:
    """One request on its way through the rooms.

    `trace_id`, `flags` and `parent_id` (the caller's, "" for none) are those of W3C Trace Context level 1; `deadline`
    is on this process's monotonic clock, in seconds.
    """

    request_id: str
    trace_id: str
    flags: str
    parent_id: str
    deadline: float

    @classmethod
    def start(cls, header: Callable[[str], str | None], budget: float) -> Self:
        """Go on with what the caller sent as far as it is well-formed, else begin anew.

        `header` gives the value of a request header or None. `budget` is how many seconds this room gives to the
        request; a caller can shorten it, never lengthen it.
        """
        request_id = header(REQUEST_ID_HEADER) or ""
        parent = _TRACEPARENT.fullmatch(header(TRACEPARENT_HEADER) or "")
        left = header(DEADLINE_HEADER) or ""
        if _MILLISECONDS.fullmatch(left):
            budget = min(budget, int(left) / 1000)
        return cls(
            request_id=request_id if _REQUEST_ID.fullmatch(request_id) else _new_id(16),
            trace_id=parent.group(1) if parent else _new_id(16),
            flags=parent.group(3) if parent else "00",
            parent_id=parent.group(2) if parent else "",
            deadline=time.monotonic() + budget,
        )

    @property
    def seconds_left(self) -> float:
        """How long the request may still take; 0 when its time is over."""
        return max(0.0, self.deadline - time.monotonic())

    def restarted(self, budget: float) -> Self:
        """The same request, with `budget` seconds from now."""
        return replace(self, deadline=time.monotonic() + budget)

    def onward_headers(self) -> dict[str, str]:
        """The headers of a call that is made for this request."""
        return {
            REQUEST_ID_HEADER: self.request_id,
            TRACEPARENT_HEADER: f"00-{self.trace_id}-{tracing.current_span_id() or _new_id(8)}-{self.flags}",
            DEADLINE_HEADER: str(int(self.seconds_left * 1000)),
        }


def _new_id(size: int) -> str:
    # No secret, so it need not come from the kernel; gunicorn seeds every worker's generator anew.
    return f"{random.getrandbits(size * 8):0{size * 2}x}"


current_trace: ContextVar[Trace | None] = ContextVar("current_trace", default=None)
