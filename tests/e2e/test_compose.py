"""docker-compose.yml, for real: what its images hold, what they may do, and that a phone is served by them."""

import json
import re
import subprocess
import time
from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from tests.support.compose import ComposeProject, docker, need_compose
from tests.support.http import Api
from tests.support.phone import Phone
from tests.support.waiting import eventually
from tools.process import ROOT

pytestmark = pytest.mark.compose

ROOMS = {"auth": "services/auth", "users": "services/users", "gateway": "gateway"}
RUNNING = ("gateway", "auth", "auth-worker", "users", "postgres", "valkey")
SECRETS = (
    "POSTGRES_PASSWORD",
    "AUTH_DATABASE_PASSWORD",
    "USERS_DATABASE_PASSWORD",
    "VALKEY_PASSWORD",
    "KEY_ENCRYPTION_KEY",
    "REFRESH_TOKEN_KEY",
)
# What a room needs when it runs; the rest of its folder is for building and developing it.
RUNTIME_SUFFIXES = {".py", ".typed", ".json", ".html", ".js", ".css"}

LIST_OWN_FILES = """
import pathlib, sysconfig
site = pathlib.Path(sysconfig.get_path("purelib"))
for part in ("shared", "services", "gateway", "tools", "tests", "docs", "deploy"):
    for path in (site / part).rglob("*.*"):
        print(path.relative_to(site))
"""
ENTER_THE_OTHER_DATABASE = """
import os, psycopg
psycopg.connect(os.environ["DATABASE_URL"]).close()
try:
    psycopg.connect(os.environ["DATABASE_URL"].rpartition("/")[0] + "/{}")
except psycopg.OperationalError as error:
    print(error)
"""


@pytest.fixture
def new_project(env_file: Path) -> Iterator[Callable[..., ComposeProject]]:
    """Makes projects that are not started yet."""
    need_compose()
    made: list[ComposeProject] = []

    def make(env_file: Path = env_file) -> ComposeProject:
        made.append(ComposeProject(env_file))
        return made[-1]

    yield make
    for project in made:
        project.down()


@pytest.fixture
def api(project: ComposeProject) -> Api:
    return Api(project.gateway_url)


def test_a_phone_signs_up_signs_in_refreshes_and_changes_its_profile(api: Api) -> None:
    phone = Phone(api).sign_up(name="John Doe").sign_in()
    assert phone.user["name"] == "John Doe"
    assert phone.refresh().message == "Token refreshed successfully"

    # It may have arrived through the worker.
    eventually(lambda: phone.get("/v1/users/me").status == 200)
    profile = phone.get("/v1/users/me").data
    assert (profile["email"], profile["phone"]) == (phone.email, "9876543210")

    changed = phone.send("PATCH", "/v1/users/me", {"name": "Jane Doe", "phone": None})
    assert changed.message == "User profile updated successfully"
    assert phone.get("/v1/users/me").data["name"] == "Jane Doe"
    assert phone.get(f"/v1/users/{profile['id']}").data == {
        "id": profile["id"],
        "name": "Jane Doe",
        "profile_image": None,
    }

    assert phone.log_out().status == 200
    assert phone.refresh().error_code == "AUTH_003"


@pytest.mark.parametrize(
    ("method", "path", "body", "code"),
    [
        ("GET", "/v1/users/me", None, "AUTH_401"),
        ("GET", "/nowhere", None, "REQ_404"),
        ("GET", "/internal/profiles?ids=1", None, "REQ_404"),
        ("PUT", "/v1/auth/login", b"{}", "REQ_405"),
        ("POST", "/v1/auth/login", b"{", "REQ_400"),
        ("POST", "/v1/auth/login", b'{"email": "nobody"}', "VAL_001"),
    ],
)
def test_every_refusal_is_the_envelope(api: Api, method: str, path: str, body: bytes | None, code: str) -> None:
    assert api.send(method, path, body=body).error_code == code


def test_the_images_bring_the_document_its_page_and_every_file_of_the_page(api: Api) -> None:
    assert api.get("/openapi.json").json["openapi"].startswith("3.1")
    page = api.get("/docs")
    assert page.status == 200
    files = re.findall(r'(?:src|href)="([^"#]+)"', page.body.decode())
    assert files
    for file in files:
        assert api.get(file if file.startswith("/") else f"/{file}").status == 200


