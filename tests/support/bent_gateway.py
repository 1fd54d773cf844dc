"""The real gateway with a bug in how it writes the envelope: a third member, in services' answers and in one page."""

from dataclasses import replace
from typing import Any
from unittest import mock

from gateway import asking
from gateway.answers import Answer, normalise
from gateway.app import create_app as create_real_app
from gateway.proxy import Gateway
from shared import blueprint
from shared.envelope import success


def create_app() -> Gateway:
    """The gateway of the environment; /health/* is as it should be."""
    mock.patch.object(asking, "normalise", _bent).start()
    mock.patch.object(blueprint, "success", _bent_list).start()
    return create_real_app()


def _bent(*arguments: Any) -> Answer:
    answer = normalise(*arguments)
    return replace(answer, body=_with_more(answer.body))


def _bent_list(message: str, data: Any, language: str) -> bytes:
    body = success(message, data, language)
    return _with_more(body) if isinstance(data, list) else body


def _with_more(body: bytes) -> bytes:
    return body[:-1] + b',"more":"SESAME"}'
