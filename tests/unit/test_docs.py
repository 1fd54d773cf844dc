"""What the documents say is there, is there."""

import os
import re
import runpy
import subprocess
from importlib.util import find_spec
from itertools import takewhile
from pathlib import Path
from typing import Any

import pytest
import yaml

from gateway.routes import ROUTES
from shared.catalogue import Action
from tools.process import ROOT

LINK = re.compile(r"\]\((?!https?:)([^)#]+)")
MAKE_TARGET = re.compile(r"^([a-z-]+):", re.MULTILINE)
DOCUMENTS = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])
# What stands there as code: in backticks, which may go on in the next line, or in a line of its own.
CODE = re.compile(r"`([^`\n]+(?:\n[^`\n]+)?)`|^    (.+)$", re.MULTILINE)
COMPOSE_FILES = (ROOT / "docker-compose.yml", ROOT / "deploy/observability/compose.yml")
SERVICES: dict[str, Any] = {
    name: service for path in COMPOSE_FILES for name, service in yaml.safe_load(path.read_text())["services"].items()
}
ROOMS = {"auth": "services.auth", "users": "services.users", "gateway": "gateway"}


def commands(beginning: str) -> list[list[str]]:
    """The words that follow `beginning` wherever it stands in a command of the documents, each command once."""
    code = [" ".join("".join(found).split()) for path in DOCUMENTS for found in CODE.findall(path.read_text())]
    rests = {rest for text in code for rest in re.findall(rf"(?<![\w./-]){beginning}([^#;()]*)", text)}
    return [rest.split() for rest in sorted(rests)]


def names_of(words: list[str]) -> list[str]:
    """The names with which a command's words begin."""
    return list(takewhile(re.compile("[a-z][a-z-]*").fullmatch, words))


def services_of(words: list[str]) -> tuple[set[str], set[str]]:
    """The services and the profiles that stand in a command of compose."""
    services, profiles, plain, left = set(), set(), [], iter(words)
    for word in left:
        match word:
            case "--scale":
                services.add(next(left).partition("=")[0])
            case "--profile":
                profiles.add(next(left))
            case "-e" | "--signal":
                next(left)
            case _ if not word.startswith("-"):
                plain.append(word)
    command, *arguments = plain
    return services | set(arguments[:1] if command in ("exec", "run") else arguments), profiles


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_no_link_in_the_documents_is_dead(document: Path) -> None:
    dead = [link for link in LINK.findall(document.read_text()) if not (document.parent / link).exists()]
    assert dead == []


def test_every_make_command_in_the_documents_exists() -> None:
    targets = set(MAKE_TARGET.findall((ROOT / "Makefile").read_text()))
    used = {
        name
        for path in DOCUMENTS
        for name in re.findall(r"`make ([a-z-]+)|^    make ([a-z-]+)", path.read_text(), re.M)
        for name in name
        if name
    }
    assert used
    assert used - targets == set()


def test_every_module_in_the_documents_exists() -> None:
    modules = {words[0] for words in commands("python -m ")}
    assert modules >= {"services.auth", "services.users", "gateway", "tools.audit", "tools.command"}
    assert {module for module in modules if find_spec(module) is None} == set()


@pytest.mark.parametrize(
    "words",
    [
        *(words for words in commands("python -m ") if words[0] in ROOMS.values()),
        *([ROOMS[room], *words] for room, *words in commands("python -m tools.command ")),
    ],
    ids=" ".join,
)
def test_every_command_of_a_room_in_the_documents_exists(words: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    module, *rest = words
    monkeypatch.setattr("sys.argv", [module, *names_of(rest), "--help"])
    with pytest.raises(SystemExit) as end:
        runpy.run_module(module, run_name="__main__")
    assert end.value.code == 0


def test_every_script_in_the_documents_exists_and_what_is_replaced_by_one_is_a_service() -> None:
    used = {words[0] for words in commands(r"(?=deploy/[a-z])")}
    assert used >= {"deploy/new-env", "deploy/backup", "deploy/restore", "deploy/edge/self-signed"}
    assert {path for path in used if not (ROOT / path).exists()} == set()
    scripts = {path for path in used if (ROOT / path).is_file() and not Path(path).suffix}
    assert {path for path in scripts if not os.access(ROOT / path, os.X_OK)} == set()
    replaced = {name for words in commands("deploy/rolling-restart ") for name in names_of(words)[:1]}
    assert replaced >= {"auth", "gateway"}
    assert replaced <= set(SERVICES)


def test_every_service_and_profile_in_a_command_of_compose_exists() -> None:
    found = [services_of(words) for words in commands("docker compose ")]
    services, profiles = (set().union(*names) for names in zip(*found, strict=True))
    assert services >= {"auth-migrate", "postgres", "prometheus", "check-env"}
    assert services <= set(SERVICES)
    assert profiles == {name for service in SERVICES.values() for name in service.get("profiles", ())}


def test_make_help_lists_every_command_for_people() -> None:
    shown = subprocess.run(["make", "help"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    for target in ("up", "test", "check", "contract", "openapi", "messages-update", "test-compose", "lock"):
        assert f"make {target} " in shown


def test_every_action_of_the_catalogue_is_explained_to_app_developers() -> None:
    apps = (ROOT / "docs/apps.md").read_text()
    assert {action.value for action in Action if f"`{action.value}`" not in apps} == set()


def test_every_route_is_explained_to_app_developers() -> None:
    apps = (ROOT / "docs/apps.md").read_text()
    addresses = {f"{route.method} {re.sub(r'{[a-z_]+}', '{id}', route.path)}" for route in ROUTES}
    assert {address for address in addresses if address not in apps} == set()
