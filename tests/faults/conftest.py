"""What the tests of faults share: a stack of their own that is often broken, and the table at the end."""

from collections.abc import Iterator

import pytest

from tests.support.site import SETTINGS, supervised
from tests.support.survival import Report
from tools.stack import Ports, Stack

REPORTS: list[Report] = []


@pytest.fixture(scope="session")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """A stack that starts again what dies."""
    with supervised(Stack(tmp_path_factory.mktemp("faults") / "data", Ports.free(), settings=SETTINGS)) as stack:
        yield stack


@pytest.fixture(scope="session")
def reports() -> list[Report]:
    """What every fault cost, for the table."""
    return REPORTS


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    if REPORTS:
        terminalreporter.section("what the faults cost")
        for line in (Report.HEAD, *REPORTS):
            terminalreporter.write_line(str(line))
