"""docs/reliability.md, fault by fault: whatever breaks, nothing acknowledged is lost and nobody is signed out."""

import pytest

from tests.support.disasters import FAULTS
from tests.support.survival import Report, survive
from tools.stack import Stack

pytestmark = pytest.mark.faults


@pytest.mark.parametrize("fault", FAULTS)
def test_what_was_acknowledged_is_kept_and_nobody_is_signed_out_when(
    site: Stack, reports: list[Report], fault: str
) -> None:
    report = survive(fault, FAULTS[fault], site)
    reports.append(report)
    assert report.broken == []
