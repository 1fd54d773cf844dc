"""Writes docs/conformance.md: what came of every fault, and of every crooked request."""

import sys
import tempfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.support.faults import KINDS, REFUSED, Fault
from tests.support.http import Answer
from tests.support.matrix import DOORS, OPEN, Matrix, Outcome, Token, cells, running
from tests.support.raw import read_all, talk
from tests.support.raw_requests import PROBE, RAW_REQUESTS, RawRequest
from tests.support.settings import UNLIMITED
from tools.process import ROOT
from tools.stack import Ports, Stack

DOCUMENT = ROOT / "docs/conformance.md"
_INTRODUCTION = """# What comes out, whatever goes in

Written by `make conformance` from what a real gateway answered; a test fails when it answers otherwise. Every answer is
the envelope (or, for `HEAD` and 304, has no body), there is never more than one for a request, and none is HTML. In the
tables a success is its status and a failure its code, whose status is in `GET /v1/errors`.
"""


@dataclass(frozen=True)
class RawOutcome:
    """What a crooked request came to. `reached` is how many requests a service got from it."""

    request: RawRequest
    received: bytes
    answers: list[Answer]
    reached: int

    @property
    def methods(self) -> tuple[str, ...]:
        return (*self.request.methods, "GET")

    @property
    def goes_on(self) -> bool:
        """Whether the probe behind it was answered, too."""
        return len(self.answers) == len(self.methods)

    @property
    def text(self) -> str:
        """How it stands in the table."""
        told = [
            str(answer.status) if answer.status < 400 or method == "HEAD" else f"`{answer.error_code}`"
            for method, answer in zip(self.request.methods, self.answers, strict=False)
        ]
        ending = "goes on" if self.goes_on else "ends"
        return f"{', '.join(told) or 'nothing'} | {ending}"


def send_all(matrix: Matrix) -> dict[str, RawOutcome]:
    """What came of every crooked request, one after the other, by its name."""
    return {request.name: _send(matrix, request) for request in RAW_REQUESTS}


def document(outcomes: Iterable[Outcome], raw: dict[str, RawOutcome]) -> str:
    """The whole document."""
    return "\n".join([_INTRODUCTION, *_matrix_tables(list(outcomes)), *_raw_table(raw)])


def _send(matrix: Matrix, request: RawRequest) -> RawOutcome:
    before = len(matrix.service.asked)
    received = talk(matrix.gateway, request.sent + (b"" if request.cut_off else PROBE), hang_up=True)
    answers = read_all(received, *request.methods, "GET")
    return RawOutcome(request, received, answers, len(matrix.service.asked) - before)


def _matrix_tables(outcomes: list[Outcome]) -> Iterator[str]:
    by_cell = {(o.cell.fault.name, o.cell.method): o.text for o in outcomes if o.cell.token is Token.GOOD}
    others = [o for o in outcomes if o.cell.token is not Token.GOOD]
    opened, shut = ([o for o in others if (o.cell.method == OPEN) is is_open] for is_open in (True, False))
    tokens = ", ".join(token.value for token in Token if token is not Token.GOOD)
    yield f"## Faults of a service\n\n{len(outcomes)} requests. Signing up ({OPEN}) is open to everybody, the other"
    yield f"doors want a good token. With {tokens} the open door answered the same in {len(opened)}"
    yield f"cells, and the others answered `AUTH_401` in {len(shut)}, without asking the service."
    for title, kind in KINDS.items():
        faults = [*kind(), *([REFUSED] if title == "Connections" else [])]
        yield f"\n### {title}\n\n| the service | {' | '.join(DOORS)} |\n|---|{'---|' * len(DOORS)}"
        yield "\n".join(_row(fault, by_cell) for fault in faults)


def _row(fault: Fault, by_cell: dict[tuple[str, str], str]) -> str:
    return f"| {fault.name} | {' | '.join(by_cell[fault.name, method] for method in DOORS)} |"


def _raw_table(raw: dict[str, RawOutcome]) -> Iterator[str]:
    yield f"\n## Crooked requests\n\n{len(raw)} of them, each with a good request right behind it, which is answered"
    yield "only where nobody can doubt where it begins: then the connection goes on, else it ends.\n"
    yield "| what arrives | answers | the connection |\n|---|---|---|"
    yield from (f"| {name} | {outcome.text} |" for name, outcome in raw.items())
    yield ""


def main() -> None:
    """Run everything and write the document."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder)
        with Stack(path / "data", Ports.free(), settings={"gateway": UNLIMITED}) as stack:
            stack.start()
            with running(stack, path) as (matrix, logs):
                DOCUMENT.write_text(document(matrix.run(cells(), logs), send_all(matrix)))
    sys.stdout.write(f"{DOCUMENT.relative_to(ROOT)} is written\n")


if __name__ == "__main__":
    main()
