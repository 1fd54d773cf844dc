"""A stack behind its front door, what a phone needs to trust that, and clients that speak HTTP/2 or live elsewhere."""

import json
import os
import subprocess
import tempfile
from pathlib import Path
from typing import Any

from urllib3 import HTTPHeaderDict

from tests.support.compose import ComposeProject, docker
from tests.support.http import ANSWER_SECONDS, Answer, Api
from tools.ports import HOST, Ports
from tools.process import ROOT

IMAGE = "haproxy:3.2-alpine"
FILES = "docker-compose.yml:deploy/edge/compose.yml"
# Somebody else's machine: asks `edge` for a page, each time under another address that it makes up.
_FORGE = """
import http.client, json, ssl, sys
path, times = sys.argv[1], int(sys.argv[2])
connection = http.client.HTTPSConnection("edge", 8443, context=ssl._create_unverified_context(), timeout=20)
statuses = []
for number in range(times):
    connection.request("GET", path, headers={"X-Forwarded-For": f"10.9.8.{number}"})
    answer = connection.getresponse()
    answer.read()
    statuses.append(answer.status)
print(json.dumps(statuses))
"""


class EdgeProject(ComposeProject):
    """One run of docker-compose.yml with deploy/edge/compose.yml, and a certificate of its own."""

    def __init__(self, env_file: Path, certificates: Path, **settings: str) -> None:
        ports = Ports.free()
        self.https_port, self.http_port, self.certificates = ports.gateway, ports.auth, certificates
        own = {"COMPOSE_FILE": FILES, "EDGE_PORT": str(ports.gateway), "EDGE_HTTP_PORT": str(ports.auth)}
        super().__init__(env_file, **own, EDGE_CERTIFICATES=str(certificates), **settings)

    @property
    def url(self) -> str:
        return f"https://{HOST}:{self.https_port}"

    @property
    def certificate(self) -> Path:
        return self.certificates / "self-signed.pem"

    def change(self, **settings: str) -> None:
        """Other settings from the next `up` on."""
        self._settings.update(settings)

    def forged(self, path: str, times: int) -> list[int]:
        """The statuses that somebody elsewhere gets, whose GET requests say each that they come from a new address."""
        command = ["python3", "-c", _FORGE, path, str(times)]
        found: list[int] = json.loads(
            docker("run", "--rm", "--network", f"{self.name}_outside", "python:3.13-slim", *command)
        )
        return found


class Http2Api(Api):
    """Talks HTTP/2 as curl does, and fails where it was not HTTP/2."""

    def send(
        self,
        method: str,
        path: str,
        json_body: Any = None,
        *,
        body: bytes | None = None,
        token: str | None = None,
        headers: dict[str, str] | None = None,
    ) -> Answer:
        sent = {"Content-Type": "application/json"} if json_body is not None else {}
        sent |= {"Authorization": f"Bearer {token}"} if token else {}
        body = json.dumps(json_body).encode() if json_body is not None else body
        options = [word for name, value in {**sent, **(headers or {})}.items() for word in ("-H", f"{name}: {value}")]
        if body is not None:
            options += ["--data-binary", "@-"]
        with tempfile.NamedTemporaryFile() as received:
            command = ["curl", "--silent", "--show-error", "--http2", "--cacert", os.environ["SSL_CERT_FILE"]]
            command += ["--max-time", str(ANSWER_SECONDS), "--dump-header", received.name, "--request", method]
            done = subprocess.run(
                [*command, *options, self.base_url + path], input=body, capture_output=True, check=True
            )
            first, *lines = Path(received.name).read_text().splitlines()
        version, status = first.split()
        assert version == "HTTP/2"
        fields = (line.split(": ", 1) for line in lines if line)
        return Answer(int(status), HTTPHeaderDict([(name, value) for name, value in fields]), done.stdout)


def make_certificate(folder: Path) -> None:
    """What somebody types who tries the edge out."""
    environment = {**os.environ, "EDGE_CERTIFICATES": str(folder)}
    subprocess.run([ROOT / "deploy" / "edge" / "self-signed"], env=environment, check=True, capture_output=True)


def need_image() -> None:
    """Makes sure that there is a HAProxy: the official image, or our own build where no registry can be reached."""
    if not _succeeds("image", "inspect", IMAGE) and not _succeeds("pull", "--quiet", IMAGE):
        docker("build", "--quiet", "--tag", IMAGE, str(ROOT / "tests" / "support" / "haproxy"))


def _succeeds(*command: str) -> bool:
    finished = subprocess.run(["docker", *command], capture_output=True, check=False, timeout=300)
    return finished.returncode == 0