@pytest.mark.parametrize("language", ["de", "fr", "es", "hi", "ar"])
def test_the_images_speak_every_language(api: Api, language: str) -> None:
    english = {entry["code"]: entry["message"] for entry in api.get("/v1/errors").data}
    answer = api.get("/v1/errors", headers={"Accept-Language": language})
    assert answer.headers["Content-Language"] == language
    for code in ("AUTH_001", "VAL_001", "SRV_500"):
        assert {entry["code"]: entry["message"] for entry in answer.data}[code] != english[code]
    # The services' images have the catalogues, too.
    failed = api.send("POST", "/v1/auth/login", {}, headers={"Accept-Language": language})
    assert failed.headers["Content-Language"] == language


@pytest.mark.parametrize("service", RUNNING)
def test_a_container_is_nobody_special_and_cannot_change_its_own_files(project: ComposeProject, service: str) -> None:
    [container] = project.containers(service)
    assert container["HostConfig"]["ReadonlyRootfs"]
    assert container["HostConfig"]["CapDrop"] == ["ALL"]
    assert "no-new-privileges:true" in container["HostConfig"]["SecurityOpt"]
    assert project.inside(service, "id", "-u").strip() != "0"
    attempt = project.try_to("exec", "-T", service, "sh", "-c", ": >/bin/intruder")
    assert "Read-only file system" in attempt.stderr


@pytest.mark.parametrize("service", ROOMS)
def test_an_image_names_a_user_by_number_and_says_what_it_is(project: ComposeProject, service: str) -> None:
    [image] = json.loads(docker("image", "inspect", f"latchkey-{service}:compose-test"))
    assert image["Config"]["User"] == "10001:10001"
    labels = image["Config"]["Labels"]
    assert labels["org.opencontainers.image.title"] == f"latchkey-{service}"
    assert labels["org.opencontainers.image.version"] == "compose-test"


@pytest.mark.parametrize(("service", "folder"), ROOMS.items())
def test_an_image_has_shared_and_its_own_room_and_nothing_else(
    project: ComposeProject, service: str, folder: str
) -> None:
    inside = {Path(line) for line in project.inside(service, "python", "-c", LIST_OWN_FILES).splitlines()}
    bytecode = {path for path in inside if path.suffix == ".pyc"}
    assert inside - bytecode == _runtime_files("shared") | _runtime_files(folder)
    assert len(bytecode) == len({path for path in inside if path.suffix == ".py"})


def _runtime_files(folder: str) -> set[Path]:
    files = {path.relative_to(ROOT) for path in (ROOT / folder).rglob("*.*") if "__pycache__" not in path.parts}
    compiled = {path.with_suffix(".mo") for path in files if path.suffix == ".po"}
    return {path for path in files if path.suffix in RUNTIME_SUFFIXES} | compiled


def test_only_the_gateway_has_a_port_and_a_way_to_the_world(project: ComposeProject) -> None:
    published, connected = set(), set()
    for container in project.containers():
        service = container["Config"]["Labels"]["com.docker.compose.service"]
        if any(container["NetworkSettings"]["Ports"].values()):
            published.add(service)
        for network in container["NetworkSettings"]["Networks"]:
            if network != "none" and not json.loads(docker("network", "inspect", network))[0]["Internal"]:
                connected.add(service)
    assert published == connected == {"gateway"}


@pytest.mark.parametrize("service", ["auth", "users"])
def test_migrations_ended_well_before_the_service_started(project: ComposeProject, service: str) -> None:
    [job] = project.containers(f"{service}-migrate")
    [server] = project.containers(service)
    assert (job["State"]["Status"], job["State"]["ExitCode"]) == ("exited", 0)
    assert _time(job, "FinishedAt") <= _time(server, "StartedAt")


def _time(container: dict[str, Any], what: str) -> datetime:
    return datetime.fromisoformat(container["State"][what])


