"""A request keeps its id, its trace and its shrinking deadline on the way through the rooms."""

import pytest

from shared.trace import Trace

TRACEPARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


def start(budget: float = 10.0, **headers: str) -> Trace:
    return Trace.start({name.replace("_", "-"): value for name, value in headers.items()}.get, budget)


def test_a_well_formed_request_id_is_taken_over() -> None:
    assert start(X_Request_Id="app-1234.5678_x").request_id == "app-1234.5678_x"


@pytest.mark.parametrize(
    "value", ["", "short", "x" * 129, "with space 123", "line\nbreak-123", "ümlaut-12345", '"quoted-1"']
)
def test_another_request_id_is_replaced(value: str) -> None:
    made = start(X_Request_Id=value).request_id
    assert made != value
    assert len(made) == 32


def test_a_trace_is_continued_with_a_new_parent() -> None:
    onward = start(Traceparent=TRACEPARENT).onward_headers()["Traceparent"]
    version, trace_id, parent_id, flags = onward.split("-")
    assert (version, trace_id, flags) == ("00", "0af7651916cd43dd8448eb211c80319c", "01")
    assert parent_id != "b7ad6b7169203331"


@pytest.mark.parametrize(
    "value",
    [
        "00-" + "0" * 32 + "-b7ad6b7169203331-01",
        "00-0af7651916cd43dd8448eb211c80319c-" + "0" * 16 + "-01",
        "ff-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
        TRACEPARENT.upper(),
        "nonsense",
    ],
)
def test_a_malformed_traceparent_begins_a_new_trace(value: str) -> None:
    assert start(Traceparent=value).trace_id not in value


def test_the_deadline_only_shrinks() -> None:
    assert start(budget=10.0, X_Deadline_Ms="2000").seconds_left <= 2.0
    assert 9.0 < start(budget=10.0, X_Deadline_Ms="60000").seconds_left <= 10.0
    for nonsense in ("-5", "5s", "²", "٣", " 5", "1000000"):
        assert 9.0 < start(budget=10.0, X_Deadline_Ms=nonsense).seconds_left <= 10.0
    assert start(budget=10.0, X_Deadline_Ms="0").onward_headers()["X-Deadline-Ms"] == "0"
