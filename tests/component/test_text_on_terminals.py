"""What others wrote stays text on an operator's terminal: it steers nothing, forges no line and gives no hash away."""

import json
import stat
import uuid
from pathlib import Path

import bcrypt
import pytest

from tests.support.command import Operator
from tests.support.phone import PASSWORD, Phone
from tools.stack import Stack

# Sets the title and clears the screen, in two spellings, and turns the writing direction.
STEERING = "\x1b]0;pwned\x07\x1b[2J \x9d0;pwned\x9c\x9b2J\x7f \u202eevil\u2028"
HASH = bcrypt.hashpw(PASSWORD.encode(), bcrypt.gensalt(4)).decode()


@pytest.fixture(scope="module")
def operator(stack: Stack) -> Operator:
    return Operator(stack)


def write(folder: Path, *lines: dict[str, object]) -> Path:
    file = folder / "accounts.ndjson"
    file.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return file


@pytest.mark.parametrize(
    "words",
    [
        ("accounts", "show", "{}@example.com"),
        ("accounts", "show", "john@example.com", "{}"),
        ("accounts", "import", "{}"),
        ("accounts", "{}"),
        ("keys", "retire", "{}"),
        ("audit", "john@example.com", "--limit", "{}"),
    ],
)
def test_what_an_operator_pasted_comes_back_spelled_out(operator: Operator, words: tuple[str, ...]) -> None:
    refused = operator.try_to(*(word.format(STEERING) for word in words))
    assert refused.returncode != 0
    assert "Traceback" not in refused.stderr
    assert all(line.isprintable() for line in refused.stderr.split("\n"))
    assert repr(STEERING)[1:-1] in refused.stderr


def test_an_operators_own_name_steers_no_terminal(stack: Stack, phone: Phone) -> None:
    Operator(stack, LOGNAME=STEERING).do("accounts", "end-sessions", phone.email)
    told = Operator(stack).do("audit", phone.email)
    assert repr(f"operator={STEERING}")[1:-1] in told
    assert all(line.isprintable() for line in told.split("\n"))


def test_a_member_name_in_a_file_steers_no_terminal_and_forges_no_line(operator: Operator, tmp_path: Path) -> None:
    file = write(tmp_path, {STEERING: 1}, {"a\nline 99: fine": 1})
    lines = operator.try_to("accounts", "import", str(file)).stderr.splitlines()
    assert [line.partition(":")[0] for line in lines] == ["line 1", "line 2"]
    assert all(line.isprintable() for line in lines)


def test_a_refused_line_is_told_with_its_email(operator: Operator, tmp_path: Path) -> None:
    email = f"{uuid.uuid4().hex}@example.com"
    file = write(tmp_path, {"email": email, "password_hash": HASH, "role": "admin"})
    assert operator.try_to("accounts", "import", str(file)).stderr == f"line 1 ({email}): role: Unknown field.\n"


def test_a_hash_in_the_place_of_anything_else_is_neither_in_the_report_nor_on_the_terminal(
    operator: Operator, tmp_path: Path
) -> None:
    email, report = f"{uuid.uuid4().hex}@example.com", tmp_path / "report.ndjson"
    file = write(
        tmp_path,
        {"email": HASH, "password_hash": email},
        {"email": email, "password_hash": HASH, "phone": HASH},
        {"email": email, "password_hash": HASH, "created_at": HASH, "disabled": HASH},
        {"email": email, HASH: "password_hash"},
    )
    told = operator.try_to("accounts", "import", str(file))
    reported = operator.try_to("accounts", "import", str(file), "--report", str(report))
    assert (told.stdout, reported.stdout) == ("4 refused\n", "4 refused\n")
    for text in (told.stderr, reported.stderr, report.read_text()):
        assert HASH[7:] not in text
    assert len(told.stderr.splitlines()) == len(report.read_text().splitlines()) == 4


def test_a_report_is_private_because_emails_are_in_it(operator: Operator, tmp_path: Path) -> None:
    report = tmp_path / "report.ndjson"
    operator.try_to("accounts", "import", str(write(tmp_path, {})), "--report", str(report))
    assert stat.S_IMODE(report.stat().st_mode) == 0o600
