"""What the documents say is there, is there."""

import re
import subprocess
from pathlib import Path

import pytest

from gateway.routes import ROUTES
from shared.catalogue import Action
from tools.process import ROOT

LINK = re.compile(r"\]\((?!https?:)([^)#]+)")
MAKE_TARGET = re.compile(r"^([a-z-]+):", re.MULTILINE)
DOCUMENTS = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])


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
