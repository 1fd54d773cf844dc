"""The front door, for real: TLS and HTTP/2 before two gateways, and every answer of it is the envelope."""

import ssl
import subprocess
from contextlib import nullcontext, suppress
from pathlib import Path

import pytest
import yaml

from shared.catalogue import CATALOGUE
from tests.support.compose import ComposeProject, docker
from tests.support.edge import FILES, EdgeProject, Http2Api
from tests.support.http import Answer, Api
from tests.support.phone import Phone
from tests.support.raw import first_answer, read, read_all, talk
from tests.support.raw_requests import LIVE, LOGIN, PROBE, RAW_REQUESTS, RawRequest
from tests.support.waiting import eventually
from tools import ports
from tools.process import ROOT

pytestmark = pytest.mark.compose

EDGE_BUFFER = 16_384
# HAProxy closes the connection without a word, and no gateway sees it.
UNANSWERED = {"length: twice, different"}
APIS = (Api, Http2Api)


@pytest.fixture
def api(edge: EdgeProject) -> Api:
    return Api(edge.url)


@pytest.mark.parametrize("speak", APIS)
def test_a_phone_signs_up_refreshes_and_changes_its_profile(edge: EdgeProject, speak: type[Api]) -> None:
    phone = Phone(speak(edge.url)).sign_up(name="John Doe").sign_in()
    assert phone.refresh().message == "Token refreshed successfully"
    eventually(lambda: phone.get("/v1/users/me").status == 200)
    assert phone.send("PATCH", "/v1/users/me", {"name": "Jane Doe"}).data["name"] == "Jane Doe"
    assert phone.log_out().status == 200
    assert phone.refresh().error_code == "AUTH_003"


@pytest.mark.parametrize("speak", APIS)
def test_a_request_keeps_its_id_and_whoever_has_none_gets_one(edge: EdgeProject, speak: type[Api]) -> None:
    api = speak(edge.url)
    own = api.get("/health/live", headers={"X-Request-Id": "a-phones-own-id"})
    assert own.headers["X-Request-Id"] == "a-phones-own-id"
    ids = {api.get("/health/live", headers={"X-Request-Id": "bad id"}).headers["X-Request-Id"] for _ in range(2)}
    assert len(ids) == 2
    assert "bad id" not in ids


def test_browsers_are_told_to_come_by_https_only(api: Api) -> None:
    assert api.get("/health/live").headers["Strict-Transport-Security"] == "max-age=31536000"


@pytest.mark.parametrize(("version", "code"), [("1.1", 35), ("1.2", 0), ("1.3", 0)])
def test_tls_is_12_or_later(edge: EdgeProject, version: str, code: int) -> None:
    # Weak ciphers are allowed, so that it is not curl that refuses; 35 is a handshake that came to nothing.
    command = ["curl", "--silent", "--cacert", str(edge.certificate), "--ciphers", "DEFAULT:@SECLEVEL=0"]
    command += ["--tlsv1.0", "--tls-max", version, f"{edge.url}/health/live"]
    assert subprocess.run(command, capture_output=True, check=False, timeout=20).returncode == code


def test_http_without_tls_is_refused_and_led_nowhere(edge: EdgeProject) -> None:
    api = Api(f"http://{ports.HOST}:{edge.http_port}")
    for answer in (api.get("/docs"), api.post("/v1/auth/login", {})):
        assert (answer.error_code, answer.headers.get("Location")) == ("REQ_400", None)


def test_only_the_edge_has_a_port_and_nobody_comes_around_it(edge: EdgeProject) -> None:
    published = {
        container["Config"]["Labels"]["com.docker.compose.service"]
        for container in edge.containers()
        if any(container["NetworkSettings"]["Ports"].values())
    }
    assert published == {"edge"}
    [container] = edge.containers("edge")
    own = ("outside", "front", "figures")
    assert set(container["NetworkSettings"]["Networks"]) == {f"{edge.name}_{name}" for name in own}
    on_front = {network for one in edge.containers("auth", "users", "postgres", "valkey")
                for network in one["NetworkSettings"]["Networks"]}  # fmt: skip
    assert on_front == {f"{edge.name}_inside"}