@pytest.mark.parametrize(("service", "other"), [("auth", "latchkey_users"), ("users", "latchkey_auth")])
def test_a_service_enters_its_own_database_only(project: ComposeProject, service: str, other: str) -> None:
    answer = project.inside(service, "python", "-c", ENTER_THE_OTHER_DATABASE.format(other))
    assert f'permission denied for database "{other}"' in answer


def test_valkey_asks_for_its_password_and_keeps_nothing(project: ComposeProject) -> None:
    assert "Authentication required" in _everything(project.try_to("exec", "-T", "valkey", "valkey-cli", "ping"))
    assert "3600" not in _valkey(project, "config get save")


def test_valkey_takes_nothing_more_before_its_container_would_be_ended(project: ComposeProject) -> None:
    limit = project.containers("valkey")[0]["HostConfig"]["Memory"]
    assert limit > 0
    assert re.findall(r"\d+", _valkey(project, "config get maxmemory")) == [str(limit // 4 * 3)]
    assert "noeviction" in _valkey(project, "config get maxmemory-policy")


def test_a_service_without_its_database_is_alive_but_not_healthy(project: ComposeProject, api: Api) -> None:
    [container] = project.containers("users")
    kind, *check = container["Config"]["Healthcheck"]["Test"]
    assert kind == "CMD"
    assert project.try_to("exec", "-T", "users", *check).returncode == 0
    project.do("stop", "postgres")
    try:
        assert project.try_to("exec", "-T", "users", *check).returncode == 1
        assert api.get("/v1/errors").status == 200
    finally:
        project.up()
    assert project.containers("users")[0]["State"]["StartedAt"] == container["State"]["StartedAt"]


def test_people_sign_in_and_up_while_users_and_its_name_are_gone(project: ComposeProject, api: Api) -> None:
    phone = Phone(api).sign_up()
    project.do("stop", "users")
    try:
        began = time.monotonic()
        assert phone.sign_in().user["name"] is None
        newcomer = Phone(api).sign_up()
        # Docker takes ten seconds for each look at a name that is gone.
        assert time.monotonic() - began < 8
    finally:
        project.up()
    eventually(lambda: newcomer.get("/v1/users/me").status == 200, seconds=60)


def test_a_phone_stays_signed_in_when_everything_was_stopped_removed_and_started_again(
    project: ComposeProject, api: Api
) -> None:
    phone = Phone(api).sign_up()
    project.do("stop")
    codes = {container["Name"]: container["State"]["ExitCode"] for container in project.containers()}
    assert set(codes.values()) == {0}, codes
    project.do("down")
    project.up()
    assert phone.refresh().status == 200
    assert phone.sign_in().user["email"] == phone.email


def test_sample_values_stop_the_start_with_a_sentence_for_each(new_project: Callable[..., ComposeProject]) -> None:
    project = new_project(ROOT / ".env.example")
    refused = project.try_to("up", "--no-build", "--pull", "never")
    assert refused.returncode != 0
    for secret in SECRETS:
        assert f"{secret} still has its sample value" in _everything(refused)
    # PostgreSQL would have kept the passwords of its first start.
    states = {container["State"]["Status"] for container in project.containers("postgres", "auth", "gateway")}
    assert states == {"created"}
    project.down()
    assert project.remains() == []


@pytest.mark.parametrize("secret", SECRETS)
def test_a_missing_secret_is_named(
    new_project: Callable[..., ComposeProject], env_file: Path, tmp_path: Path, secret: str
) -> None:
    lines = [line for line in env_file.read_text().splitlines() if not line.startswith(secret)]
    incomplete = tmp_path / ".env"
    incomplete.write_text("\n".join(lines))
    project = new_project(incomplete)
    refused = project.try_to("config", "--quiet")
    assert refused.returncode != 0
    assert f"{secret} is missing a value: is required" in refused.stderr


def _valkey(project: ComposeProject, command: str) -> str:
    return project.inside("valkey", "sh", "-c", f'REDISCLI_AUTH="$VALKEY_PASSWORD" valkey-cli {command}')


def _everything(finished: subprocess.CompletedProcess[str]) -> str:
    return finished.stdout + finished.stderr
