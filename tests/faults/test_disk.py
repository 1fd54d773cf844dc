"""docs/reliability.md: a full disk under PostgreSQL loses nothing that was acknowledged."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.site import SETTINGS, supervised
from tests.support.small_disk import SmallDisk, may_mount, on_small_disk
from tests.support.surroundings import DISK_FAULTS
from tests.support.survival import Report, survive
from tools.stack import Ports, Stack

pytestmark = pytest.mark.faults


@pytest.fixture(scope="module")
def cramped(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Stack, SmallDisk]]:
    """A stack whose PostgreSQL has a small disk."""
    folder: Path = tmp_path_factory.mktemp("cramped") / "data"
    if not may_mount(folder.parent):
        assert not os.environ.get("REQUIRE_FAULTS"), "file systems can't be mounted here"
        pytest.skip("file systems can't be mounted here, only root may do that")
    stack = Stack(folder, Ports.free(), settings=SETTINGS)
    with stack:
        stack.start(only={"postgres"})
    with on_small_disk(folder / "postgres") as disk, supervised(stack):
        yield stack, disk


@pytest.mark.parametrize("fault", DISK_FAULTS)
def test_what_was_acknowledged_is_kept_and_nobody_is_signed_out_when(
    cramped: tuple[Stack, SmallDisk], reports: list[Report], fault: str
) -> None:
    stack, _ = cramped
    report = survive(fault, DISK_FAULTS[fault], stack, struck=cramped)
    reports.append(report)
    assert report.broken == []
