"""Figures: where they are read, what they add up to, and that nobody outside gets to see them."""

import http.client
import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.support.figures import Scraper, workers_below
from tests.support.http import Api
from tests.support.phone import Phone
from tests.support.raw import talk
from tests.support.services import free_port, gateway_process
from tests.support.waiting import eventually
from tools.services import metrics_port
from tools.stack import Stack

REQUESTS = "latchkey_http_requests_total"


@pytest.fixture
def room(stack: Stack, request: pytest.FixtureRequest) -> tuple[str, Scraper]:
    """The address of a room's own door (gateway under gevent, users under threads), and its figures."""
    name: str = request.param
    return f"127.0.0.1:{getattr(stack.ports, name)}", scraper_of(stack, name)


def scraper_of(stack: Stack, name: str) -> Scraper:
    return Scraper(f"127.0.0.1:{metrics_port(name, stack.ports)}")


@contextmanager
def two_workers(stack: Stack, log_path: Path, temp: Path) -> Iterator[tuple[Api, Scraper]]:
    address = f"127.0.0.1:{free_port()}"
    settings = {"METRICS_BIND": address, "WEB_CONCURRENCY": "2", "TMPDIR": str(temp)}
    with gateway_process(stack.environment("gateway"), log_path, **settings) as api:
        yield api, Scraper(address)


@pytest.fixture
def temp(tmp_path: Path) -> Path:
    """An empty folder for what a server keeps while it runs."""
    folder = tmp_path / "temp"
    folder.mkdir()
    return folder


def slots_of(temp: Path, files: str) -> set[str]:
    """The workers that have such files."""
    return {file.stem.rpartition("_")[2] for file in temp.glob(f"latchkey-metrics-*/{files}_*.db")}


def kill_and_wait_for_others(port: int) -> None:
    victims = workers_below(port)
    for victim in victims:
        victim.kill()
    eventually(lambda: len(set(workers_below(port)) - set(victims)) == len(victims) == 2)


def get(address: str, path: str, host: str = "x") -> tuple[int, bytes]:
    connection = http.client.HTTPConnection(address, timeout=10)
    try:
        connection.request("GET", path, headers={"Host": host})
        answer = connection.getresponse()
        return answer.status, answer.read()
    finally:
        connection.close()


@pytest.mark.parametrize("room", ["gateway", "users", "auth"], indirect=True)
def test_a_request_is_counted_by_the_template_of_its_route(room: tuple[str, Scraper]) -> None:
    address, figures = room
    before = figures.sum_of(REQUESTS, route="/health/live", method="GET", status="200", error_code="")
    for _ in range(3):
        assert get(address, "/health/live")[0] == 200
    after = figures.sum_of(REQUESTS, route="/health/live", method="GET", status="200", error_code="")
    assert after == before + 3
    duration = figures.sum_of("latchkey_http_request_duration_seconds_count", route="/health/live", method="GET")
    assert duration == after


def test_a_parameter_stays_out_of_the_figures(stack: Stack, users: Api, phone: Phone) -> None:
    figures = scraper_of(stack, "users")
    labels = {"route": "/v1/users/{user_id}", "status": "404", "error_code": "USER_404"}
    before = figures.sum_of(REQUESTS, **labels)
    assert users.get("/v1/users/987654", token=phone.access_token).status == 404
    assert figures.sum_of(REQUESTS, **labels) == before + 1


@pytest.mark.parametrize("room", ["gateway", "users", "auth"], indirect=True)
def test_strangers_can_not_make_new_labels(room: tuple[str, Scraper]) -> None:
    address, figures = room
    before = figures.sum_of(REQUESTS, route="unknown")
    assert get(address, "/stranger-1")[0] == 404
    assert get(address, "/stranger-2")[0] == 404
    assert figures.sum_of(REQUESTS, route="unknown") == before + 2
    connection = http.client.HTTPConnection(address, timeout=10)
    connection.request("BREW", "/health/live")
    assert connection.getresponse().status in (404, 405)
    connection.close()
    values = {value for sample in figures.samples() for value in sample.labels.values()}
    assert "other" in values
    assert not any("stranger" in value or "BREW" in value for value in values)


