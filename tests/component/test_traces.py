"""Traces: one through all rooms, by OpenTelemetry's conventions, with nothing private in it, and at nobody's cost."""

import re
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from shared.serving import GRACEFUL_SECONDS
from tests.support.collector import Collector, Told, collector
from tests.support.http import Api
from tests.support.phone import SECRETS, Phone
from tests.support.rooms import RoomProcess
from tests.support.waiting import eventually
from tools.process import ROOT
from tools.stack import Stack

SERVER, CLIENT = 2, 3
ROOMS = ("users", "auth", "gateway")
PARENT = "b7ad6b7169203331"
# As long as one batch waits for a collector.
COLLECTOR_SECONDS = 2.0


class TracedRooms:
    """Further rooms on the stack's databases, which send their spans to one place."""

    def __init__(self, stack: Stack, folder: Path, url: str, **settings: str) -> None:
        self.rooms: dict[str, RoomProcess] = {}
        for room in ROOMS:
            addresses = {f"{name.upper()}_URL": process.api.base_url for name, process in self.rooms.items()}
            environment = {**stack.environment(room), **addresses, "OTEL_EXPORTER_OTLP_ENDPOINT": url, **settings}
            self.rooms[room] = RoomProcess(room, environment, folder / f"{room}.log")
        self.api = self.rooms["gateway"].api

    def start(self) -> None:
        for room in self.rooms.values():
            room.start()
        for room in self.rooms.values():
            room.wait_ready()

    def end(self) -> None:
        for room in self.rooms.values():
            room.kill()


@pytest.fixture(scope="module")
def collected() -> Iterator[Collector]:
    with collector() as running:
        yield running


@pytest.fixture(scope="module")
def rooms(stack: Stack, collected: Collector, tmp_path_factory: pytest.TempPathFactory) -> Iterator[TracedRooms]:
    traced = TracedRooms(stack, tmp_path_factory.mktemp("traced"), collected.url, OTEL_BSP_SCHEDULE_DELAY="200")
    try:
        traced.start()
        yield traced
    finally:
        traced.end()


def sent(trace_id: str, flags: str = "00") -> dict[str, str]:
    """Headers of a phone that is traced itself."""
    return {"Traceparent": f"00-{trace_id}-{PARENT}-{flags}"}


def whole(collected: Collector, trace_id: str) -> list[Told]:
    """A trace of which every parent has come."""

    def has_come() -> list[Told]:
        spans = collected.trace(trace_id)
        known = {span.span_id for span in spans} | {PARENT}
        complete = any(span.parent == PARENT for span in spans) and all(span.parent in known for span in spans)
        return spans if complete else []

    return eventually(has_come)


def test_a_sign_up_is_one_trace_through_all_rooms(rooms: TracedRooms, collected: Collector) -> None:
    phone, trace_id = Phone(rooms.api), uuid.uuid4().hex
    form = {**phone.credentials, "name": "John Doe", "phone": "9876543210"}
    assert rooms.api.post("/v1/auth/signup", form, headers=sent(trace_id)).status == 201
    eventually(lambda: {span.service for span in collected.trace(trace_id)} == {f"latchkey-{room}" for room in ROOMS})
    spans = whole(collected, trace_id)

    def below(parent: str, kind: int, service: str) -> Told:
        """The one HTTP span of a room below another span."""
        [found] = [
            span
            for span in spans
            if (span.parent, span.kind, span.service) == (parent, kind, f"latchkey-{service}")
            and "http.request.method" in span.attributes
        ]
        return found

    door = below(PARENT, SERVER, "gateway")
    asking_auth = below(door.span_id, CLIENT, "gateway")
    auth = below(asking_auth.span_id, SERVER, "auth")
    asking_users = below(auth.span_id, CLIENT, "auth")
    users = below(asking_users.span_id, SERVER, "users")
    assert (door.name, auth.name) == ("POST /v1/auth/signup", "POST /v1/auth/signup")
    assert users.name == "PUT /internal/profiles/{account_id}"
    assert door.attributes["http.route"] == "/v1/auth/signup"
    assert door.attributes["http.response.status_code"] == asking_auth.attributes["http.response.status_code"] == 201
    assert asking_auth.attributes["server.address"] == "auth"
    assert asking_users.attributes["http.request.method"] == users.attributes["http.request.method"] == "PUT"
    stores = {(s.service, s.attributes["db.system.name"]) for s in spans if "db.system.name" in s.attributes}
    assert stores >= {("latchkey-auth", "postgresql"), ("latchkey-auth", "redis"), ("latchkey-users", "postgresql")}
    for span in spans:
        if span.attributes.get("db.system.name") == "postgresql":
            assert span.attributes["db.query.text"].startswith(span.name)
            assert span.kind == CLIENT


def test_the_log_names_the_trace_that_the_collector_has(rooms: TracedRooms, collected: Collector) -> None:
    request_id = uuid.uuid4().hex
    phone = Phone(rooms.api).sign_up()
    assert phone.get("/v1/users/me", **{"X-Request-Id": request_id}).status == 200
    logs = [rooms.rooms[room].log_path for room in ("gateway", "users")]
    lines = eventually(
        lambda: found if all(found := [re.search(rf".*{request_id}.*", log.read_text()) for log in logs]) else []
    )
    [trace_id] = {re.search(r'"trace_id":"(\w+)"', line.group()).group(1) for line in lines}  # type: ignore[union-attr]
    spans = eventually(lambda: [span for span in collected.trace(trace_id) if span.kind == SERVER and not span.parent])
    assert [span.attributes["latchkey.request_id"] for span in spans] == [request_id]


