"""What `make backup` writes, `make restore` brings back; and it never makes anything worse."""

import os
import stat
import subprocess
import tarfile
from collections.abc import Callable, Iterator
from pathlib import Path

import psycopg
import pytest

from tests.support.backups import SECONDS, command, data_dir_of, environment, new_data_dir, run, with_part
from tests.support.http import Api
from tests.support.phone import Phone
from tests.support.waiting import eventually
from tools.process import ROOT
from tools.stack import Ports, Stack

# Stands in for `env`, and lets somebody sign up between the two copies.
HOLD = """#!/bin/sh
case "$*" in *pg_dump*)
  if [ -e "$0.first" ]; then
    : >"$0.reached"
    while [ ! -e "$0.go" ]; do sleep 0.05; done
  fi
  : >"$0.first" ;;
esac
exec env "$@"
"""


class Saved:
    """A backup of the running stack, who signed up before and during it, and the stack that was made from it."""

    def __init__(self, source: Stack, folder: Path) -> None:
        self.folder, self.source = folder, source
        self.file = folder / "saved.latchkey"
        self.phone, self.gone, self.active = (Phone(Api(source.gateway_url)).sign_up() for _ in range(3))
        eventually(lambda: self.phone.get("/v1/users/me").status == 200)
        self.gone.log_out()
        self.during = self._back_up_while_somebody_signs_up()
        for _ in range(3):
            assert self.active.refresh().status == 200
        self.lost = Phone(Api(source.gateway_url)).sign_up()
        self.data_dir = new_data_dir(folder / "restored", source)
        restored = run("restore", self.file, data_dir=self.data_dir)
        assert restored.returncode == 0, restored.stderr
        self.stack = Stack(self.data_dir, Ports.free())
        self.stack.start()
        for phone in (self.phone, self.gone, self.active, self.during, self.lost):
            phone.api = Api(self.stack.gateway_url)

    def _back_up_while_somebody_signs_up(self) -> Phone:
        hold = self.folder / "hold"
        hold.write_text(HOLD)
        hold.chmod(0o755)
        with subprocess.Popen(
            command("backup", self.file),
            cwd=ROOT,
            env=environment(data_dir_of(self.source), IN_POSTGRES=str(hold)),
        ) as backup:
            eventually((self.folder / "hold.reached").exists, seconds=SECONDS)
            phone = Phone(Api(self.source.gateway_url)).sign_up()
            eventually(lambda: phone.get("/v1/users/me").status == 200)
            (self.folder / "hold.go").touch()
            assert backup.wait(SECONDS) == 0
        return phone


@pytest.fixture(scope="module")
def saved(stack: Stack, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Saved]:
    made = Saved(stack, tmp_path_factory.mktemp("backup"))
    yield made
    made.stack.stop()


@pytest.fixture(scope="module")
def empty(saved: Saved) -> Path:
    """A DATA_DIR that was never started."""
    return new_data_dir(saved.folder / "empty", saved.source)


def test_the_old_password_and_the_old_token_open_the_restored_stack(saved: Saved) -> None:
    profile = saved.phone.get("/v1/users/me")
    assert profile.data["name"] == "John Doe"
    assert saved.phone.refresh().status == 200
    assert saved.phone.sign_in().get("/v1/users/me").data == profile.data


def test_an_ended_session_is_ended_in_the_restored_stack(saved: Saved) -> None:
    assert saved.gone.refresh().error_code == "AUTH_003"
    assert saved.gone.get("/v1/users/me").error_code == "AUTH_003"


def test_a_profile_that_was_made_between_the_two_copies_comes_again(saved: Saved) -> None:
    assert saved.during.refresh().status == 200
    assert eventually(lambda: _profile_name(saved.during)) == "John Doe"


def _profile_name(phone: Phone) -> str | None:
    answer = phone.get("/v1/users/me")
    return str(answer.data["name"]) if answer.status == 200 else None


def test_a_phone_that_refreshed_after_the_backup_stays_signed_in(saved: Saved) -> None:
    assert saved.active.refresh().status == 200
    assert saved.active.get("/v1/users/me").status == 200


def test_nobody_gets_the_number_of_an_account_that_was_lost(saved: Saved) -> None:
    assert saved.lost.refresh().error_code == "AUTH_004"
    newcomer = Phone(saved.phone.api).sign_up()
    assert newcomer.user["id"] > saved.lost.user["id"] + 1000


