"""Whoever guesses the secret of a service is slowed and recorded, and the service itself is never locked out."""

from collections.abc import Iterator

import pytest
from psycopg import Connection

from tests.conftest import CLIENT_ID, CLIENT_SECRET
from tests.support.crowd import Place, auth_with, retry_after
from tests.support.http import Answer, Api
from tools.stack import Stack

FREE = 3
REFUSED = "SELECT details FROM audit_events WHERE event = 'service_token_refused' AND network = %s"


@pytest.fixture(scope="module")
def strict(stack: Stack, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Api]:
    """Auth with a small number of free attempts."""
    with auth_with(stack, tmp_path_factory, SIGN_IN_FREE_FAILURES=str(FREE)) as api:
        yield api


def ask(place: Place, secret: str, client_id: str = CLIENT_ID) -> Answer:
    return place.post("/internal/token", {"client_id": client_id, "client_secret": secret, "audience": "users"})


@pytest.mark.parametrize("client_id", [CLIENT_ID, "a service that nobody knows"])
def test_wrong_secrets_from_one_network_are_slowed(strict: Api, client_id: str) -> None:
    guesser = Place(strict)
    answers = [ask(guesser, f"guess {number}", client_id) for number in range(FREE + 1)]
    assert [answer.error_code for answer in answers] == ["AUTH_401"] * FREE + ["AUTH_429"]
    assert retry_after(answers[-1]) >= 1
    assert ask(Place(strict), "a guess from elsewhere", client_id).error_code == "AUTH_401"


def test_the_right_secret_gets_its_token_while_somebody_guesses_at_the_same_address(strict: Api) -> None:
    place = Place(strict)
    for number in range(FREE + 2):
        ask(place, f"guess {number}")
    assert ask(place, "one more").status == 429
    assert ask(place, CLIENT_SECRET).status == 200


def test_wrong_secrets_are_recorded_without_the_secret_and_not_without_end(strict: Api, auth_sql: Connection) -> None:
    guesser, stranger = Place(strict), Place(strict)
    for number in range(FREE + 3):
        ask(guesser, f"guess {number}")
    ask(stranger, "a guess", "somebody's secret, in the wrong field")
    assert auth_sql.execute(REFUSED, (guesser.address,)).fetchall() == [({"client": CLIENT_ID},)] * FREE
    assert auth_sql.execute(REFUSED, (stranger.address,)).fetchall() == [({"client": "unknown"},)]
