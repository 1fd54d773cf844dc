"""docs/reliability.md promises something for every fault that is tried, and for no other."""

import re

from tests.support.disasters import FAULTS
from tests.support.surroundings import CLOCK_FAULTS, DISK_FAULTS, LINK_FAULTS
from tools.process import ROOT

TRIED = {**FAULTS, **LINK_FAULTS, **CLOCK_FAULTS, **DISK_FAULTS}
ROW = re.compile(r"^\| ([^|]+) \| ([^|]+) \| (\d+) s \|$", re.MULTILINE)


def promised() -> list[tuple[str, str, str]]:
    return ROW.findall((ROOT / "docs/reliability.md").read_text())


def test_every_fault_that_is_tried_is_promised_something_and_no_other() -> None:
    names = [name for name, _, _ in promised()]
    assert len(names) == len(set(names))
    assert set(names) == set(TRIED)


def test_what_is_promised_for_the_time_after_a_fault_is_what_is_tried() -> None:
    assert {name: int(seconds) for name, _, seconds in promised()} == {
        name: fault.well_within for name, fault in TRIED.items()
    }
