"""What the figures of several workers come to, and that one which can't be had takes no other with it."""

import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry
from prometheus_client.multiprocess import MultiProcessCollector
from urllib3.exceptions import HTTPError

from tests.support.figures import Scraper
from tests.support.services import free_port
from tests.support.waiting import eventually
from tools.process import ROOT

# What a worker says of itself in three figures.
SAY = """
import sys
from shared.metrics import gauge
for over in ("min", "max", "sum"):
    gauge(over, "how it is", over_workers=over).set(float(sys.argv[1]))
"""
FAIL = """
import sys, time
from shared import metrics
metrics.sample(metrics.gauge("lost", "it can't be had", over_workers="max"), lambda: 1 / 0)
metrics.look_often(metrics.counter("seen", "how often it was looked").inc)
metrics._SAMPLE_SECONDS = 0.05
metrics.serve_alone(sys.argv[1])
time.sleep(60)
"""


def test_several_workers_come_to_the_least_the_most_or_all_of_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PROMETHEUS_MULTIPROC_DIR", str(tmp_path))
    for slot, value in enumerate(("3", "1", "2")):
        monkeypatch.setenv("METRICS_SLOT", str(slot))
        subprocess.run([sys.executable, "-c", SAY, value], cwd=ROOT, check=True)
    registry = CollectorRegistry()
    MultiProcessCollector(registry, path=str(tmp_path))  # type: ignore[no-untyped-call]
    assert {name: registry.get_sample_value(name) for name in ("min", "max", "sum")} == {"min": 1, "max": 3, "sum": 6}


def test_a_figure_that_can_not_be_had_leaves_the_others_alone() -> None:
    address = f"127.0.0.1:{free_port()}"
    with subprocess.Popen([sys.executable, "-c", FAIL, address], cwd=ROOT, stdout=subprocess.DEVNULL) as process:
        figures = Scraper(address)

        def seen() -> bool:
            with suppress(HTTPError):
                return figures.sum_of("seen_total") > 2
            return False

        try:
            eventually(seen)
        finally:
            process.kill()
