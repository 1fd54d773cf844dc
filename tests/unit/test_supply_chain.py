"""Packages of other people: their vulnerabilities and licences, and that silence about them is no good news."""

import json

import pytest

from tools import audit, licences
from tools.process import ROOT

CLEAN = {"name": "flask", "version": "3.1.0", "vulns": []}
VULNERABLE = {"name": "old", "version": "1.0", "vulns": [{"id": "PYSEC-1", "fix_versions": ["1.1"]}]}
UNKNOWN = {"name": "stranger", "skip_reason": "Dependency not found on PyPI"}


@pytest.mark.parametrize(
    ("packages", "code"),
    [
        ([CLEAN], 0),
        ([CLEAN, VULNERABLE], audit.VULNERABLE),
        ([VULNERABLE, UNKNOWN], audit.VULNERABLE),
        ([CLEAN, UNKNOWN], audit.NOT_ASKED),
        ([], audit.NOT_ASKED),
    ],
)
def test_vulnerable_and_not_asked_are_two_things(
    packages: list[object], code: int, capsys: pytest.CaptureFixture[str]
) -> None:
    assert audit.verdict(json.dumps({"dependencies": packages})) == code
    said = capsys.readouterr().out
    assert ("old 1.0 has PYSEC-1, fixed in 1.1" in said) == (VULNERABLE in packages)
    assert ("Nothing could be learned about 1 of" in said) == (UNKNOWN in packages)


def test_no_answer_is_no_good_news(capsys: pytest.CaptureFixture[str]) -> None:
    assert audit.verdict("", "Traceback …\nConnectionError: nobody is there\n") == audit.NOT_ASKED
    assert "No vulnerability was looked for: ConnectionError: nobody is there" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("licence", "allowed"),
    [
        ("MIT", True),
        ("BSD-3-Clause AND MIT", True),
        ("GPL-3.0-only OR MIT", True),
        ("GPL-3.0-only AND MIT", False),
        ("GNU Affero General Public License v3; MIT License", False),
        ("", False),
    ],
)
def test_a_licence_is_allowed_when_each_part_of_it_is(licence: str, allowed: bool) -> None:
    assert licences.allowed(licence) == allowed


def test_everything_in_the_images_has_a_licence_that_is_allowed() -> None:
    assert licences.main() == 0


def test_every_lock_file_pins_by_hash_and_names_no_index() -> None:
    locks = [*ROOT.glob("requirements*.txt"), *(ROOT / name for name in licences.LOCKS)]
    assert len(locks) >= 8
    for lock in locks:
        text = lock.read_text()
        assert "index-url" not in text
        assert text.count("==") <= text.count("--hash=sha256:")
