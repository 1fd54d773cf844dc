"""Every fault of a service, met by every method and every kind of token: what comes out of a real gateway."""

import itertools
import json
import time
import uuid
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

from tests.support.faults import FAULTS, REFUSED, Fault
from tests.support.faulty import FaultyService
from tests.support.forger import Forger
from tests.support.http import Answer, Api
from tests.support.phone import Phone
from tests.support.raw import read_all, talk
from tests.support.services import gateway_process
from tools.stack import Stack

AT_ONCE = 16
DEADLINE_SECONDS = "2"
# A door for each method. Signing up is open to everybody; all others want a good token.
DOORS = {
    "GET": "/v1/users/me",
    "HEAD": "/v1/users/me",
    "POST": "/v1/auth/signup",
    "PUT": "/v1/auth/device",
    "PATCH": "/v1/users/me",
    "DELETE": f"/v1/auth/sessions/{uuid.UUID(int=1)}",
}
OPEN = "POST"
WITH_A_BODY = frozenset({"POST", "PUT", "PATCH"})


class Token(StrEnum):
    """What a request proves."""

    GOOD = "a good token"
    NONE = "no token"
    EXPIRED = "an expired token"
    FORGED = "a forged token"


@dataclass(frozen=True)
class Cell:
    """One request to a service with one fault."""

    fault: Fault
    method: str
    token: Token

    @property
    def service(self) -> str:
        return DOORS[self.method].split("/")[2]

    @property
    def reaches_the_service(self) -> bool:
        return self.method == OPEN or self.token is Token.GOOD


@dataclass(frozen=True)
class Outcome:
    """What a cell came to: the answer, all that was received with it, and what the gateway logged about it."""

    cell: Cell
    answer: Answer
    received: bytes
    log: list[dict[str, Any]]

    @property
    def text(self) -> str:
        """How it stands in the table: the status of a success, the code of a failure."""
        if self.answer.status < 400 or self.cell.method == "HEAD":
            return str(self.answer.status)
        return f"`{self.answer.error_code}`"


def cells() -> Iterator[Cell]:
    """Every fault with every method; the open door also with every token, and the others with one fault."""
    for fault in (*FAULTS.values(), REFUSED):
        for method in DOORS:
            yield Cell(fault, method, Token.GOOD)
        for token in set(Token) - {Token.GOOD}:
            yield Cell(fault, OPEN, token)
    for method, token in itertools.product(DOORS.keys() - {OPEN}, set(Token) - {Token.GOOD}):
        yield Cell(FAULTS["an envelope"], method, token)


class Matrix:
    """Runs cells against two real gateways: one before a faulty service, one before a service that is gone."""

    def __init__(self, gateway: Api, lonely: Api, service: FaultyService, tokens: dict[Token, str]) -> None:
        self.gateway = gateway
        self._lonely = lonely
        self._tokens = tokens
        self.service = service

    def run(self, which: Iterable[Cell], log_paths: list[Path]) -> list[Outcome]:
        """The outcomes, in the order of the cells."""
        numbered = [(f"cell-{number:05}", cell) for number, cell in enumerate(which)]
        with ThreadPoolExecutor(AT_ONCE) as phones:
            received = list(phones.map(lambda pair: self.send(pair[1], pair[0]), numbered))
        lines: dict[str, list[dict[str, Any]]] = {}
        for line in itertools.chain(*(path.read_text().splitlines() for path in log_paths)):
            entry = json.loads(line)
            lines.setdefault(entry.get("request_id", ""), []).append(entry)
        return [
            Outcome(cell, read_all(answers, cell.method, "GET")[0], answers, lines.get(name, []))
            for (name, cell), answers in zip(numbered, received, strict=True)
        ]

    def send(self, cell: Cell, request_id: str) -> bytes:
        """All that comes back to the request of a cell and to a second one right behind it."""
        api = self._lonely if cell.fault is REFUSED else self.gateway
        body = b"{}" if cell.method in WITH_A_BODY else b""
        lines = [
            f"{cell.method} {DOORS[cell.method]}?fault={quote(cell.fault.name)} HTTP/1.1",
            f"Host: {urlsplit(api.base_url).netloc}",
            f"X-Request-Id: {request_id}",
            f"Content-Length: {len(body)}",
            "Content-Type: application/json",
        ]
        if token := self._tokens[cell.token]:
            lines.append(f"Authorization: Bearer {token}")
        probe = b"GET /health/live HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
        return talk(api, "\r\n".join([*lines, "", ""]).encode() + body + probe)


@contextmanager
def running(stack: Stack, folder: Path) -> Iterator[tuple[Matrix, list[Path]]]:
    """The gateways, and where they log."""
    service, gone = FaultyService(stack.auth_url), FaultyService(stack.auth_url)
    logs = [folder / "faulty.log", folder / "lonely.log"]
    phone = Phone(Api(stack.gateway_url)).sign_up()
    try:
        with (
            _gateway(stack, service, logs[0]) as gateway,
            _gateway(stack, gone, logs[1]) as lonely,
        ):
            gone.close()
            yield Matrix(gateway, lonely, service, _tokens(stack, phone)), logs
    finally:
        service.close()
        gone.close()


def _gateway(stack: Stack, service: FaultyService, log_path: Path) -> Any:
    environment = stack.environment("gateway")
    urls = {"AUTH_URL": service.url, "USERS_URL": service.url}
    return gateway_process(environment, log_path, DEADLINE_SECONDS=DEADLINE_SECONDS, **urls)


def _tokens(stack: Stack, phone: Phone) -> dict[Token, str]:
    forger = Forger(stack, phone)
    forger.claims["exp"] = int(time.time()) - 60
    expired = forger.token()
    return {
        Token.GOOD: phone.access_token,
        Token.NONE: "",
        Token.EXPIRED: expired,
        Token.FORGED: f"{phone.access_token[:-8]}AAAAAAAA",
    }
