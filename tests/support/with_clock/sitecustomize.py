"""Sleeping in Python under libfaketime 0.9.10, where time.sleep of Python 3.11 fails (wolfcw/libfaketime issue 426)."""

import select
import time
from typing import SupportsIndex


def _sleep(seconds: float | SupportsIndex) -> None:
    """Sleep by a call that libfaketime leaves alone while monotonic time is not faked."""
    select.select([], [], [], float(seconds))


time.sleep = _sleep
