"""What the gateway's own figures say when something behind it goes wrong."""

import threading
from pathlib import Path

import pytest

from tests.support.figures import Scraper
from tests.support.http import Api
from tests.support.phone import Phone
from tests.support.services import BrokenService, free_port, gateway_process, raw_reply
from tests.support.waiting import eventually
from tools.services import metrics_port
from tools.stack import Stack


@pytest.fixture
def figures(stack: Stack) -> Scraper:
    return Scraper(f"127.0.0.1:{metrics_port('gateway', stack.ports)}")


def test_a_services_time_is_told_apart_from_the_gateways(figures: Scraper, phone: Phone) -> None:
    name = "latchkey_upstream_duration_seconds"
    before = figures.sum_of(f"{name}_count", service="users")
    assert phone.get("/v1/users/me").status == 200
    assert phone.get("/v1/errors").status == 200
    assert figures.sum_of(f"{name}_count", service="users") == before + 1
    own = figures.sum_of("latchkey_http_request_duration_seconds_sum", route="/v1/users/me")
    assert 0 < figures.sum_of(f"{name}_sum", service="users") < own


def test_the_time_of_a_service_that_never_answered_is_told_too(stack: Stack, log_path: Path, phone: Phone) -> None:
    name, address, hanging = "latchkey_upstream_duration_seconds", f"127.0.0.1:{free_port()}", BrokenService()
    hanging.reply = None
    environment = {**stack.environment("gateway"), "USERS_URL": hanging.url}
    with gateway_process(environment, log_path, METRICS_BIND=address, DEADLINE_SECONDS="1") as api:
        assert api.get("/v1/users/me", token=phone.access_token).error_code == "GW_504"
        figures = Scraper(address)
        assert figures.sum_of(f"{name}_count", service="users") == 1
        assert figures.sum_of(f"{name}_sum", service="users") > 0.9
    hanging.close()


def test_a_connection_that_waits_for_the_next_request_is_a_figure(figures: Scraper, phone: Phone) -> None:
    def waits() -> bool:
        # Again and again, because one that nobody uses is closed.
        assert phone.get("/v1/users/me").status == 200
        return (figures.value_of("latchkey_upstream_idle_connections", service="users") or 0) >= 1

    eventually(waits)


def test_a_failure_is_counted_for_who_failed(stack: Stack, figures: Scraper, phone: Phone) -> None:
    name = "latchkey_failures_total"
    before, own = figures.sum_of(name, failed="users", error_code="GW_503"), figures.sum_of(name, failed="gateway")
    assert phone.get("/v1/users/me").status == 200
    stack.processes["users"].stop()
    try:
        assert phone.get("/v1/users/me").error_code == "GW_503"
    finally:
        stack.processes["users"].start()
        stack.processes["users"].wait_ready(30)
    assert figures.sum_of(name, failed="users", error_code="GW_503") == before + 1
    assert figures.sum_of(name, failed="gateway") == own


def test_replicas_and_what_is_under_way_at_them_are_figures(stack: Stack, log_path: Path, phone: Phone) -> None:
    address, hanging = f"127.0.0.1:{free_port()}", BrokenService()
    environment = {**stack.environment("gateway"), "USERS_URL": hanging.url}
    hanging.reply = raw_reply("200 OK", b"{}")
    with gateway_process(environment, log_path, METRICS_BIND=address, DEADLINE_SECONDS="20") as api:
        figures = Scraper(address)
        eventually(lambda: figures.value_of("latchkey_upstream_replicas_ready", service="users") == 1)
        assert figures.value_of("latchkey_upstream_replicas", service="users") == 1
        hanging.reply = None
        waiting = threading.Thread(target=api.get, args=("/v1/users/me",), kwargs={"token": phone.access_token})
        waiting.start()
        eventually(lambda: figures.value_of("latchkey_upstream_under_way", service="users") == 1)
        # It breaks the connection, and then nobody is there: the request is sent once more, in vain.
        hanging.close()
        waiting.join()
        eventually(lambda: figures.value_of("latchkey_upstream_ejections_total", service="users"))
        assert figures.value_of("latchkey_upstream_retries_total", service="users") == 1
        eventually(lambda: figures.value_of("latchkey_upstream_replicas_ready", service="users") == 0)
        eventually(lambda: figures.value_of("latchkey_upstream_under_way", service="users") == 0)


