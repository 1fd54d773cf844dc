"""Stores that grew: a PostgreSQL that follows another one, a second Valkey, and the Sentinels that watch both."""

import os
import shutil
from dataclasses import replace
from pathlib import Path

import psycopg
import redis

from tests.support.services import free_port
from tests.support.waiting import eventually
from tools import services, stores
from tools.data_dir import DataDir, write_private
from tools.ports import HOST
from tools.process import Process
from tools.stack import Stack

MASTER = "latchkey"
SENTINEL_PASSWORD = "only-sentinels-know-it"
_QUORUM = 2


def standby_of(stack: Stack, folder: Path, port: int) -> Process:
    """A PostgreSQL on `port` that has followed the stack's from its first byte on; not started yet."""
    data, ports = DataDir(folder), replace(stack.ports, postgres=port)
    data.postgres.mkdir(parents=True, mode=0o700)
    if os.geteuid() == 0:
        shutil.chown(data.postgres, 65534, 65534)
    options = ["--host", HOST, "--port", str(stack.ports.postgres), "--username", "postgres", "--no-password"]
    copying = Process(
        "pg_basebackup",
        [stores.postgres_program("pg_basebackup"), *options, "-D", str(data.postgres), "-R", "--checkpoint=fast"],
        environment={**services.basics(), "PGPASSWORD": stack.secrets.postgres},
        log_path=data.log_path("pg_basebackup"),
        privileges=stores.privileges(data),
    )
    copying.start()
    eventually(copying.has_finished)
    return stores.postgres(data, ports, stack.secrets, services.basics())


def several_hosts(url: str, *ports: int) -> str:
    """The URL of a database at whichever of these ports writes."""
    role, _, rest = url.rpartition("@")
    hosts = ",".join(f"{HOST}:{port}" for port in ports)
    return f"{role}@{hosts}/{rest.partition('/')[2]}?target_session_attrs=read-write"


def as_superuser(stack: Stack, port: int) -> psycopg.Connection:
    """One of the servers, to command it."""
    return psycopg.connect(
        host=HOST, port=port, user="postgres", password=stack.secrets.postgres, dbname="postgres", autocommit=True
    )


def replica_of(stack: Stack, folder: Path, port: int) -> Process:
    """A Valkey on `port` that follows the stack's; started."""
    data = DataDir(folder)
    folder.mkdir()
    process = stores.valkey(data, replace(stack.ports, valkey=port), stack.secrets, services.basics())
    process.start()
    process.wait_ready()
    with valkey_at(stack, port) as client:
        client.config_set("masterauth", stack.secrets.valkey)
        client.replicaof(HOST, str(stack.ports.valkey))
    return process


def valkey_at(stack: Stack, port: int) -> redis.Redis:
    """One of the servers."""
    return redis.Redis(host=HOST, port=port, password=stack.secrets.valkey, decode_responses=True, socket_timeout=5)


def sentinel_at(port: int) -> redis.Redis:
    """One of the Sentinels."""
    return redis.Redis(host=HOST, port=port, password=SENTINEL_PASSWORD, decode_responses=True, socket_timeout=5)


def sentinels_of(stack: Stack, folder: Path, ports: list[int]) -> list[Process]:
    """Sentinels that make the replica the master half a second after that is gone; started."""
    started = []
    for port in ports:
        own = folder / str(port)
        own.mkdir(parents=True)
        lines = [
            f"bind {HOST}",
            f"port {port}",
            f"dir {own}",
            f"requirepass {SENTINEL_PASSWORD}",
            f"sentinel sentinel-pass {SENTINEL_PASSWORD}",
            f"sentinel monitor {MASTER} {HOST} {stack.ports.valkey} {_QUORUM}",
            f"sentinel auth-pass {MASTER} {stack.secrets.valkey}",
            f"sentinel down-after-milliseconds {MASTER} 500",
            f"sentinel failover-timeout {MASTER} 4000",
        ]
        write_private(own / "sentinel.conf", "\n".join(lines) + "\n")
        process = Process(
            f"sentinel-{port}",
            [stores.valkey_program(), str(own / "sentinel.conf"), "--sentinel"],
            environment=services.basics(),
            log_path=own / "sentinel.log",
        )
        process.start()
        started.append(process)
    return started


def sentinel_url(password: str, ports: list[int]) -> str:
    """The master, whichever it is; the first Sentinel is one that never was there."""
    places = ",".join(f"{HOST}:{port}" for port in (free_port(), *ports))
    return f"redis+sentinel://:{password}@{places}/{MASTER}/0?sentinel_password={SENTINEL_PASSWORD}"