def test_a_backup_is_private_and_overwrites_nothing(saved: Saved) -> None:
    assert stat.S_IMODE(saved.file.stat().st_mode) == 0o600
    assert list(saved.folder.glob("saved.latchkey.*")) == []
    before = saved.file.read_bytes()
    refused = run("backup", saved.file, data_dir=saved.data_dir)
    assert (refused.returncode, saved.file.read_bytes()) == (1, before)
    assert "exists already and is left as it is" in refused.stderr


def test_the_folder_of_a_first_backup_is_made_and_is_private_too(stack: Stack, tmp_path: Path) -> None:
    file = tmp_path / "backups" / "today.latchkey"
    made = run("backup", file, data_dir=data_dir_of(stack))
    assert made.returncode == 0, made.stderr
    assert (file.exists(), stat.S_IMODE(file.parent.stat().st_mode)) == (True, 0o700)


def test_databases_in_use_are_not_replaced(saved: Saved) -> None:
    refused = run("restore", "--overwrite", saved.file, data_dir=saved.data_dir)
    assert refused.returncode == 1
    assert "is used by another launcher" in refused.stderr
    assert saved.phone.refresh().status == 200


def _cut(whole: Path, broken: Path) -> None:
    broken.write_bytes(whole.read_bytes()[:-30_000])


def _turn_a_bit(whole: Path, broken: Path) -> None:
    content = bytearray(whole.read_bytes())
    content[len(content) // 2] ^= 1
    broken.write_bytes(content)


def _foreign(_whole: Path, broken: Path) -> None:
    with tarfile.open(broken, "w") as archive:
        archive.add(ROOT / "README.md", "README.md")


def _of_another_release(whole: Path, broken: Path) -> None:
    with_part(whole, broken, "about", b"latchkey-backup 1", b"latchkey-backup 2")


@pytest.mark.parametrize(
    ("spoil", "sentence"),
    [
        (_cut, "is no backup of Latchkey"),
        (_turn_a_bit, "is damaged or was changed"),
        (_foreign, "is no backup of Latchkey"),
        (_of_another_release, 'it is no "latchkey-backup 1"'),
    ],
)
def test_a_file_that_is_not_whole_is_refused_before_anything_is_touched(
    saved: Saved, empty: Path, tmp_path: Path, spoil: Callable[[Path, Path], None], sentence: str
) -> None:
    broken = tmp_path / "broken.latchkey"
    spoil(saved.file, broken)
    refused = run("restore", "--overwrite", broken, data_dir=empty)
    assert refused.returncode == 1
    assert sentence in refused.stderr


def test_without_the_keys_nothing_is_written(tmp_path: Path) -> None:
    # Neither the environment nor Compose knows them.
    nothing = {"PATH": os.environ["PATH"], "IN_POSTGRES": "true", "COMPOSE": "false"}
    refused = subprocess.run(
        ["sh", "deploy/backup", tmp_path / "none"],
        cwd=ROOT, env=nothing, capture_output=True, text=True, timeout=SECONDS, check=False,
    )  # fmt: skip
    assert (refused.returncode, refused.stderr) == (1, "KEY_ENCRYPTION_KEY is not known: is there a .env?\n")
    assert list(tmp_path.iterdir()) == []


def test_another_installations_keys_are_named(saved: Saved, empty: Path) -> None:
    secrets = empty / "secrets.json"
    right = secrets.read_text()
    secrets.write_text(right.replace(saved.stack.secrets.refresh_token_key, saved.stack.secrets.key_encryption_key))
    refused = run("restore", saved.file, data_dir=empty)
    secrets.write_text(right)
    assert refused.returncode == 1
    assert "was made with another REFRESH_TOKEN_KEY" in refused.stderr


def test_full_databases_are_replaced_only_when_told_and_then_everybody_can_be_signed_out(saved: Saved) -> None:
    latest = Phone(saved.phone.api).sign_up()
    saved.stack.stop()
    refused = run("restore", saved.file, data_dir=saved.data_dir)
    assert refused.returncode == 1
    assert "is not empty" in refused.stderr
    saved.stack.start(only=["postgres"])
    with psycopg.connect(saved.stack.database_url("auth")) as connection:
        question = "SELECT count(*) FROM accounts WHERE email = %s"
        assert connection.execute(question, (latest.email,)).fetchone() == (1,)
    saved.stack.stop()

    replaced = run("restore", "--overwrite", "--end-sessions", saved.file, data_dir=saved.data_dir)
    assert replaced.returncode == 0, replaced.stderr
    saved.stack.start()
    assert saved.during.refresh().error_code == "AUTH_003"
    assert saved.phone.sign_in().get("/v1/users/me").status == 200
