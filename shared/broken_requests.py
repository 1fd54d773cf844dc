"""Answers in the envelope when a request is so broken that gunicorn refuses it before the application sees it."""

import logging
import re
import secrets
from functools import partial
from http import HTTPStatus
from typing import Any

from gunicorn import util

from shared.catalogue import CATALOGUE, code_for_status
from shared.envelope import CONTENT_TYPE, failure
from shared.languages import DEFAULT_LANGUAGE
from shared.logs import log_request
from shared.metrics import BROKEN_REQUEST, count_request
from shared.trace import REQUEST_ID_HEADER

_DRAIN_SECONDS = 1.0
_RETRY_SECONDS = 1
_QUOTED = re.compile(r"""['":]""")
_DRAIN_BYTES = 256 * 1024


def envelope_broken_requests(room: str) -> None:
    """Replace gunicorn's writer of HTML error pages, in this process of `room`."""
    util.write_error = partial(_write_error, room)


def _write_error(room: str, sock: Any, status: int, reason: str, message: str) -> None:
    # gunicorn's 501 (a transfer coding that it does not know) and 417 and 403 are, to an app, a request that is wrong.
    code = code_for_status(status if status in (414, 429, 431, 500) else 400)
    status, body, request_id = CATALOGUE[code].status, failure(code, DEFAULT_LANGUAGE), secrets.token_hex(16)
    retry = f"Retry-After: {_RETRY_SECONDS}\r\n" if status == HTTPStatus.TOO_MANY_REQUESTS else ""
    head = (
        f"HTTP/1.1 {status} {HTTPStatus(status).phrase}\r\n"
        f"Connection: close\r\nContent-Type: {CONTENT_TYPE}\r\nContent-Length: {len(body)}\r\n"
        f"Content-Language: {DEFAULT_LANGUAGE}\r\n{REQUEST_ID_HEADER}: {request_id}\r\n{retry}\r\n"
    )
    failed = room if status >= 500 else None
    count_request(BROKEN_REQUEST, "", status, code, seconds=None, failed=failed)
    log_request(
        logging.INFO,
        method=None,
        path=None,
        route=BROKEN_REQUEST,
        status=status,
        error_code=code,
        failed=failed,
        request_id=request_id,
        trace_id=None,
        milliseconds=None,
        # What stands in quotes was sent by a stranger, and may be a token.
        reason=_QUOTED.split(message, maxsplit=1)[0].strip(": ") or reason,
    )
    util.write_nonblock(sock, head.encode("latin-1") + body)
    # Closing with unread bytes would reset the connection and lose the answer.
    util.close_graceful(sock, timeout=_DRAIN_SECONDS, max_drain=_DRAIN_BYTES)
