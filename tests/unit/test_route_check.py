"""What `python -m gateway check` finds in a route table."""

from dataclasses import replace
from typing import Any

import pytest

from gateway.route_check import problems_of
from gateway.routes import ROUTES, Guard, Route

GOOD = Route("GET", "/v1/things/{thing_id}", "things", Guard.SIGNED_IN)


def test_our_own_table_is_fine() -> None:
    assert problems_of(ROUTES) == []
    assert problems_of([GOOD, replace(GOOD, method="DELETE"), replace(GOOD, path="/v1/things/mine")]) == []


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"method": "FETCH"}, "must have one of the methods"),
        ({"method": "get"}, "must have one of the methods"),
        *(
            ({"path": path}, "must be a path of plain segments")
            for path in (
                "v1/things",
                "/v1//things",
                "/v1/things/",
                "/v1/{Thing}",
                "/v1/{thing",
                "/v1/../x",
                "/a?b",
                "/%2f",
            )
        ),
        ({"path": "/v1/{a}/{a}"}, "names a parameter twice"),
        ({"path": "/internal/profiles"}, "shows what is for services only"),
        *(
            ({"path": path}, "hides a page of the gateway")
            for path in ("/v1/errors", "/docs", "/health/live", "/metrics")
        ),
        ({"service": "Billing-API"}, "names a service"),
        ({"guard": "anybody"}, "must say who may call it"),
        ({"seconds": 0.0}, "must have from 0 to 300 seconds"),
        ({"seconds": 1000.0}, "must have from 0 to 300 seconds"),
        ({"share": 0.0}, "must have a share"),
        ({"share": 1.5}, "must have a share"),
    ],
)
def test_a_mistake_is_named_with_its_route(change: dict[str, Any], problem: str) -> None:
    route = replace(GOOD, **change)
    [found] = problems_of([route])
    assert found.startswith(f"{route.method} {route.path} {problem}")


def test_two_routes_for_the_same_requests_are_one_too_many() -> None:
    twin = replace(GOOD, path="/v1/things/{id}")
    assert problems_of([GOOD, twin]) == ["GET /v1/things/{id} is there twice, also as /v1/things/{thing_id}"]
