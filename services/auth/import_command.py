"""`python -m services.auth accounts import FILE.ndjson`: accounts of another system, with their password hashes."""

import argparse
import json
import os
import re
import sys
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import IO, Any

import click
from marshmallow import ValidationError

from services.auth import account_import
from services.auth.account_import import ImportedAccount
from services.auth.console import complain, say
from services.auth.parts import Parts
from services.auth.refusal import Refusal
from services.auth.schemas import ImportedAccountForm
from shared.errors import Unavailable
from shared.strict_json import BadJson, parse

BATCH = 1000
MAX_LINE = 64 * 1024
_IMPORTED, _WOULD_BE_IMPORTED, _SKIPPED, _REFUSED = "imported", "would_be_imported", "skipped", "refused"

_FORM = ImportedAccountForm()
# Any other is not repeated: with values and names in each other's place it could be a hash.
_MEMBER_NAME = re.compile("[A-Za-z_]{1,30}")


@dataclass
class Line:
    """One line of the file and what became of it."""

    number: int
    email: str | None = None
    account: ImportedAccount | None = None
    outcome: str = _REFUSED
    reason: str | None = None

    def settle(self, outcome: str, reason: str | None = None) -> None:
        """Say what became of it."""
        self.outcome, self.reason = outcome, reason

    def as_json(self) -> str:
        """What the report says of it; never the hash."""
        report = {"line": self.number, "email": self.email, "outcome": self.outcome, "reason": self.reason}
        return json.dumps(report)

    def __str__(self) -> str:
        return f"line {self.number}{f' ({self.email})' if self.email else ''}: {self.reason}"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What may follow `import`."""
    parser.add_argument("file", type=Path, metavar="FILE.ndjson", help="one JSON object for each account and line")
    parser.add_argument("--dry-run", action="store_true", help="check every line and write nothing")
    parser.add_argument("--report", type=Path, metavar="FILE", help="write what became of each line here, as NDJSON")


def run(parts: Parts, arguments: argparse.Namespace) -> int:
    """Import the file; 0 when every line is an account now, 1 when one was refused.

    Batches are committed one by one. Whoever runs it again after a kill imports the rest: what is there is skipped.
    """
    outcomes: Counter[str] = Counter()
    with ExitStack() as files:
        try:
            source = files.enter_context(open(arguments.file, "rb"))
            report = files.enter_context(_new_report(arguments.report)) if arguments.report else None
        except OSError as error:
            raise Refusal(f"{error.filename} can't be opened: {error.strerror}") from error
        size = arguments.file.stat().st_size
        bar = files.enter_context(
            click.progressbar(length=size, label="Importing", file=sys.stderr, hidden=not sys.stderr.isatty())
        )
        try:
            for batch in _batches(_lines(source, bar.update)):
                _settle(parts, batch, dry_run=arguments.dry_run)
                outcomes.update(line.outcome for line in batch)
                _tell(batch, report)
        except Unavailable as error:
            bar.finish()
            _summarise(outcomes)
            complain(f"Stopped: {error}. Run it again, it goes on where it stopped.")
            return 1
    _summarise(outcomes)
    return 1 if outcomes[_REFUSED] else 0


def _settle(parts: Parts, batch: list[Line], *, dry_run: bool) -> None:
    first: dict[str, Line] = {}
    for line in batch:
        if line.account and line.account.email in first:
            line.settle(_SKIPPED, f"line {first[line.account.email].number} has the same email")
        elif line.account:
            first[line.account.email] = line
    accounts = [line.account for line in first.values() if line.account]
    if not accounts:
        return
    with parts.database.transaction() as session:
        if dry_run:
            written = set(first) - account_import.existing_emails(session, accounts)
        else:
            written = account_import.import_accounts(session, accounts)
    for email, line in first.items():
        if email in written:
            line.settle(_WOULD_BE_IMPORTED if dry_run else _IMPORTED)
        else:
            line.settle(_SKIPPED, "an account with this email exists already; it was not changed")


def _lines(source: IO[bytes], advance: Callable[[int], None]) -> Iterator[Line]:
    number = 0
    while text := source.readline(MAX_LINE + 1):
        number += 1
        length, piece = len(text), text
        while not piece.endswith(b"\n") and (piece := source.readline(MAX_LINE)):
            length += len(piece)
        if length > MAX_LINE:
            yield Line(number, reason=f"the line is longer than {MAX_LINE} bytes")
        elif text.strip():
            yield _line(number, text)
        advance(length)


def _line(number: int, text: bytes) -> Line:
    try:
        fields = parse(text)
    except BadJson as error:
        return Line(number, reason=f"not readable as JSON: {error}")
    if not isinstance(fields, dict):
        return Line(number, reason="not a JSON object")
    try:
        account: ImportedAccount = _FORM.load(fields)
    except ValidationError as error:
        # What is no email may be anything, a hash too.
        valid: Any = error.valid_data
        return Line(number, email=valid.get("email"), reason=_sentence(error))
    return Line(number, email=account.email, account=account)


def _sentence(error: ValidationError) -> str:
    problems: Any = error.messages
    return "; ".join(f"{_name(field)}: {' '.join(map(str, messages))}" for field, messages in problems.items())


def _name(field: str) -> str:
    return field if _MEMBER_NAME.fullmatch(field) else "a member with an odd name"


def _new_report(path: Path) -> IO[str]:
    # People's emails are in it.
    return open(path, "w", encoding="utf-8", opener=lambda name, flags: os.open(name, flags, 0o600))


def _batches(lines: Iterable[Line]) -> Iterator[list[Line]]:
    remaining = iter(lines)
    while batch := list(islice(remaining, BATCH)):
        yield batch


def _tell(batch: list[Line], report: IO[str] | None) -> None:
    if report:
        report.writelines(f"{line.as_json()}\n" for line in batch)
        report.flush()
        return
    for line in batch:
        if line.outcome == _REFUSED:
            complain(str(line))


def _summarise(outcomes: Counter[str]) -> None:
    counted = ", ".join(f"{count:,} {outcome.replace('_', ' ')}" for outcome, count in sorted(outcomes.items()))
    say(counted or "The file is empty.")
