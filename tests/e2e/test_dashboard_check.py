"""`make dashboard-check`: every query of the dashboards and alerts fits the figures that really exist.

A stack of its own gets traffic in which everything goes wrong once, and a real Prometheus reads its figures.
"""

import json
from collections.abc import Iterator
from contextlib import suppress

import pytest
import yaml

from tests.support.http import Api
from tests.support.phone import Phone
from tests.support.prometheus import Prometheus, needs_prometheus, prometheus_over
from tests.support.queries import Query
from tests.support.waiting import eventually
from tools.dashboards import sources, written_to
from tools.prometheus import ALERTS, targets_of
from tools.stack import Ports, Stack

pytestmark = needs_prometheus

# A few requests are enough to be refused, a spent token is stolen at once.
_SETTINGS = {
    "gateway": {"PERSON_BURST": "30", "PERSON_REQUESTS_PER_SECOND": "1", "ENVELOPE_CHECK_EVERY": "1"},
    "auth": {"REFRESH_GRACE": "0"},
    "worker": {"REFRESH_GRACE": "0"},
}


@pytest.fixture(scope="module")
def prometheus(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Prometheus]:
    folder = tmp_path_factory.mktemp("prometheus")
    with Stack(folder / "data", Ports.free(), settings=_SETTINGS) as stack:
        stack.start()
        with prometheus_over(targets_of(stack.ports), folder) as running:
            make_everything_happen(stack, running)
            yield running


def make_everything_happen(stack: Stack, prometheus: Prometheus) -> None:
    api = Api(stack.gateway_url)
    phone = Phone(api).sign_up().sign_in()
    assert api.post("/v1/auth/login", {**phone.credentials, "password": "not the password"}).error_code == "AUTH_001"
    spent = phone.refresh_token
    assert phone.refresh().status == phone.refresh(spent).status == 200
    # There are three newer ones then, so the spent token is nobody's lost reply any more.
    assert phone.refresh().status == phone.refresh().status == 200
    assert api.post("/v1/auth/refresh", {"refresh_token": spent}).error_code == "AUTH_006"
    phone.sign_in()
    eventually(lambda: phone.get("/v1/users/me").status == 429)
    stack.processes["users"].stop()
    try:
        assert Phone(api).sign_up().get("/v1/users/me").error_code == "GW_503"
        # The alert waits to fire.
        eventually(lambda: prometheus.series("ALERTS"))
    finally:
        stack.processes["users"].start()
        stack.processes["users"].wait_ready()


def queries_of_dashboards() -> list[Query]:
    return [
        Query(f"{source.stem} / {panel['title']}", target["expr"], target["legendFormat"])
        for source in sources()
        for panel in json.loads(written_to(source).read_text())["panels"]
        for target in panel["targets"]
    ]


def queries_of_alerts() -> list[Query]:
    groups = yaml.safe_load(ALERTS.read_text())["groups"]
    return [Query(f"alerts / {rule['alert']}", rule["expr"]) for group in groups for rule in group["rules"]]


def problems(prometheus: Prometheus, queries: list[Query]) -> list[str]:
    return [problem for query in queries for problem in query.problems(prometheus)]


@pytest.mark.parametrize("queries", [queries_of_dashboards(), queries_of_alerts()], ids=["dashboards", "alerts"])
def test_every_query_finds_what_it_names(prometheus: Prometheus, queries: list[Query]) -> None:
    assert len(queries) > 15
    # What goes up and down is looked at every five seconds.
    with suppress(AssertionError):
        eventually(lambda: not problems(prometheus, queries), seconds=30)
    assert problems(prometheus, queries) == []


@pytest.mark.parametrize(
    ("query", "legend", "why"),
    [
        ("sum(rate(latchkey_http_requests_total[1m])", "", "Prometheus does not understand it"),
        ("latchkey_http_request_total", "", "there is no metric latchkey_http_request_total"),
        ('sum(up{room="gateway"})', "", "up has no label room"),
        ("sum by (room) (up)", "", "up has no label room"),
        ('sum(up{job="gatway"})', "", 'no up is {job="gatway"}'),
        ("sum by (job) (up)", "{{instance}}", "what it shows has no label instance"),
        ("sum(up > 5)", "", "it shows nothing"),
    ],
)
def test_a_wrong_query_is_named_with_its_place_and_why(
    prometheus: Prometheus, query: str, legend: str, why: str
) -> None:
    eventually(lambda: prometheus.series("up"))
    found = Query("glance / Requests", query, legend).problems(prometheus)
    assert any(problem.startswith(f"glance / Requests: {why}") and problem.endswith(query) for problem in found), found
