"""The profile `observability` of compose: Prometheus sees every replica, and neither it nor Grafana opens a door."""

import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.compose import ComposeProject, docker, need_compose
from tests.support.prometheus import Prometheus
from tests.support.services import free_port
from tests.support.waiting import eventually
from tools.ports import HOST

pytestmark = pytest.mark.compose

PROFILE = ("--profile", "observability")
JOBS = {"gateway", "auth", "auth-worker", "users"}
# Where no image registry is reached: Debian's Prometheus, in a folder like the official one's.
STAND_IN = """
FROM python:3.13-slim
RUN apt-get update -qq && apt-get install -y -qq --no-install-recommends prometheus && install -d -o 65534 /prometheus
"""
BUILD_SECONDS = 600


def entry(project: ComposeProject, service: str) -> dict[str, Any]:
    return dict(project.config(*PROFILE)["services"][service])


@pytest.fixture(scope="module")
def image(project: ComposeProject) -> Iterator[str]:
    """The image that the profile names; what stands in for it goes again."""
    name = str(entry(project, "prometheus")["image"])
    pulled = subprocess.run(
        ["docker", "pull", "--quiet", name], check=False, timeout=BUILD_SECONDS, capture_output=True
    )
    if pulled.returncode == 0 or docker("images", "--quiet", name):
        yield name
        return
    environment = {"DOCKER_BUILDKIT": "0", "PATH": "/usr/local/bin:/usr/bin:/bin"}
    command = ["docker", "build", "--quiet", "--tag", name, "-"]
    subprocess.run(
        command, input=STAND_IN, text=True, env=environment, check=True, timeout=BUILD_SECONDS, capture_output=True
    )
    yield name
    docker("rmi", name)


@pytest.fixture(scope="module")
def prometheus(project: ComposeProject, image: str) -> Iterator[Prometheus]:
    port = free_port()
    project.set(PROMETHEUS_PORT=str(port))
    try:
        project.do(*PROFILE, "up", "--detach", "--no-deps", "prometheus")
        running = Prometheus(f"http://{HOST}:{port}")
        eventually(running.is_ready, seconds=60)
        yield running
    finally:
        project.do(*PROFILE, "rm", "--stop", "--force", "--volumes", "prometheus")


def replicas_up(prometheus: Prometheus) -> dict[str, int]:
    rooms = "|".join(JOBS)
    return {labels["job"]: int(n) for labels, n in prometheus.value(f'sum by (job) (up{{job=~"{rooms}"}})')}


def test_prometheus_asks_every_replica_that_there_is(project: ComposeProject, prometheus: Prometheus) -> None:
    eventually(lambda: replicas_up(prometheus) == dict.fromkeys(JOBS, 1), seconds=60)
    project.up("--no-recreate", "--scale", "users=2")
    try:
        eventually(lambda: replicas_up(prometheus)["users"] == 2, seconds=60)
    finally:
        project.up("--no-recreate", "--scale", "users=1")
    assert {group["name"] for group in prometheus.ask("rules")["groups"]} >= {"people are hurt", "somebody attacks"}


def test_prometheus_is_nobody_special_and_answers_this_machine_only(
    project: ComposeProject, prometheus: Prometheus
) -> None:
    assert prometheus.is_ready()
    [container] = project.containers("prometheus")
    assert container["HostConfig"]["ReadonlyRootfs"]
    assert container["HostConfig"]["CapDrop"] == ["ALL"]
    assert "no-new-privileges:true" in container["HostConfig"]["SecurityOpt"]
    assert container["HostConfig"]["Memory"] > 0
    assert container["Config"]["User"] == "65534:65534"
    [binding] = [one for bindings in container["NetworkSettings"]["Ports"].values() for one in bindings or ()]
    assert binding["HostIp"] == "127.0.0.1"


@pytest.mark.parametrize("service", ["prometheus", "grafana"])
def test_what_the_profile_starts_is_hardened_like_the_rest(project: ComposeProject, service: str) -> None:
    told = entry(project, service)
    assert told["read_only"] is True
    assert told["cap_drop"] == ["ALL"]
    assert told["security_opt"] == ["no-new-privileges:true"]
    assert str(told["user"]).split(":")[0] not in ("", "0", "root")
    assert told["deploy"]["resources"]["limits"]["memory"]
    [port] = told["ports"]
    assert port["host_ip"] == "127.0.0.1"
    assert ":latest" not in str(told["image"])
    assert service not in project.config()["services"]


@pytest.mark.parametrize(
    ("password", "why"), [("", "is required"), ("change-me-grafana", "still has its sample value"), ("a b/c", "")]
)
def test_grafana_does_not_start_with_no_password_or_the_sample(
    project: ComposeProject, env_file: Path, tmp_path: Path, password: str, why: str
) -> None:
    need_compose()
    lines = [line for line in env_file.read_text().splitlines() if not line.startswith("GRAFANA_PASSWORD")]
    own = tmp_path / ".env"
    own.write_text("\n".join([*lines, f"GRAFANA_PASSWORD={password}"]) + "\n")
    other = ComposeProject(own)
    try:
        checked = other.try_to(*PROFILE, "run", "--rm", "--no-deps", "check-grafana-password")
        assert (checked.returncode == 0) == (why == "")
        assert why in checked.stdout + checked.stderr
    finally:
        other.down()
    needed = entry(project, "grafana")["depends_on"]
    assert needed["check-grafana-password"]["condition"] == "service_completed_successfully"
