"""What a gateway worker keeps of the networks that were here."""

from collections import Counter

import pytest
from gunicorn.workers.ggevent import GeventWorker

from gateway.listening import Listening
from gateway.worker import GatewayWorker


def test_a_network_that_has_gone_leaves_nothing_behind(monkeypatch: pytest.MonkeyPatch) -> None:
    worker = GatewayWorker.__new__(GatewayWorker)
    worker._listening, worker._connected = Listening.read({}), Counter()
    during: list[int] = []
    monkeypatch.setattr(GeventWorker, "handle", lambda *_: during.append(len(worker._connected)))
    for number in range(100):
        worker.handle(None, None, (f"192.0.2.{number}", 1))
    assert during == [1] * 100
    assert not worker._connected