@pytest.mark.parametrize("room", ["gateway", "users", "auth"], indirect=True)
def test_a_request_that_can_not_be_read_is_counted_too(room: tuple[str, Scraper]) -> None:
    address, figures = room
    before = figures.sum_of(REQUESTS, route="broken", status="400", error_code="REQ_400")
    talk(Api(f"http://{address}"), b"what is this\r\n\r\n")
    assert figures.sum_of(REQUESTS, route="broken", status="400", error_code="REQ_400") == before + 1


@pytest.mark.parametrize("room", ["gateway", "users", "auth"], indirect=True)
def test_nobody_reads_figures_at_the_door_for_everybody(stack: Stack, room: tuple[str, Scraper]) -> None:
    address, _ = room
    metrics_ports = [metrics_port(name, stack.ports) for name in ("gateway", "users", "auth")]
    # Whatever port the caller names: the one that counts is the one that the connection was made to.
    for host in ("x", *(f"127.0.0.1:{port}" for port in metrics_ports)):
        status, body = get(address, "/metrics", host)
        assert status == 404
        assert b"latchkey_http" not in body


@pytest.mark.parametrize("name", ["gateway", "users", "auth"])
def test_there_is_nothing_but_figures_and_health_at_their_port(stack: Stack, name: str) -> None:
    address = f"127.0.0.1:{metrics_port(name, stack.ports)}"
    for path in ("/", "/v1/errors", "/v1/users/me", "/.well-known/jwks.json", "/metrics/", "/docs"):
        # A Host that names the apps' port does not open the apps' door either.
        status, body = get(address, path, host=f"127.0.0.1:{getattr(stack.ports, name)}")
        assert (status, b"REQ_404" in body) == (404, True)
    assert get(address, "/health/live")[0] == 200
    assert get(address, "/metrics")[0] == 200


def test_the_worker_of_auth_shows_figures_too(stack: Stack) -> None:
    assert get(f"127.0.0.1:{metrics_port('worker', stack.ports)}", "/metrics")[0] == 200


@pytest.mark.parametrize("name", ["gateway", "users", "auth"])
def test_each_check_of_readiness_is_a_figure(stack: Stack, name: str) -> None:
    checks = {
        "gateway": {"keys", "revocations"},
        "users": {"database", "keys"},
        "auth": {"database", "signing key"},
    }
    figures = scraper_of(stack, name)

    def passing() -> set[str]:
        return {s.labels["check"] for s in figures.samples() if s.name == "latchkey_ready" and s.value == 1}

    eventually(lambda: checks[name] <= passing())


def test_any_worker_tells_the_sum_of_all_and_a_dead_one_is_not_forgotten(
    stack: Stack, log_path: Path, temp: Path
) -> None:
    with two_workers(stack, log_path, temp) as (api, figures):
        port = int(api.base_url.rpartition(":")[2])
        before = figures.sum_of(REQUESTS, route="/v1/errors")
        for _ in range(40):
            # A new connection each time, which any worker may take.
            assert get(f"127.0.0.1:{port}", "/v1/errors")[0] == 200
        # Every scrape may meet another worker.
        assert {figures.sum_of(REQUESTS, route="/v1/errors") for _ in range(10)} == {before + 40}
        for _ in range(3):
            kill_and_wait_for_others(port)
            eventually(lambda: get(f"127.0.0.1:{port}", "/health/live")[0] == 200)
        assert figures.sum_of(REQUESTS, route="/v1/errors") == before + 40
        # Whoever takes a dead worker's place takes its files, so that their number does not grow.
        assert slots_of(temp, "*") == {"0", "1"}
    assert list(temp.iterdir()) == []


def test_what_a_worker_counted_stays_and_what_it_said_of_itself_goes_with_it(
    stack: Stack, log_path: Path, temp: Path
) -> None:
    with two_workers(stack, log_path, temp) as (api, figures):
        port = int(api.base_url.rpartition(":")[2])
        for _ in range(40):
            assert get(f"127.0.0.1:{port}", "/v1/errors")[0] == 200
        eventually(lambda: slots_of(temp, "gauge_livemin") == slots_of(temp, "counter") == {"0", "1"})
        api.hang_up()
        [master] = {worker.ppid() for worker in workers_below(port)}
        os.kill(master, signal.SIGTTOU)
        eventually(lambda: len(slots_of(temp, "gauge_live*")) == 1)
        assert slots_of(temp, "counter") == {"0", "1"}
        assert figures.sum_of(REQUESTS, route="/v1/errors") == 40