@pytest.mark.parametrize(
    ("request_line", "status", "name"),
    [
        ("GET /v1/users/987654321?email=SESAME", 404, "GET /v1/users/{user_id}"),
        ("DELETE /v1/users/me", 405, "DELETE unknown"),
        ("GET /SESAME?token=SESAME", 404, "GET unknown"),
        ("GET /v1/errors?token=SESAME", 200, "GET /v1/errors"),
        ("SESAME /v1/users/me", 405, "_OTHER unknown"),
    ],
)
def test_a_refusal_has_its_span_and_nothing_that_a_stranger_typed_is_in_it(
    rooms: TracedRooms, collected: Collector, request_line: str, status: int, name: str
) -> None:
    phone, trace_id = Phone(rooms.api).sign_up(), uuid.uuid4().hex
    assert phone.send(*request_line.split(), **sent(trace_id)).status == status
    [door] = [span for span in whole(collected, trace_id) if span.parent == PARENT]
    assert (door.name, door.attributes["http.response.status_code"], door.failed) == (name, status, False)
    assert b"SESAME" not in collected.received


def test_no_secret_and_no_person_is_in_a_span(rooms: TracedRooms, collected: Collector) -> None:
    phone = Phone(rooms.api).sign_up(name="Jane Doe-Traced", phone="9123456780").sign_in()
    phone.refresh()
    trace_id = uuid.uuid4().hex
    assert phone.send("PATCH", "/v1/users/me", {"name": "Ann Doe-Traced"}, **sent(trace_id)).status == 200
    whole(collected, trace_id)
    private = [*SECRETS, phone.email, "Doe-Traced", "9123456780", "127.0.0.1:0"]
    assert len(private) > 6
    assert [text for text in private if text.encode() in collected.received] == []


def test_the_world_has_no_say_in_which_requests_are_traced(rooms: TracedRooms, collected: Collector) -> None:
    phone, trace_id = Phone(rooms.api).sign_up(), uuid.uuid4().hex
    assert phone.get("/v1/users/me", **sent(trace_id, flags="00")).status == 200
    eventually(lambda: {span.service for span in collected.trace(trace_id)} >= {"latchkey-gateway", "latchkey-users"})


def test_asking_for_health_leaves_no_span(rooms: TracedRooms, collected: Collector) -> None:
    assert rooms.api.get("/health/ready").status == 200
    marker = uuid.uuid4().hex
    assert rooms.api.get("/v1/errors", headers=sent(marker)).status == 200
    whole(collected, marker)
    assert {span.name for span in collected.spans if "health" in span.name} == set()


def test_a_service_that_fails_is_a_failed_span_with_its_code(
    stack: Stack, collected: Collector, tmp_path: Path
) -> None:
    environment = {**stack.environment("gateway"), "USERS_URL": "http://127.0.0.1:9"}
    gateway = RoomProcess("gateway", {**environment, "OTEL_EXPORTER_OTLP_ENDPOINT": collected.url}, tmp_path / "log")
    gateway.start()
    try:
        eventually(lambda: gateway.readiness() in (200, 503), seconds=30)
        phone, trace_id = Phone(Api(stack.gateway_url)).sign_up(), uuid.uuid4().hex
        answer = gateway.api.get("/v1/users/me", token=phone.access_token, headers=sent(trace_id))
        assert answer.error_code == "GW_503"
    finally:
        # What is left is sent at the end.
        gateway.api.hang_up()
        gateway.stop()
        assert gateway.wait(20) == 0
    [door] = [span for span in whole(collected, trace_id) if span.parent == PARENT]
    assert (door.failed, door.attributes["error.type"]) == (True, "GW_503")


@pytest.mark.parametrize("room", ["gateway", "users"])
def test_a_collector_that_hangs_costs_requests_nothing_and_no_end_its_time(
    stack: Stack, tmp_path: Path, room: str
) -> None:
    with collector() as hanging:
        hanging.answers.clear()
        # All that waits would take the collector's two seconds a batch, a minute in all.
        small = {"OTEL_BSP_SCHEDULE_DELAY": "50", "OTEL_BSP_MAX_EXPORT_BATCH_SIZE": "4", "DRAIN_SECONDS": "0"}
        environment = {**stack.environment(room), "OTEL_EXPORTER_OTLP_ENDPOINT": hanging.url, **small}
        process = RoomProcess(room, environment, tmp_path / "log")
        process.start()
        try:
            process.wait_ready()
            for _ in range(120):
                since = time.monotonic()
                assert process.api.get("/v1/nowhere").status == 404
                assert time.monotonic() - since < COLLECTOR_SECONDS
            process.api.hang_up()
            since = time.monotonic()
            process.stop()
            assert process.wait(60) == 0
            assert time.monotonic() - since < GRACEFUL_SECONDS / 2
        finally:
            process.kill()


def test_without_an_address_nothing_of_opentelemetry_is_loaded(stack: Stack) -> None:
    # redis-py itself loads the part for metrics where it is installed.
    program = (
        "WANTED = ('shared.spans', 'opentelemetry.sdk.trace', 'opentelemetry.exporter', 'opentelemetry.proto')\n"
        "import sys, gateway.app\n"
        "gateway.app.create_app()\n"
        "print([name for name in sys.modules if name.startswith(WANTED)])"
    )
    command = [sys.executable, "-c", program]
    finished = subprocess.run(
        command, cwd=ROOT, env=stack.environment("gateway"), capture_output=True, text=True, check=True, timeout=60
    )
    assert finished.stdout.splitlines()[-1] == "[]"
