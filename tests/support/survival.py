"""One fault under a steady load, from before it strikes until all is well again, and what came of it."""

import time
from dataclasses import dataclass

import psycopg

from tests.support.disasters import Fault
from tests.support.promises import broken_promises
from tests.support.steady import Town
from tools.stack import Stack

# A busy machine is slower than the quiet one that docs/reliability.md speaks of.
_TIMES = 3
_AND_SECONDS = 30.0
_WELL_BEFORE = 60.0


@dataclass(frozen=True)
class Report:
    """What a fault cost: requests and failures in all, the longest answer, and the seconds until all was well."""

    fault: str
    requests: int
    failures: int
    longest: float
    recovered: float
    broken: list[str]

    HEAD = f"{'fault':42}{'requests':>9}{'failed':>8}{'longest':>9}{'well after':>12}"

    def __str__(self) -> str:
        return (
            f"{self.fault:42}{self.requests:9}{self.failures:8}{self.longest:8.1f}s{self.recovered:11.1f}s"
            f"{'' if not self.broken else '  BROKEN'}"
        )


def survive(
    name: str,
    fault: Fault,
    stack: Stack,
    *,
    struck: object = None,
    gateway_url: str = "",
    pause: float = 0.1,
    seconds: float = 0.0,
) -> Report:
    """Let `fault` strike `struck` (the stack unless it is given) while a town is busy at the gateway.

    It is busy until all is well again, and for `seconds` at least; `pause` is how long its people rest.
    """
    began = time.monotonic()
    with Town(gateway_url or stack.gateway_url, pause=pause) as town:
        town.wait_until_well(time.monotonic(), _WELL_BEFORE)
        struck_at = time.monotonic()
        with fault.strike(struck or stack):
            time.sleep(fault.lasts)
            if fault.serves:
                town.wait_until_well(struck_at, _WELL_BEFORE)
        ended_at = time.monotonic()
        town.wait_until_well(ended_at, _TIMES * fault.well_within + _AND_SECONDS)
        time.sleep(max(0.0, began + seconds - time.monotonic()))
    with (
        psycopg.connect(stack.database_url("auth"), autocommit=True) as auth,
        psycopg.connect(stack.database_url("users"), autocommit=True) as users,
    ):
        broken = broken_promises(town, auth, users, hangs_up=fault.hangs_up, expires=fault.expires)
    seen = [deed for deed in town.deeds if deed.ended >= struck_at]
    failed = [deed for deed in seen if not deed.worked]
    if fault.serves and not fault.expires:
        broken += [f"{deed}" for deed in failed]
    longest = max(deed.ended - deed.began for deed in seen)
    return Report(name, len(seen), len(failed), longest, town.recovered_after(ended_at), broken)
