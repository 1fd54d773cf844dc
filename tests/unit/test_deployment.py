"""What is needed to run the images: the example of .env, the two small scripts about it, and the Dockerfiles."""

import base64
import os
import re
import stat
import subprocess
import tarfile
from pathlib import Path

import pytest

from tests.support.edge import make_certificate
from tools import edge_errors
from tools.process import ROOT

SECRETS = re.findall(r"^([A-Z_]+)=change-me", (ROOT / ".env.example").read_text(), re.MULTILINE)
# Grafana's is part of no URL.
PASSWORDS = [name for name in SECRETS if name.endswith("_PASSWORD") and name != "GRAFANA_PASSWORD"]
KEYS = [name for name in SECRETS if name.endswith("_KEY")]
COMPOSE_FILES = [ROOT / "docker-compose.yml", *ROOT.glob("deploy/*/compose.yml")]
ROOMS = {"services/auth": "auth", "services/users": "users", "gateway": "gateway"}


def new_env(path: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run([ROOT / "deploy" / "new-env", path], capture_output=True, text=True, check=False)


def check_env(values: dict[str, str]) -> subprocess.CompletedProcess[str]:
    environment = {"PATH": os.environ["PATH"], **values}
    return subprocess.run(
        ["sh", "deploy/check-env"], cwd=ROOT, env=environment, capture_output=True, text=True, check=False
    )


def values_of(path: Path) -> dict[str, str]:
    return dict(re.findall(r"^([A-Z_]+)=(.*)$", path.read_text(), re.MULTILINE))


@pytest.fixture
def own_values(tmp_path: Path) -> dict[str, str]:
    """What new-env makes."""
    assert new_env(tmp_path / ".env").returncode == 0
    return values_of(tmp_path / ".env")


def test_a_new_env_has_secrets_of_its_own_which_only_its_owner_may_read(tmp_path: Path) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    assert (new_env(first).returncode, new_env(second).returncode) == (0, 0)
    assert stat.S_IMODE(first.stat().st_mode) == 0o600
    secrets = [values_of(path)[name] for path in (first, second) for name in SECRETS]
    assert len(set(secrets)) == len(secrets) == 2 * 7
    assert "change-me" not in "".join(secrets)
    assert all(len(base64.b64decode(values_of(first)[name], validate=True)) == 32 for name in KEYS)


def test_an_env_that_is_there_is_left_as_it_is(tmp_path: Path) -> None:
    env = tmp_path / ".env"
    env.write_text("PRECIOUS=1\n")
    refused = new_env(env)
    assert refused.returncode == 1
    assert "exists already" in refused.stderr
    assert env.read_text() == "PRECIOUS=1\n"


def test_a_new_env_passes_the_check(own_values: dict[str, str]) -> None:
    checked = check_env(own_values)
    assert (checked.returncode, checked.stderr) == (0, "")


@pytest.mark.parametrize("name", SECRETS)
def test_a_sample_value_is_refused_by_name(own_values: dict[str, str], name: str) -> None:
    refused = check_env({**own_values, name: values_of(ROOT / ".env.example")[name]})
    assert refused.returncode == 1
    assert refused.stderr.startswith(f"{name} still has its sample value")


@pytest.mark.parametrize("name", PASSWORDS)
def test_a_password_that_would_break_its_url_is_refused_by_name(own_values: dict[str, str], name: str) -> None:
    refused = check_env({**own_values, name: "p@ss/word"})
    assert refused.returncode == 1
    assert refused.stderr.startswith(f"{name} may have letters, digits")


def test_the_example_has_every_variable_of_the_compose_files_and_no_other() -> None:
    compose = "".join(path.read_text() for path in COMPOSE_FILES)
    # By interpolation, or passed on by a name without a value.
    used = set(re.findall(r"(?<!\$)\$\{([A-Z_]+)", compose)) | set(re.findall(r"^ +([A-Z_]+):$", compose, re.MULTILINE))
    explained = set(re.findall(r"^#?([A-Z_]+)=", (ROOT / ".env.example").read_text(), re.MULTILINE))
    # Which files there are is what Compose itself reads.
    assert explained - used == {"COMPOSE_FILE"}
    assert used - explained == set()


def test_what_the_edge_answers_by_itself_is_what_the_catalogue_says() -> None:
    kept = {path.name: path.read_bytes() for path in edge_errors.FOLDER.iterdir()}
    assert kept == edge_errors.answers(), "run `make edge-errors`"
    configured = re.findall(r"errorfile ([0-9]+) /edge/errors/(.+)", (ROOT / "deploy/edge/haproxy.cfg").read_text())
    assert {name for _, name in configured} == set(kept)
    assert all(name == f"{status}.http" for status, name in configured)


def test_a_certificate_for_trying_is_for_the_container_and_its_folder_for_its_owner(tmp_path: Path) -> None:
    folder = tmp_path / "own" / "certificates"
    make_certificate(folder)
    [certificate] = folder.iterdir()
    assert stat.S_IMODE(folder.parent.stat().st_mode) == 0o700
    assert stat.S_IMODE(certificate.stat().st_mode) == 0o644
    assert re.findall("BEGIN (.*)-----", certificate.read_text()) == ["PRIVATE KEY", "CERTIFICATE"]
    with pytest.raises(subprocess.CalledProcessError):
        make_certificate(folder)


def test_a_folder_that_was_there_before_a_certificate_keeps_its_mode_and_its_owner_is_told(tmp_path: Path) -> None:
    tmp_path.chmod(0o755)
    made = self_signed(tmp_path / "certificates")
    assert made.returncode == 0
    assert stat.S_IMODE(tmp_path.stat().st_mode) == 0o755
    assert f"Others on this machine can enter {tmp_path}, and so read the key" in made.stderr
    (tmp_path / "own").mkdir(mode=0o700)
    assert self_signed(tmp_path / "own" / "certificates").stderr == ""


@pytest.mark.parametrize(
    ("name", "kind"),
    [("10.2.3.4", "IP Address"), ("fd00::1", "IP Address"), ("v1.2go.example.com", "DNS"), ("localhost", "DNS")],
)
def test_a_certificate_is_for_an_address_or_a_name(tmp_path: Path, name: str, kind: str) -> None:
    made = self_signed(tmp_path / "own" / "certificates", name)
    assert made.returncode == 0, made.stderr
    command = ["openssl", "x509", "-noout", "-ext", "subjectAltName", "-in", made.stdout.strip()]
    shown = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert f"{kind}:" in shown


def test_a_certificate_that_can_not_be_made_leaves_nothing_and_says_why(tmp_path: Path) -> None:
    failed = self_signed(tmp_path / "own" / "certificates", "300.1.2.3")
    assert failed.returncode != 0
    assert failed.stderr
    assert list((tmp_path / "own" / "certificates").iterdir()) == []


def test_certificates_are_checked_for_their_end(tmp_path: Path) -> None:
    folder = tmp_path / "certificates"
    assert "no certificate" in check_certificates(folder).stderr
    file = self_signed(folder).stdout.strip()
    # It is made for 90 days.
    assert (check_certificates(folder).returncode, check_certificates(folder, "89").returncode) == (0, 0)
    ends = check_certificates(folder, "91")
    assert ends.returncode == 1
    assert re.search(rf"{re.escape(file)}: notAfter=.* GMT", ends.stderr)
    (folder / "old.pem").write_text("nothing")
    assert check_certificates(folder).returncode == 1


def self_signed(folder: Path, *names: str) -> subprocess.CompletedProcess[str]:
    return edge_script("self-signed", folder, *names)


def check_certificates(folder: Path, *days: str) -> subprocess.CompletedProcess[str]:
    return edge_script("check-certificates", folder, *days)


def edge_script(name: str, folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "EDGE_CERTIFICATES": str(folder)}
    command = [str(ROOT / "deploy/edge" / name), *arguments]
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)


