"""What docs/security.md claims is claimed once, in words that mean something, and held by tests that exist."""

import ast
import re
from typing import NamedTuple

import pytest

from tools.process import ROOT

HOLDING = {"holds", "partly"}
STATUS_WORDS = HOLDING | {"does not hold", "not applicable"}
HEAD = "| requirement | status | by what, or why not | test |"
TEST = re.compile(r"`(tests/[\w/]+\.py::test_\w+)`")
NUMBERS = re.compile(r"V?\d+(?:\.\d+)+(?: to V?\d+(?:\.\d+)+)?")
# How many requirements of levels 1 and 2 each section of ASVS 5.0.0 has; they come before those of level 3.
LEVEL_2 = {
    "V6.1": 3, "V6.2": 12, "V6.3": 4, "V6.4": 4, "V6.5": 5, "V6.6": 3, "V6.8": 4,
    "V7.1": 3, "V7.2": 4, "V7.3": 2, "V7.4": 5, "V7.5": 2, "V7.6": 2,
    "V9.1": 3, "V9.2": 4,
}  # fmt: skip
JWT_PRACTICES = 12


class Row(NamedTuple):
    """One line of a table: a requirement, whether it holds, why, and by which tests."""

    requirement: str
    status: str
    reason: str
    tests: str


def rows_of(text: str) -> list[Row]:
    tables = [table.split("\n\n")[0] for table in text.split(HEAD)[1:]]
    lines = [line for table in tables for line in table.strip().splitlines()[1:]]
    return [Row(*(cell.strip() for cell in line.strip("|").split("|"))) for line in lines]


ROWS = rows_of((ROOT / "docs/security.md").read_text())
for_every_row = pytest.mark.parametrize("row", ROWS, ids=lambda row: row.requirement)


def existing_tests() -> set[str]:
    return {
        f"{path.relative_to(ROOT).as_posix()}::{node.name}"
        for path in (ROOT / "tests").rglob("test_*.py")
        for node in ast.parse(path.read_text()).body
        if isinstance(node, ast.FunctionDef)
    }


def numbers_of(row: Row) -> list[str]:
    """The numbers of a row: none, one, or all from the first to the last of a range."""
    match = NUMBERS.match(row.requirement)
    if match is None:
        return []
    first, _, last = match[0].partition(" to ")
    section, _, begin = first.rpartition(".")
    assert not last or last.rpartition(".")[0] == section
    end = last.rpartition(".")[2] or begin
    return [f"{section}.{number}" for number in range(int(begin), int(end) + 1)]


def test_every_test_that_is_named_exists() -> None:
    named = set(TEST.findall((ROOT / "docs/security.md").read_text()))
    assert len(named) > 40
    assert named - existing_tests() == set()


@for_every_row
def test_every_row_says_whether_it_holds_in_one_of_the_known_words(row: Row) -> None:
    assert row.status in STATUS_WORDS
    assert row.reason


@for_every_row
def test_only_what_holds_names_tests_and_nothing_else_stands_beside_them(row: Row) -> None:
    named = TEST.findall(row.tests)
    assert row.tests == (" ".join(f"`{test}`" for test in named) or "none")
    assert row.status in HOLDING or not named
    assert named or row.status not in HOLDING or "no test" in row.reason


def test_every_requirement_stands_in_one_row_only() -> None:
    names = [name for row in ROWS for name in numbers_of(row) or [row.requirement]]
    assert len(names) == len(set(names))


def test_no_requirement_of_level_2_and_no_practice_of_rfc_8725_is_left_out() -> None:
    expected = {f"{section}.{number}" for section, count in LEVEL_2.items() for number in range(1, count + 1)}
    expected |= {f"3.{number}" for number in range(1, JWT_PRACTICES + 1)}
    assert {number for row in ROWS for number in numbers_of(row)} == expected
