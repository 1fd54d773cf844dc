"""Writes deploy/edge/errors: what the front door answers by itself, in the envelope and the catalogue's words."""

from http import HTTPStatus
from pathlib import Path

from shared.catalogue import CATALOGUE
from shared.envelope import CONTENT_TYPE, failure
from shared.languages import DEFAULT_LANGUAGE
from tools.process import ROOT

FOLDER = ROOT / "deploy" / "edge" / "errors"
# Every status that HAProxy may answer with by itself, and the code that it means to an app.
CODES = {
    400: "REQ_400",
    405: "REQ_405",
    408: "REQ_400",
    413: "REQ_413",
    414: "REQ_414",
    421: "REQ_400",
    422: "REQ_400",
    425: "REQ_400",
    429: "REQ_429",
    431: "REQ_431",
    500: "SRV_500",
    501: "REQ_400",
    502: "GW_502",
    503: "GW_503",
    504: "GW_504",
}
_RETRY_SECONDS = 1


def answers() -> dict[str, bytes]:
    """The files by their names; HAProxy takes each one as the bytes of a whole answer."""
    return {f"{status}.http": _answer(code) for status, code in CODES.items()}


def _answer(code: str) -> bytes:
    status, body = CATALOGUE[code].status, failure(code, DEFAULT_LANGUAGE)
    retry = f"Retry-After: {_RETRY_SECONDS}\r\n" if status in (429, 503) else ""
    # What was refused may not be whole, and nobody waits for the rest of it.
    close = "Connection: close\r\n" if status < 500 else ""
    head = (
        f"HTTP/1.1 {status} {HTTPStatus(status).phrase}\r\nContent-Type: {CONTENT_TYPE}\r\n"
        f"Content-Length: {len(body)}\r\nContent-Language: {DEFAULT_LANGUAGE}\r\n{retry}{close}\r\n"
    )
    return head.encode("ascii") + body


def write(folder: Path = FOLDER) -> None:
    folder.mkdir(exist_ok=True)
    for name, content in answers().items():
        (folder / name).write_bytes(content)


if __name__ == "__main__":
    write()
