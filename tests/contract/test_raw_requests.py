"""Whatever arrives at the gateway's socket, one request gets at most one answer, and that is the envelope."""

import pytest

from shared.catalogue import CATALOGUE
from tests.support.conformance import DOCUMENT, RawOutcome, document
from tests.support.matrix import Outcome
from tests.support.raw_requests import RAW_REQUESTS, RawRequest


@pytest.fixture(scope="module", params=RAW_REQUESTS, ids=lambda request: request.name)
def outcome(request: pytest.FixtureRequest, raw_outcomes: dict[str, RawOutcome]) -> RawOutcome:
    """What came of one of them."""
    raw: RawRequest = request.param
    return raw_outcomes[raw.name]


def test_there_are_as_many_as_promised() -> None:
    assert len({request.name for request in RAW_REQUESTS}) == len({request.sent for request in RAW_REQUESTS}) > 100


def test_every_answer_is_the_envelope(outcome: RawOutcome) -> None:
    # Reading the answers has checked that there are not more than requests, and not a byte between or behind them.
    for method, answer in zip(outcome.methods, outcome.answers, strict=False):
        if method != "HEAD":
            answer.check_envelope()
        if answer.status >= 400 and method != "HEAD":
            entry = CATALOGUE[answer.error_code]
            assert entry.status == answer.status < 500
            assert not entry.ends_session
    assert b"text/html" not in outcome.received.lower()


def test_the_connection_ends_exactly_where_a_request_is_in_doubt(outcome: RawOutcome) -> None:
    assert outcome.goes_on == (not outcome.request.in_doubt)


def test_what_is_in_doubt_is_told_so_and_reaches_no_service(outcome: RawOutcome) -> None:
    assert outcome.reached <= (0 if outcome.request.in_doubt else len(outcome.request.methods))
    if outcome.request.in_doubt and not outcome.request.cut_off:
        assert outcome.answers[-1].headers["Connection"] == "close"


def test_the_document_says_what_a_gateway_answers(matrix: list[Outcome], raw_outcomes: dict[str, RawOutcome]) -> None:
    assert DOCUMENT.read_text() == document(matrix, raw_outcomes), "run `make conformance` and look at the difference"
