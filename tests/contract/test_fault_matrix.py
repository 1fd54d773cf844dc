"""Whatever a service does, an app gets the envelope: every fault with every method and every kind of token."""

import json

import pytest

from shared.catalogue import CATALOGUE
from tests.support.faults import CANARIES, FAULTS, REFUSED
from tests.support.http import Answer
from tests.support.matrix import DOORS, OPEN, Outcome, Token, cells

Matrix = list[Outcome]


@pytest.fixture(scope="module")
def reached(matrix: Matrix) -> Matrix:
    """The cells whose request came to the service."""
    return [outcome for outcome in matrix if outcome.cell.reaches_the_service]


def described(outcomes: Matrix) -> list[tuple[str, str, str]]:
    return [(outcome.cell.fault.name, outcome.cell.method, outcome.cell.token.value) for outcome in outcomes]


def test_the_matrix_is_as_large_as_promised() -> None:
    assert len(FAULTS) > 90
    assert len({(cell.fault.name, cell.method, cell.token) for cell in cells()}) == len(list(cells())) > 800


def test_every_answer_is_the_envelope_and_there_is_one_for_each_request(matrix: Matrix) -> None:
    for outcome in matrix:
        # Reading them has checked that there are not more than two, and not a byte between or behind them.
        assert outcome.received.count(b"HTTP/1.1 ") == 2, described([outcome])
        if outcome.cell.method != "HEAD":
            outcome.answer.check_envelope()
            json.loads(outcome.answer.body.decode("utf-8"), parse_constant=pytest.fail)
        assert b"text/html" not in outcome.received.lower()


def test_a_code_is_one_of_the_catalogue_with_its_own_status(matrix: Matrix) -> None:
    for outcome in matrix:
        if outcome.answer.status >= 400 and outcome.cell.method != "HEAD":
            assert CATALOGUE[outcome.answer.error_code].status == outcome.answer.status


def test_a_fault_of_a_service_is_never_500_or_401_and_signs_nobody_out(reached: Matrix) -> None:
    for outcome in reached:
        assert outcome.answer.status not in (401, 500), described([outcome])
        if outcome.answer.status >= 400 and outcome.cell.method != "HEAD":
            assert not CATALOGUE[outcome.answer.error_code].ends_session


def test_a_head_announces_what_a_get_gets(matrix: Matrix) -> None:
    seen: dict[str, dict[str, Answer]] = {}
    for outcome in matrix:
        if outcome.cell.token is Token.GOOD:
            seen.setdefault(outcome.cell.fault.name, {})[outcome.cell.method] = outcome.answer
    for name, answers in seen.items():
        head, get = answers["HEAD"], answers["GET"]
        assert (head.status, head.body) == (get.status, b""), name
        assert head.headers["Content-Length"] == get.headers["Content-Length"] == str(len(get.body)), name


def test_without_a_good_token_a_guarded_door_stays_shut_and_an_open_one_does_not_care(matrix: Matrix) -> None:
    usual = {o.cell.fault.name: o.text for o in matrix if (o.cell.method, o.cell.token) == (OPEN, Token.GOOD)}
    for outcome in matrix:
        if outcome.cell.method == OPEN:
            assert outcome.text == usual[outcome.cell.fault.name], described([outcome])
        elif outcome.cell.token is not Token.GOOD:
            assert outcome.answer.status == 401
            assert outcome.answer.headers["WWW-Authenticate"].startswith("Bearer")


def test_nothing_of_the_inside_gets_out(matrix: Matrix) -> None:
    told = [outcome for outcome in matrix if any(canary in outcome.received for canary in CANARIES)]
    assert described(told) == []


def test_the_log_tells_whose_fault_it_was(reached: Matrix) -> None:
    for outcome in reached:
        [request] = [line for line in outcome.log if line["event"] == "request"]
        expected = outcome.cell.service if outcome.answer.status >= 500 else None
        assert (request["failed"], request["status"]) == (expected, outcome.answer.status)


def test_the_log_shows_what_the_service_said_under_the_id_of_the_request(reached: Matrix) -> None:
    for outcome in reached:
        assert outcome.answer.headers["X-Request-Id"].startswith("cell-")
        faults = [line for line in outcome.log if line["event"] == "upstream_fault"]
        if outcome.answer.status < 400 or outcome.cell.fault.name == "a failure envelope":
            assert faults == []
            continue
        [fault] = faults
        assert fault["failed"] == outcome.cell.service
        assert fault["reason"]
        # What did not arrive in time is not kept.
        if outcome.cell.fault.leaks and outcome.answer.status != 504 and fault["excerpt"] is not None:
            for canary in CANARIES:
                assert canary.decode() in fault["excerpt"], described([outcome])


def test_of_what_an_open_door_answers_well_nothing_is_logged(reached: Matrix) -> None:
    for outcome in reached:
        for line in outcome.log:
            if outcome.cell.method == OPEN and line["event"] == "upstream_fault":
                assert (line["excerpt"] is None) == (line["status"] is None or line["status"] < 300)
            elif line["event"] == "upstream_fault":
                assert line["excerpt"] is not None


def test_every_method_and_every_fault_was_tried(matrix: Matrix) -> None:
    assert {outcome.cell.method for outcome in matrix} == set(DOORS)
    assert {outcome.cell.fault for outcome in matrix} == {*FAULTS.values(), REFUSED}
