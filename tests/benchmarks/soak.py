"""`make soak`: half of what a stack can do, one fault a minute, and nothing that grows; a table and a picture."""

import itertools
import sys
import tempfile
import time
from pathlib import Path

from tests.benchmarks.growth import Observer, Trend
from tests.benchmarks.plot import draw_growth
from tests.support.disasters import FAULTS
from tests.support.site import SETTINGS, supervised
from tests.support.steady import Town
from tests.support.survival import Report, survive
from tools.process import ROOT
from tools.stack import Ports, Stack

FULL_SECONDS = 30
MINUTE = 60.0
PICTURE = ROOT / ".soak" / "growth.svg"
# Those that leave the rest of their minute to a stack that is whole.
SHORT = {name: fault for name, fault in FAULTS.items() if fault.lasts < MINUTE / 2}


def main(minutes: int) -> int:
    """Soak for so many minutes; 1 when a promise was broken or something grew."""
    with tempfile.TemporaryDirectory() as folder:
        stack = Stack(Path(folder) / "data", Ports.free(), settings=SETTINGS)
        with supervised(stack):
            pause = _pause_of_half_load(stack)
            with Observer(stack) as observer:
                end, reports = time.monotonic() + minutes * MINUTE, []
                faults = itertools.cycle(SHORT)
                while time.monotonic() < end:
                    reports.append(_minute(next(faults), stack, pause))
    trends = observer.trends()
    _print(reports, trends)
    draw_growth(observer.samples, PICTURE)
    print(f"The picture is {PICTURE.relative_to(ROOT)}.")
    broken = [complaint for report in reports for complaint in report.broken]
    for complaint in broken:
        print(complaint)
    return 1 if broken or not all(trend.is_flat for trend in trends) else 0


def _pause_of_half_load(stack: Stack) -> float:
    """How long everybody has to rest after each request so that half as many are sent as without rest."""
    with Town(stack.gateway_url, pause=0.0) as town:
        time.sleep(FULL_SECONDS)
    pause = sum(deed.ended - deed.began for deed in town.deeds) / len(town.deeds)
    print(f"full load: {len(town.deeds) / FULL_SECONDS:.0f} requests/s, {pause * 1000:.0f} ms each; half from now on")
    return pause


def _minute(name: str, stack: Stack, pause: float) -> Report:
    report = survive(name, SHORT[name], stack, pause=pause, seconds=MINUTE)
    print(report, flush=True)
    return report


def _print(reports: list[Report], trends: list[Trend]) -> None:
    print(f"\n{Report.HEAD}")
    for report in reports:
        print(report)
    print(f"\n{'figure':28}{'unit':>13}{'at first':>10}{'at last':>10}{'an hour':>10}{'may grow':>10}")
    for name, unit, first, last, hourly, bound in sorted(trends):
        verdict = "" if last - first <= bound else "  GREW"
        print(f"{name:28}{unit:>13}{first:10.1f}{last:10.1f}{hourly:+10.1f}{bound:10.1f}{verdict}")


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1])))
