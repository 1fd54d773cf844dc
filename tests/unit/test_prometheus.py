"""Prometheus is told of the same processes on a laptop as in compose, and in words that it understands."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from tests.support.prometheus import needs_prometheus, promtool
from tools.process import ROOT
from tools.prometheus import configuration, targets_of
from tools.stack import Ports

COMPOSE = ROOT / "deploy/observability/prometheus.yml"
TARGETS = targets_of(Ports.from_base(8080))


@needs_prometheus
@pytest.mark.parametrize("text", [COMPOSE.read_text(), configuration(TARGETS, seconds=5)], ids=["compose", "laptop"])
def test_prometheus_understands_what_it_is_told(tmp_path: Path, text: str) -> None:
    (tmp_path / "prometheus.yml").write_text(text)
    finished = promtool("check", "config", "--syntax-only", tmp_path / "prometheus.yml")
    assert finished.returncode == 0, finished.stdout + finished.stderr


def test_compose_and_a_laptop_have_the_same_jobs() -> None:
    told = yaml.safe_load(COMPOSE.read_text())
    jobs = {job["job_name"]: job["dns_sd_configs"][0] for job in told["scrape_configs"] if "dns_sd_configs" in job}
    assert jobs.keys() == TARGETS.keys()
    services = yaml.safe_load((ROOT / "docker-compose.yml").read_text())["services"]
    for job, looked_up in jobs.items():
        assert looked_up["names"] == [job]
        assert services[job]["environment"]["METRICS_BIND"].endswith(f":{looked_up['port']}")


def test_make_prometheus_says_in_a_sentence_what_is_missing(tmp_path: Path) -> None:
    environment = {**os.environ, "PATH": str(tmp_path), "DATA_DIR": str(tmp_path)}
    command = [sys.executable, "-m", "tools.prometheus"]
    finished = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert (finished.returncode, finished.stdout) == (1, "")
    assert finished.stderr == "There is no prometheus on the PATH: on Debian, apt-get install prometheus.\n"
