"""The real gateway with a bug in how it writes the envelope: a third member.

Services' answers have it, one page, and pages that are not there.
"""

from dataclasses import replace
from typing import Any
from unittest import mock

from gateway import asking
from gateway.answers import Answer, normalise
from gateway.app import create_app as create_real_app
from gateway.proxy import Gateway
from shared import blueprint, web
from shared.envelope import failure, success


def create_app() -> Gateway:
    """The gateway of the environment; /health/* is as it should be."""
    mock.patch.object(asking, "normalise", _bent).start()
    mock.patch.object(blueprint, "success", _bent_list).start()
    mock.patch.object(web, "failure", _bent_failure).start()
    return create_real_app()


def _bent(*arguments: Any) -> Answer:
    answer = normalise(*arguments)
    return replace(answer, body=_with_more(answer.body))


def _bent_list(message: str, data: Any, language: str) -> bytes:
    body = success(message, data, language)
    return _with_more(body) if isinstance(data, list) else body


def _bent_failure(code: str, *arguments: Any) -> bytes:
    body = failure(code, *arguments)
    return _with_more(body) if code == "REQ_404" else body


def _with_more(body: bytes) -> bytes:
    return body[:-1] + b',"more":"SESAME"}'