def test_the_edge_is_nobody_special_and_cannot_change_its_own_files(edge: EdgeProject) -> None:
    [container] = edge.containers("edge")
    host = container["HostConfig"]
    assert host["ReadonlyRootfs"]
    assert (host["CapDrop"], host["SecurityOpt"]) == (["ALL"], ["no-new-privileges:true"])
    assert host["Memory"] > 0
    assert edge.inside("edge", "id", "-u").strip() == "10001"


def test_every_container_has_limits_and_so_has_its_log(edge: EdgeProject) -> None:
    services = edge.config("--profile", "observability")["services"]
    assert {"edge", "check-edge", "gateway", "postgres", "valkey", "prometheus", "grafana"} <= set(services)
    for name, service in services.items():
        assert {"memory", "pids"} <= set(service["deploy"]["resources"]["limits"]), name
        assert service["logging"]["options"] == {"max-size": "50m", "max-file": "5"}, name


def test_prometheus_can_ask_the_edge_for_its_figures_and_does(edge: EdgeProject) -> None:
    told = edge.config("--profile", "observability")["services"]["prometheus"]
    assert set(told["networks"]) == {"inside", "desk", "figures"}
    [container] = edge.containers("gateway")[:1]
    assert f"{edge.name}_figures" not in container["NetworkSettings"]["Networks"]
    [group] = yaml.safe_load((ROOT / "deploy/edge/targets.yml").read_text())
    [target] = group["targets"]
    ask = "import sys, urllib.request as r; print(r.urlopen(sys.argv[1], timeout=10).read().decode())"
    somebody = ("run", "--rm", "--network", f"{edge.name}_figures", "python:3.13-slim", "python3", "-c", ask)
    assert "haproxy_process_nbthread" in docker(*somebody, f"http://{target}/metrics")


def test_the_profile_without_the_second_file_fails_and_says_why(env_file: Path) -> None:
    project = ComposeProject(env_file)
    try:
        refused = project.try_to("--profile", "edge", "up", "--detach", "--no-build", "--pull", "never", "edge")
        assert refused.returncode != 0
        assert 'service "check-edge" didn\'t complete successfully' in refused.stderr
        assert f"The edge needs COMPOSE_FILE={FILES}" in project.do("--profile", "edge", "logs", "check-edge")
    finally:
        project.do("--profile", "edge", "down", "--volumes")


def test_a_certificate_that_is_none_is_named_before_anything_starts(env_file: Path, tmp_path: Path) -> None:
    (tmp_path / "mine.pem").write_text("no certificate")
    tmp_path.chmod(0o755)
    project = EdgeProject(env_file, tmp_path)
    try:
        refused = project.try_to("run", "--rm", "check-edge")
        assert refused.returncode == 1
        assert "/certificates/mine.pem" in refused.stdout + refused.stderr
    finally:
        project.down()


def test_an_address_that_somebody_makes_up_changes_nothing(edge: EdgeProject, api: Api) -> None:
    edge.change(REQUESTS_PER_SECOND="1", BURST="30")
    edge.up("--no-deps", "--scale", "gateway=2", "gateway")
    try:
        assert edge.forged("/v1/errors", 60).count(429) > 20
        # Who forged is one network, and we are another one.
        assert [api.get("/v1/errors").status for _ in range(5)] == [200] * 5
    finally:
        edge.change(REQUESTS_PER_SECOND="1000000", BURST="1000000")
        edge.up("--no-deps", "--scale", "gateway=2", "gateway")


