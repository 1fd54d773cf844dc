"""All of Latchkey on one machine: real stores, real services, started and stopped as one."""

import time
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import asdict, astuple
from pathlib import Path
from types import TracebackType
from typing import Self

from tools import services, stores
from tools.data_dir import DataDir, Secrets
from tools.errors import StackError, StopRequested
from tools.ports import Ports, obstacle
from tools.process import POLL_SECONDS, Process, stop_together
from tools.supervisor import Supervisor

__all__ = ["Ports", "Process", "Stack", "StackError", "StopRequested"]

STORES = ("postgres", "valkey")
# The door closes first; the stores go when nobody needs them any more. Three times STOP_SECONDS at most.
_STOP_ORDER = (("gateway",), ("auth", "users", "worker"), STORES)
_NEEDS_DATABASE = {"auth": "auth", "worker": "auth", "users": "users"}
# What a killed launcher left behind ends by itself within this time.
_LEFTOVERS_SECONDS = 10.0


class Stack:
    """Every process of one DATA_DIR. As a context manager it stops them at the end.

    `settings` adds to the environment of the process by that name: "auth", "worker", "users", "gateway".
    """

    def __init__(
        self,
        data_dir: Path,
        ports: Ports,
        *,
        settings: Mapping[str, Mapping[str, str]] | None = None,
        say: Callable[[str], None] = print,
    ) -> None:
        self.ports = ports
        self.processes: dict[str, Process] = {}
        self._data = DataDir(data_dir)
        self._settings = settings or {}
        self._say = say
        self._secrets: Secrets | None = None
        self._jobs: list[Process] = []
        self._stop_requested = False

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.stop()

    @property
    def secrets(self) -> Secrets:
        if self._secrets is None:
            raise StackError("The stack was never started, so it has no secrets yet.")
        return self._secrets

    @property
    def gateway_url(self) -> str:
        return services.url(self.ports.gateway)

    @property
    def auth_url(self) -> str:
        return services.url(self.ports.auth)

    @property
    def users_url(self) -> str:
        return services.url(self.ports.users)

    @property
    def redis_url(self) -> str:
        return services.redis_url(self.ports, self.secrets)

    def database_url(self, name: str) -> str:
        """The database of "auth" or "users", as the role that this service has."""
        return services.database_url(name, self.ports, self.secrets)

    def environment(self, name: str) -> dict[str, str]:
        """The whole environment of a service, for tests that run it in their own process."""
        temp = {"TMPDIR": str(self._data.temp)}
        return services.environment(name, self.ports, self.secrets) | temp | dict(self._settings.get(name, {}))

    def start(self, *, only: Collection[str] | None = None) -> None:
        """Blocks until every process (or those of `only`) is ready; what runs already is left alone.

        Raises StackError, with everything stopped again, when one of them does not get ready.
        """
        try:
            self._prepare()
            wanted = set(self.processes) if only is None else set(only)
            self._require_free_ports(wanted)
            self._start_stores([name for name in STORES if name in wanted])
            self.migrate(sorted({_NEEDS_DATABASE[name] for name in wanted if name in _NEEDS_DATABASE}))
            self._start_all([name for name in services.SERVICES if name in wanted])
        except BaseException:
            self.stop()
            raise

    def migrate(self, names: Iterable[str]) -> None:
        """Brings the databases of "auth" and "users" up to date, at the same time. Raises StackError."""
        self._run([services.migration(name, self._data, self.environment(name)) for name in names])

    def supervise(self) -> None:
        """Starts again whatever dies, until `request_stop`."""
        supervisor = Supervisor(self.processes.values(), self._say)
        while not self._stop_requested:
            supervisor.look()
            time.sleep(POLL_SECONDS)

    def request_stop(self) -> None:
        """Makes `start` raise StopRequested and `supervise` return soon; may be called in a signal handler."""
        self._stop_requested = True

    def stop(self) -> None:
        """Ends every process within ten seconds: the gateway, the services, the stores."""
        for layer in _STOP_ORDER:
            stop_together([self.processes[name] for name in layer if name in self.processes] + self._jobs)
        self._data.unlock()

    def _prepare(self) -> None:
        if not self._data.locked:
            self._lock()
        if self.processes:
            return
        self._data.put_large_logs_aside()
        self._data.empty_temp()
        self._secrets = self._data.load_secrets()
        for store in (stores.postgres, stores.valkey):
            process = store(self._data, self.ports, self._secrets, services.basics())
            self.processes[process.name] = process
        for name in services.SERVICES:
            self.processes[name] = services.service(name, self._data, self.ports, self.environment(name))

    def _lock(self) -> None:
        try:
            left_by_a_killed_launcher = self._data.lock()
        except StackError:
            # Who starts twice by mistake knows the port better than the folder.
            self._require_free_ports(asdict(self.ports))
            raise
        if left_by_a_killed_launcher:
            self._wait_for_leftovers()

    def _wait_for_leftovers(self) -> None:
        deadline = time.monotonic() + _LEFTOVERS_SECONDS
        while stores.former_server(self._data) or any(map(obstacle, astuple(self.ports))):
            if self._stop_requested or time.monotonic() > deadline:
                break
            time.sleep(POLL_SECONDS)

    def _require_free_ports(self, names: Collection[str]) -> None:
        ours = {name for name, process in self.processes.items() if process.is_running()}
        for name, port in asdict(self.ports).items():
            owner = name.removesuffix("_metrics")
            if owner in names and owner not in ours and (reason := obstacle(port)):
                raise StackError(reason)

    def _start_stores(self, names: Collection[str]) -> None:
        if "postgres" in names and not self._data.postgres.exists():
            self._run([stores.initdb(self._data, self.secrets, services.basics())])
            stores.accept_new_database(self._data)
        self._start_all(names)
        if "postgres" in names:
            since = time.monotonic()
            for name, role in services.ROLES.items():
                stores.create_database(role, services.database_password(name, self.secrets), self.ports, self.secrets)
            self._report("databases", "present", since)

    def _run(self, jobs: list[Process]) -> None:
        self._jobs = jobs
        for job in jobs:
            job.start()
        self._follow(jobs, Process.has_finished, "done")
        self._jobs = []

    def _start_all(self, names: Collection[str]) -> None:
        waiting = [self.processes[name] for name in names if not self.processes[name].is_running()]
        for process in waiting:
            process.start()
        self._follow(waiting, Process.became_ready, "ready")
        for process in waiting:
            # Somebody without a door counts as ready at once, and may have died of a wrong setting since.
            process.became_ready()

    def _follow(self, processes: Collection[Process], is_done: Callable[[Process], bool], word: str) -> None:
        waiting = list(processes)
        while waiting:
            if self._stop_requested:
                raise StopRequested
            for process in [process for process in waiting if is_done(process)]:
                waiting.remove(process)
                self._report(process.name, word, process.started_at)
            time.sleep(POLL_SECONDS)

    def _report(self, what: str, word: str, since: float) -> None:
        self._say(f"  {what:<16} {word:<10} {time.monotonic() - since:5.2f} s")
