"""What comes in storms gets a part of the connections to its service, so that the rest is there for the others."""

from concurrent.futures import ThreadPoolExecutor

import pytest

from gateway.errors import BadAnswer, ServiceAway, ServiceSlow
from gateway.exchange import UpstreamRequest
from gateway.routes import ROUTES
from gateway.upstream import Upstream
from tests.support.services import BrokenService
from tests.support.waiting import eventually

REQUEST = UpstreamRequest("POST", "/v1/auth/login", {}, b"{}")


def test_sign_ins_and_sign_ups_leave_half_of_the_connections_to_the_others() -> None:
    shares = {route.path: route.share for route in ROUTES if route.share != 1}
    assert shares == {"/v1/auth/login": 0.5, "/v1/auth/signup": 0.5}


def test_a_route_whose_share_is_busy_is_refused_at_once_and_another_one_is_not() -> None:
    busy = BrokenService()
    busy.reply = None
    upstream = Upstream("auth", busy.url, connections=2, max_answer=1000)
    with ThreadPoolExecutor(1) as others:
        waiting = others.submit(upstream.send, REQUEST, 30, share=0.5)
        eventually(lambda: len(busy.requests) == 1)
        with pytest.raises(ServiceAway):
            upstream.send(REQUEST, 30, share=0.5)
        # It gets through, and then nobody answers.
        with pytest.raises(ServiceSlow):
            upstream.send(REQUEST, 0.1)
        assert len(busy.requests) == 2
        busy.close()
        with pytest.raises(BadAnswer):
            waiting.result(20)
