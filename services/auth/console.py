"""How commands answer: a table for people, JSON for machines. What others wrote steers no terminal."""

import argparse
import json
import sys
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, NoReturn


def printable(text: str) -> str:
    """`text` in one line, with signs that steer a terminal or turn the writing direction spelled out."""
    return "".join(sign if sign.isprintable() else repr(sign)[1:-1] for sign in text)


def say(sentence: str) -> None:
    """One sentence for whoever typed the command."""
    sys.stdout.write(f"{printable(sentence)}\n")


def complain(sentence: str) -> None:
    """One sentence on what was not done."""
    sys.stderr.write(f"{printable(sentence)}\n")


class Parser(argparse.ArgumentParser):
    """Reads the words of a command."""

    def error(self, message: str) -> NoReturn:
        """End with a sentence on what is wrong, in which the words stand."""
        super().error(printable(message))


def say_json(value: Any) -> None:
    """The answer for a machine, in one line; moments are in seconds since the epoch, as in the API."""
    sys.stdout.write(json.dumps(value, default=_plain) + "\n")


def say_table(rows: Sequence[Mapping[str, Any]]) -> None:
    """Rows with the same columns below their names."""
    if not rows:
        return
    lines = [[name.replace("_", " ") for name in rows[0]], *([_shown(cell) for cell in row.values()] for row in rows)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(lines[0]))]
    for line in lines:
        say("  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip())


def _shown(cell: Any) -> str:
    if isinstance(cell, datetime):
        return cell.strftime("%Y-%m-%d %H:%M:%S UTC")
    if isinstance(cell, Mapping):
        return printable(" ".join(f"{name}={value}" for name, value in cell.items()))
    return "-" if cell is None else printable(str(cell))


def _plain(value: Any) -> Any:
    return int(value.timestamp()) if isinstance(value, datetime) else str(value)