# Who begins HTTP/2 without asking first is answered in HTTP/2, and TLS knows no half of a connection that is closed.
@pytest.mark.parametrize(
    "raw",
    [raw for raw in RAW_REQUESTS if "HTTP/2's preface" not in raw.name and not raw.cut_off],
    ids=lambda raw: raw.name,
)
def test_whatever_arrives_every_answer_is_the_envelope(api: Api, raw: RawRequest) -> None:
    received = b""
    # Who goes on sending after a refusal may lose the connection before the answer is there.
    with suppress(ConnectionError, ssl.SSLEOFError) if len(raw.sent) > EDGE_BUFFER else nullcontext():
        received = talk(api, raw.sent + PROBE)
    assert received or len(raw.sent) > EDGE_BUFFER or raw.name in UNANSWERED
    # Nobody answers twice, and no byte belongs to no answer.
    for method, answer in zip((*raw.methods, "GET"), read_all(received, *raw.methods, "GET"), strict=False):
        _expect_envelope(method, answer)


def _expect_envelope(method: str, answer: Answer) -> None:
    if method != "HEAD":
        answer.check_envelope()
    if answer.status >= 400 and method != "HEAD":
        assert CATALOGUE[answer.error_code].status == answer.status


@pytest.mark.parametrize(
    ("sent", "code"),
    [
        (b"no HTTP at all\r\n\r\n", "REQ_400"),
        (LIVE + b"no colon\r\n\r\n", "REQ_400"),
        (LIVE + b"X-A: " + b"a" * 20_000 + b"\r\n\r\n", "REQ_431"),
        (LOGIN + b"Content-Length: 70000\r\n\r\n", "REQ_413"),
        (LOGIN + b"Content-Length: 1, 2\r\n\r\n", "REQ_400"),
    ],
)
def test_what_the_edge_cannot_read_is_refused_in_the_envelope(api: Api, sent: bytes, code: str) -> None:
    assert first_answer(api, sent).error_code == code


@pytest.mark.parametrize("speak", APIS)
def test_without_a_gateway_the_answer_is_the_envelope_and_says_when_to_come_back(
    edge: EdgeProject, speak: type[Api]
) -> None:
    api = speak(edge.url)
    edge.do("stop", "gateway")
    try:
        for answer in (api.get("/v1/errors"), api.post("/v1/auth/login", {})):
            assert (answer.status, answer.error_code, answer.headers["Retry-After"]) == (503, "GW_503", "1")
            assert answer.headers["X-Request-Id"]
    finally:
        edge.do("start", "gateway")
    eventually(lambda: api.get("/v1/errors").status == 200, seconds=60)


def test_a_new_certificate_is_taken_without_a_new_container(edge: EdgeProject) -> None:
    old = edge.certificate.read_text()
    kept = Api(edge.url)
    assert kept.get("/v1/errors").status == 200
    script = ["deploy/edge/self-signed", "localhost", ports.HOST]
    edge.certificate.rename(edge.certificates.parent / "old.pem")
    subprocess.run(script, env={"PATH": "/usr/bin:/bin", "EDGE_CERTIFICATES": str(edge.certificates)}, check=True)
    edge.do("kill", "--signal", "USR2", "edge")
    eventually(lambda: ssl.get_server_certificate((ports.HOST, edge.https_port)) not in old)
    # Whoever comes in the moment before it has seen the gateways is told to come back.
    for api in (kept, Api(edge.url)):
        eventually(lambda: api.get("/v1/errors").status == 200, seconds=5)  # noqa: B023 - it is called at once


def test_the_edge_says_what_went_wrong_in_json(edge: EdgeProject, api: Api) -> None:
    read(talk(api, b"nonsense\r\n\r\n"))
    [container] = edge.containers("edge")
    eventually(lambda: '"event": "connection_failed"' in docker("logs", "--since", "10s", container["Id"]))
    assert "haproxy_process_nbthread" in edge.inside("edge", "wget", "-q", "-O", "-", "http://127.0.0.1:9100/metrics")
