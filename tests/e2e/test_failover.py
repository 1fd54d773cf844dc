"""A store's standby takes over while everything runs: nothing is restarted, nothing acknowledged is lost."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Event
from typing import Any

import pytest
from redis import Redis, RedisError

from shared.redis_client import connect
from shared.streams import REVOCATIONS
from tests.support import growth
from tests.support.http import Api
from tests.support.phone import Phone
from tests.support.services import free_port, gateway_process
from tests.support.settings import UNLIMITED
from tests.support.waiting import eventually
from tools.data_dir import DataDir
from tools.ports import HOST
from tools.process import Process, stop_together
from tools.stack import STORES, Ports, Stack

BACK_SECONDS = 15


class Grown:
    """A stack that knows two PostgreSQL servers and, by its Sentinels, two of Valkey."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.ports = Ports.free()
        self.standby_port, self.replica_port = free_port(), free_port()
        self.sentinel_ports = [free_port() for _ in range(3)]
        self.secrets = DataDir(folder / "data")
        self.secrets.path.mkdir(mode=0o700)
        password = self.secrets.load_secrets().valkey
        redis_url = growth.sentinel_url(password, self.sentinel_ports)
        generous = {"NETWORK_SIGN_UPS_PER_MINUTE": "1000000"}
        auth = {"DATABASE_URL": self._database("auth"), "REDIS_URL": redis_url, **generous}
        settings = {
            "auth": auth,
            "worker": auth,
            "users": {"DATABASE_URL": self._database("users")},
            "gateway": {"REDIS_URL": redis_url, **UNLIMITED},
        }
        self.redis_url = redis_url
        self.stack = Stack(self.secrets.path, self.ports, settings=settings)
        self.processes: list[Process] = []

    def _database(self, name: str) -> str:
        secrets = self.secrets.load_secrets()
        password = {"auth": secrets.auth_database, "users": secrets.users_database}[name]
        url = f"postgresql://latchkey_{name}:{password}@{HOST}:{self.ports.postgres}/latchkey_{name}"
        return growth.several_hosts(url, self.ports.postgres, self.standby_port)

    def start(self) -> None:
        self.stack.start(only=STORES)
        self.standby = growth.standby_of(self.stack, self.folder / "standby", self.standby_port)
        self.standby.start()
        self.standby.wait_ready()
        with growth.as_superuser(self.stack, self.ports.postgres) as primary:
            primary.execute("ALTER SYSTEM SET synchronous_standby_names = '*'")
            primary.execute("SELECT pg_reload_conf()")
            state = "SELECT sync_state FROM pg_stat_replication"
            eventually(lambda: primary.execute(state).fetchall() == [("sync",)])
        self.replica = growth.replica_of(self.stack, self.folder / "replica", self.replica_port)
        self.processes = [self.standby, self.replica]
        self.processes += growth.sentinels_of(self.stack, self.folder / "sentinels", self.sentinel_ports)
        eventually(self._sentinels_know)
        self.stack.start()

    def _sentinels_know(self) -> bool:
        """Whether every Sentinel has found the replica and the other two."""
        try:
            for port in self.sentinel_ports:
                state: Any = growth.sentinel_at(port).sentinel_master(growth.MASTER)
                if (state["num-slaves"], state["num-other-sentinels"]) != (1, 2):
                    return False
        except RedisError:
            return False
        return True

    def stop(self) -> None:
        self.stack.stop()
        stop_together(self.processes)


@pytest.fixture(scope="module")
def grown(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Grown]:
    stores = Grown(tmp_path_factory.mktemp("grown"))
    try:
        stores.start()
        yield stores
    finally:
        stores.stop()


@pytest.fixture
def api(grown: Grown) -> Api:
    return Api(grown.stack.gateway_url)


