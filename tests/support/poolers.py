"""A PgBouncer and a Valkey with TLS from Debian, in containers on the host's network, with a certificate authority."""

import subprocess
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

from tests.support.compose import docker
from tests.support.services import free_port
from tools.ports import HOST
from tools.process import ROOT

_IMAGE = "latchkey-stores:test"
_BUILD_SECONDS = 600
# The engine may have no buildx, and this file needs none.
_BUILD = ["docker", "build", "--quiet", "--tag", _IMAGE, "-"]


def build() -> None:
    """Makes the image; every layer that has not changed is kept."""
    with open(ROOT / "tests" / "support" / "stores.Dockerfile", "rb") as file:
        subprocess.run(_BUILD, stdin=file, check=True, timeout=_BUILD_SECONDS, capture_output=True)


def certificates(folder: Path) -> Path:
    """`ca.pem`, `server.pem` that it signed for "localhost", its `server.key`, and the `other.pem` of a stranger."""
    folder.mkdir(mode=0o755)
    script = """
    cd /made
    for name in ca other; do
      openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj "/CN=$name" -keyout $name.key -out $name.pem
    done
    openssl req -newkey rsa:2048 -nodes -subj /CN=localhost -keyout server.key -out server.csr
    echo subjectAltName=DNS:localhost >names
    openssl x509 -req -days 2 -in server.csr -CA ca.pem -CAkey ca.key -CAcreateserial -extfile names -out server.pem
    chmod 644 *.pem server.key
    """
    docker("run", "--rm", "--user", "0", "--volume", f"{folder}:/made", _IMAGE, "sh", "-ec", script)
    return folder


@contextmanager
def running(folder: Path, *command: str) -> Iterator[str]:
    """A program of the image, whose files are in `folder`; the container's name."""
    name = f"latchkey-test-{uuid.uuid4().hex[:8]}"
    options = ["--rm", "--detach", "--name", name, "--network", "host", "--volume", f"{folder}:/files:ro"]
    docker("run", *options, _IMAGE, *command)
    try:
        yield name
    finally:
        docker("kill", name)


@contextmanager
def pgbouncer(folder: Path, *urls: str, tls: Path | None = None) -> Iterator[int]:
    """The port of a PgBouncer in transaction mode; two connections to each database, because a migration takes two."""
    port = free_port()
    folder.mkdir(mode=0o755)
    targets, people = [], {}
    for parts in map(urlsplit, urls):
        targets.append(f"{parts.path[1:]} = host={parts.hostname} port={parts.port}")
        people[parts.username] = parts.password
    settings = {
        "listen_addr": HOST,
        "listen_port": str(port),
        "unix_socket_dir": "",
        "auth_type": "scram-sha-256",
        "auth_file": "/files/people",
        "pool_mode": "transaction",
        "default_pool_size": "2",
        "ignore_startup_parameters": "options",
    }
    if tls:
        own = {"client_tls_key_file": "/files/server.key", "client_tls_cert_file": "/files/server.pem"}
        settings |= {"client_tls_sslmode": "require", **own}
        for name in ("server.key", "server.pem"):
            (folder / name).write_bytes((tls / name).read_bytes())
    lines = ["[databases]", *targets, "[pgbouncer]", *(f"{name} = {value}" for name, value in settings.items())]
    (folder / "pgbouncer.ini").write_text("\n".join(lines) + "\n")
    (folder / "people").write_text("".join(f'"{name}" "{password}"\n' for name, password in people.items()))
    with running(folder, "pgbouncer", "/files/pgbouncer.ini"):
        yield port


@contextmanager
def valkey_with_tls(folder: Path, password: str) -> Iterator[int]:
    """The port of a Valkey that speaks nothing but TLS; `folder` holds its certificates."""
    port = free_port()
    keys = ["--tls-cert-file", "/files/server.pem", "--tls-key-file", "/files/server.key"]
    own = ["--bind", HOST, "--port", "0", "--tls-port", str(port), "--tls-auth-clients", "no", "--save", ""]
    ca = ["--tls-ca-cert-file", "/files/ca.pem", "--requirepass", password, "--dir", "/tmp"]
    with running(folder, "valkey-server", *own, *keys, *ca):
        yield port