def test_a_refusal_is_counted_for_its_limit(stack: Stack, log_path: Path) -> None:
    address = f"127.0.0.1:{free_port()}"
    limits = {"REQUESTS_PER_SECOND": "1", "BURST": "2"}
    with gateway_process(stack.environment("gateway"), log_path, METRICS_BIND=address, **limits) as api:
        refused = sum(api.get("/v1/errors").status == 429 for _ in range(6))
        assert refused > 0
        counted = Scraper(address).sum_of("latchkey_rate_limit_refusals_total", limit="network")
        assert counted >= refused


def test_a_gateway_that_does_not_hear_of_ended_sessions_says_so(stack: Stack, figures: Scraper, phone: Phone) -> None:
    readiness = Api(stack.gateway_url)
    followed, age = "latchkey_revocations_followed", "latchkey_revocations_read_age_seconds"
    eventually(lambda: figures.value_of(followed) == 1)
    assert readiness.get("/health/ready").data == {}
    other = Phone(phone.api, email=phone.email).sign_in()
    other.refresh()
    stack.processes["valkey"].pause()
    try:
        eventually(lambda: readiness.get("/health/ready").data == {"degraded": ["revocations"]})
        eventually(lambda: figures.value_of(followed) == 0)
        eventually(lambda: (figures.value_of(age) or 0) > 7)
        # Whoever is signed in goes on; that the token was seen is told later.
        assert other.get("/v1/users/me").status == 200
        eventually(lambda: (figures.value_of("latchkey_confirmations_waiting") or 0) >= 1)
    finally:
        stack.processes["valkey"].resume()
    eventually(lambda: readiness.get("/health/ready").data == {})
    eventually(lambda: figures.value_of(followed) == 1)
    eventually(lambda: figures.value_of("latchkey_confirmations_waiting") == 0)


def test_an_ended_session_is_among_those_remembered(figures: Scraper, phone: Phone) -> None:
    before = figures.value_of("latchkey_revoked_sessions") or 0
    assert phone.log_out().status == 200
    eventually(lambda: (figures.value_of("latchkey_revoked_sessions") or 0) > before)


def test_an_ended_session_is_forgotten_when_its_tokens_have_expired(stack: Stack, log_path: Path, phone: Phone) -> None:
    address = f"127.0.0.1:{free_port()}"
    short = {"METRICS_BIND": address, "ACCESS_TOKEN_LIFETIME": "8", "CLOCK_MARGIN": "2"}
    with gateway_process(stack.environment("gateway"), log_path, **short):
        figures = Scraper(address)
        assert phone.log_out().status == 200
        eventually(lambda: (figures.value_of("latchkey_revoked_sessions") or 0) >= 1)
        eventually(lambda: figures.value_of("latchkey_revoked_sessions") == 0, seconds=30)


def test_keys_grow_old_while_auth_is_away(stack: Stack, log_path: Path) -> None:
    address = f"127.0.0.1:{free_port()}"
    environment = {**stack.environment("gateway"), "KEYS_SECONDS": "1"}
    quick = "tests.support.quick_keys_gateway:create_app()"
    with gateway_process(environment, log_path, wsgi_app=quick, METRICS_BIND=address):
        figures = Scraper(address)
        eventually(lambda: (figures.value_of("latchkey_keys_age_seconds") or 0) < 3)
        stack.processes["auth"].stop()
        try:
            eventually(lambda: (figures.value_of("latchkey_keys_age_seconds") or 0) > 5)
        finally:
            stack.processes["auth"].start()
            stack.processes["auth"].wait_ready(30)
