"""`deploy/backup` and `deploy/restore`: from one stack of containers into another that is empty."""

import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.compose import ComposeProject
from tests.support.http import Api
from tests.support.phone import Phone
from tests.support.waiting import eventually

pytestmark = pytest.mark.compose

EVERYTHING_BUT_POSTGRES = ("gateway", "auth", "auth-worker", "users")


@pytest.fixture
def empty(env_file: Path) -> Iterator[ComposeProject]:
    """A stack with the same .env on another machine, of which only PostgreSQL has been started."""
    fresh = ComposeProject(env_file)
    try:
        fresh.up("postgres")
        yield fresh
    finally:
        fresh.down()


def test_a_backup_of_one_stack_signs_in_and_refreshes_in_another(
    project: ComposeProject, empty: ComposeProject, tmp_path: Path
) -> None:
    phone = Phone(Api(project.gateway_url)).sign_up()
    eventually(lambda: phone.get("/v1/users/me").status == 200)
    file = tmp_path / "today.latchkey"
    made = project.script("backup", str(file))
    assert made.returncode == 0, made.stderr
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    in_use = project.script("restore", "--overwrite", str(file))
    assert in_use.returncode == 1
    assert "stop everything but PostgreSQL first" in in_use.stderr

    restored = empty.script("restore", str(file))
    assert restored.returncode == 0, restored.stderr
    empty.up()
    phone.api = Api(empty.gateway_url)
    assert phone.refresh().status == 200
    assert phone.get("/v1/users/me").data["name"] == "John Doe"
    assert phone.sign_in().user["email"] == phone.email
    other_rooms = ("psql", "--username=latchkey_auth", "--dbname=latchkey_users", "--command=SELECT 1")
    refused = empty.try_to("exec", "-T", "postgres", *other_rooms)
    assert 'permission denied for database "latchkey_users"' in refused.stderr

    empty.do("stop", *EVERYTHING_BUT_POSTGRES)
    refused = empty.script("restore", str(file))
    assert "latchkey_users is not empty" in refused.stderr
    assert empty.script("restore", "--overwrite", str(file)).returncode == 0
    empty.up()
    assert phone.sign_in().refresh().status == 200


def test_a_newer_postgresql_begins_empty_takes_a_backup_and_leaves_the_old_data_alone(
    empty: ComposeProject, tmp_path: Path
) -> None:
    empty.up()
    phone = Phone(Api(empty.gateway_url)).sign_up()
    empty.do("stop", *EVERYTHING_BUT_POSTGRES)
    file = tmp_path / "before.latchkey"
    assert empty.script("backup", str(file)).returncode == 0
    newer = tmp_path / "newer.yml"
    # The folder is what makes another major release of the image another one.
    newer.write_text("services: { postgres: { environment: { PGDATA: /var/lib/postgresql/19/docker } } }")
    empty.set(COMPOSE_FILE=f"docker-compose.yml:{newer}")
    empty.up("postgres")
    restored = empty.script("restore", str(file))
    assert restored.returncode == 0, restored.stderr
    empty.up()
    phone.api = Api(empty.gateway_url)
    assert phone.sign_in().refresh().status == 200

    empty.set(COMPOSE_FILE="docker-compose.yml")
    empty.up()
    phone.api = Api(empty.gateway_url)
    assert phone.sign_in().refresh().status == 200


def test_a_backup_that_fails_leaves_no_file(project: ComposeProject, tmp_path: Path) -> None:
    stopped = ComposeProject(project.env_file).script("backup", str(tmp_path / "none"))
    assert stopped.returncode != 0
    assert list(tmp_path.iterdir()) == []