def test_a_backup_may_have_a_colon_in_its_name(tmp_path: Path) -> None:
    parts = ("about", "latchkey_users.dump", "latchkey_auth.dump", "seal")
    for name in parts:
        (tmp_path / name).write_text("nothing")
    # To GNU tar this is a file of the machine 2026-11-26T04.
    with tarfile.open(tmp_path / "2026-11-26T04:00.latchkey", "w") as file:
        for name in parts:
            file.add(tmp_path / name, name)
    refused = subprocess.run(
        [ROOT / "deploy/restore", "2026-11-26T04:00.latchkey"],
        cwd=tmp_path,
        env={**os.environ, "KEY_ENCRYPTION_KEY": "one", "REFRESH_TOKEN_KEY": "another"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert refused.returncode == 1
    assert "2026-11-26T04:00.latchkey was made by another release" in refused.stderr


def test_figures_are_shown_in_every_container_and_published_by_none() -> None:
    compose = (ROOT / "docker-compose.yml").read_text()
    assert len(re.findall(r"^ +METRICS_BIND: 0\.0\.0\.0:9100$", compose, re.MULTILINE)) == len(ROOMS)
    assert not re.search(r"ports:.*9100|[\"':]9100:|:9100\"", compose)


def test_the_dockerfiles_differ_in_nothing_but_the_room() -> None:
    templates = set()
    for folder, room in ROOMS.items():
        _, _, text = (ROOT / folder / "Dockerfile").read_text().partition("\n")
        for own in (f"latchkey-{room}", folder, folder.replace("/", ".")):
            text = text.replace(own, "ROOM")
        templates.add(re.sub(r'description="[^"]*"', "", text))
    assert len(templates) == 1