def test_a_primary_that_became_read_only_is_503_and_signs_nobody_out(grown: Grown, api: Api) -> None:
    phone = Phone(api).sign_up()
    with growth.as_superuser(grown.stack, grown.ports.postgres) as primary:
        primary.execute("ALTER SYSTEM SET default_transaction_read_only = on")
        primary.execute("SELECT pg_reload_conf()")
        try:
            assert eventually(lambda: _unless_200(phone)) == (503, "SRV_503")
            body = {**Phone(api).credentials, "name": None, "phone": None}
            assert api.post("/v1/auth/signup", body).error_code == "SRV_503"
        finally:
            primary.execute("SET default_transaction_read_only = off")
            primary.execute("ALTER SYSTEM RESET default_transaction_read_only")
            primary.execute("SELECT pg_reload_conf()")
    eventually(lambda: phone.refresh().status == 200)


def _unless_200(phone: Phone) -> tuple[int, str] | None:
    answer = phone.refresh()
    return None if answer.status == 200 else (answer.status, answer.error_code)


def test_a_promoted_standby_is_found_within_seconds_and_has_every_acknowledged_write(grown: Grown, api: Api) -> None:
    before = [Phone(api).sign_up() for _ in range(3)]
    acknowledged: list[Phone] = []
    failing: set[tuple[int, str]] = set()
    done = Event()

    def sign_up_again_and_again() -> None:
        while not done.is_set():
            phone = Phone(api)
            answer = api.post("/v1/auth/signup", {**phone.credentials, "name": "John Doe", "phone": None})
            if answer.status == 201:
                acknowledged.append(phone)
            else:
                failing.add((answer.status, answer.error_code))

    with ThreadPoolExecutor(2) as crowd:
        signing_up = [crowd.submit(sign_up_again_and_again) for _ in range(2)]
        try:
            eventually(lambda: len(acknowledged) > 10)
            grown.stack.processes["postgres"].kill()
            with growth.as_superuser(grown.stack, grown.standby_port) as standby:
                standby.execute("SELECT pg_promote()")
            known = len(acknowledged)
            eventually(lambda: before[0].refresh().status == 200, seconds=BACK_SECONDS)
            eventually(lambda: len(acknowledged) > known + 2, seconds=BACK_SECONDS)
        finally:
            done.set()
    for one in signing_up:
        one.result()

    assert failing <= {(503, "SRV_503")}
    assert [phone.email for phone in acknowledged if phone_cannot_sign_in(phone)] == []
    assert [phone.refresh().status for phone in before] == [200] * 3
    assert before[0].get("/v1/users/me").status == 200


def phone_cannot_sign_in(phone: Phone) -> bool:
    return phone.api.post("/v1/auth/login", phone.credentials).status != 200


def test_a_replica_that_becomes_master_without_the_newest_entries_learns_what_ended(grown: Grown, api: Api) -> None:
    phone, other = Phone(api).sign_up(), Phone(api).sign_up()
    assert phone.get("/v1/users/me").status == 200
    grown.replica.pause()
    try:
        assert phone.log_out().status == 200
        # Auth has told it, and its worker once more.
        eventually(lambda: _told(grown, grown.ports.valkey) >= 2)
        grown.stack.processes["valkey"].kill()
    finally:
        grown.replica.resume()
    client = connect(grown.redis_url, answer_seconds=1)
    eventually(lambda: _writes(client), seconds=BACK_SECONDS)

    assert phone.get("/v1/users/me").error_code == "AUTH_003"
    eventually(lambda: _told(grown, grown.replica_port), seconds=BACK_SECONDS)
    with gateway_process(grown.stack.environment("gateway"), grown.folder / "further.log") as further:
        assert further.get("/v1/users/me", token=phone.access_token).error_code == "AUTH_003"

    eventually(lambda: "revocations" not in _degraded(api), seconds=BACK_SECONDS)
    assert other.log_out().status == 200
    eventually(lambda: other.get("/v1/users/me").failed_with("AUTH_003"), seconds=1)


def _told(grown: Grown, port: int) -> int:
    with growth.valkey_at(grown.stack, port) as server:
        length: Any = server.xlen(REVOCATIONS)
        return int(length)


def _writes(client: Redis) -> bool:
    try:
        return bool(client.set("latchkey:test", "written"))
    except RedisError:
        return False


def _degraded(api: Api) -> list[str]:
    return list(api.get("/health/ready").data.get("degraded", []))
