"""Of the places for signing in and up nobody gets so many that others find none."""

import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import pytest
from psycopg import Connection, connect

from tests.support.crowd import Place, at_once, auth_with, new_push_token
from tests.support.http import Answer, Api
from tests.support.phone import new_email
from tests.support.waiting import eventually
from tools.stack import Stack

# Of eight places.
OF_A_NETWORK, OF_AN_EMAIL, OF_A_DEVICE = 6, 3, 2
CROWD = 24
# Whoever waits for the lock in vain does so for three seconds.
SOON_SECONDS = 2.0
WAITING = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()"
# Sign-ins of these people wait, holding their places, until the transaction ends.
HOLD = "SELECT FROM accounts WHERE email = ANY(%s) FOR UPDATE"
HOLD_SIGN_UPS = "LOCK TABLE accounts IN SHARE MODE"


@pytest.fixture(scope="module")
def usual(stack: Stack, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Api]:
    """One process of auth with the usual number of places."""
    with auth_with(stack, tmp_path_factory) as api:
        yield api


@pytest.fixture(scope="module")
def slow(stack: Stack, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Api]:
    """Auth whose hashes take so long that whoever comes at once is there at the same time."""
    with auth_with(stack, tmp_path_factory, ARGON2_TIME_COST="20") as api:
        yield api


@pytest.fixture
def holder(stack: Stack) -> Iterator[Connection]:
    """A transaction that others wait for until it is rolled back."""
    with connect(stack.database_url("auth")) as connection:
        yield connection


@pytest.fixture
def pool() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(CROWD) as pool:
        yield pool


class Crowd:
    """Calls at once, of which some must wait for a lock and the others are refused meanwhile."""

    def __init__(
        self, pool: ThreadPoolExecutor, auth_sql: Connection, calls: Sequence[Callable[[], Answer]], *, waiting: int
    ) -> None:
        self._calls = [pool.submit(timed, call) for call in calls]
        eventually(lambda: auth_sql.execute(WAITING).fetchone() == (waiting,))
        eventually(lambda: len(self._answered()) == len(calls) - waiting)

    def is_told_to_come_back(self) -> bool:
        """Whether those who were refused were so at once, and not because they had waited in vain."""
        return all(
            answer.error_code == "SRV_503" and 1 <= int(answer.headers["Retry-After"]) <= 5 and seconds < SOON_SECONDS
            for answer, seconds in self._answered()
        )

    def statuses(self) -> list[int]:
        """In the end, of all."""
        return sorted(call.result()[0].status for call in self._calls)

    def _answered(self) -> list[tuple[Answer, float]]:
        return [call.result() for call in self._calls if call.done()]


def timed(call: Callable[[], Answer]) -> tuple[Answer, float]:
    began = time.monotonic()
    return call(), time.monotonic() - began


def test_who_signs_in_again_and_again_with_the_right_password_keeps_nobody_else_out(
    usual: Api, holder: Connection, auth_sql: Connection, pool: ThreadPoolExecutor
) -> None:
    home, elsewhere = Place(usual), Place(usual)
    email, other = home.sign_up(), home.sign_up()
    holder.execute(HOLD, ([email],))
    crowd = Crowd(pool, auth_sql, [partial(home.sign_in, email)] * CROWD, waiting=OF_A_DEVICE)
    assert crowd.is_told_to_come_back()
    assert [home.sign_in(other).status, elsewhere.sign_in(other).status] == [200, 200]
    holder.rollback()
    assert crowd.statuses() == [200] * OF_A_DEVICE + [503] * (CROWD - OF_A_DEVICE)


def test_who_signs_in_to_an_account_elsewhere_does_not_keep_its_owner_out(
    usual: Api, holder: Connection, auth_sql: Connection, pool: ThreadPoolExecutor
) -> None:
    home, elsewhere = Place(usual), Place(usual)
    email = home.sign_up()
    holder.execute(HOLD, ([email],))
    crowd = Crowd(pool, auth_sql, [partial(elsewhere.sign_in, email)] * CROWD, waiting=OF_A_DEVICE)
    assert crowd.is_told_to_come_back()
    assert home.guess(email).error_code == "AUTH_001"
    holder.rollback()
    assert crowd.statuses().count(200) == OF_A_DEVICE


def test_who_makes_up_push_tokens_keeps_nobody_else_in_the_network_out(
    usual: Api, holder: Connection, auth_sql: Connection, pool: ThreadPoolExecutor
) -> None:
    home = Place(usual)
    email, other = home.sign_up(), home.sign_up()
    holder.execute(HOLD, ([email],))
    sign_ins = [partial(Place(usual, home.address, new_push_token()).sign_in, email) for _ in range(CROWD)]
    crowd = Crowd(pool, auth_sql, sign_ins, waiting=OF_AN_EMAIL)
    assert crowd.is_told_to_come_back()
    assert home.sign_in(other).status == 200
    holder.rollback()
    assert crowd.statuses().count(200) == OF_AN_EMAIL


def test_who_tries_an_account_again_and_again_leaves_a_place_for_the_device_of_its_owner(
    usual: Api, holder: Connection, auth_sql: Connection, pool: ThreadPoolExecutor
) -> None:
    home = Place(usual)
    device = Place(usual, home.address, new_push_token())
    email = device.sign_up()
    holder.execute(HOLD, ([email],))
    crowd = Crowd(pool, auth_sql, [partial(home.sign_in, email)] * CROWD, waiting=OF_A_DEVICE)
    assert crowd.is_told_to_come_back()
    assert device.guess(email).error_code == "AUTH_001"
    holder.rollback()
    assert crowd.statuses().count(200) == OF_A_DEVICE


@pytest.mark.parametrize("addresses", [["198.51.100.9"], ["2001:db8:55:1::1", "2001:db8:55:2::1"]], ids=["IPv4", "/48"])
def test_a_network_that_signs_in_to_many_accounts_keeps_no_other_network_out(
    usual: Api, holder: Connection, auth_sql: Connection, pool: ThreadPoolExecutor, addresses: list[str]
) -> None:
    attackers, home = [Place(usual, address) for address in addresses], Place(usual)
    emails, mine = [home.sign_up() for _ in range(CROWD)], home.sign_up()
    holder.execute(HOLD, (emails,))
    sign_ins = [partial(attackers[number % len(attackers)].sign_in, email) for number, email in enumerate(emails)]
    crowd = Crowd(pool, auth_sql, sign_ins, waiting=OF_A_NETWORK)
    assert crowd.is_told_to_come_back()
    assert home.sign_in(mine).status == 200
    holder.rollback()
    assert crowd.statuses() == [200] * OF_A_NETWORK + [503] * (CROWD - OF_A_NETWORK)


def test_a_network_that_signs_up_keeps_no_other_network_out(
    usual: Api, holder: Connection, auth_sql: Connection, pool: ThreadPoolExecutor
) -> None:
    attacker, home = Place(usual), Place(usual)
    email = home.sign_up()
    form = {"password": "a long and winding road", "device_type": "iOS"}
    holder.execute(HOLD_SIGN_UPS)
    sign_ups = [partial(attacker.post, "/v1/auth/signup", {**form, "email": new_email()}) for _ in range(CROWD)]
    crowd = Crowd(pool, auth_sql, sign_ups, waiting=OF_A_NETWORK)
    assert crowd.is_told_to_come_back()
    assert home.sign_in(email).status == 200
    holder.rollback()
    assert crowd.statuses() == [201] * OF_A_NETWORK + [503] * (CROWD - OF_A_NETWORK)


def test_an_unknown_email_has_the_share_of_a_known_one(slow: Api) -> None:
    place = Place(slow)
    for email in (place.sign_up(), new_email()):
        answers = at_once(OF_A_NETWORK, lambda _, email=email: place.guess(email))
        assert sorted(answer.status for answer in answers) == [401] * OF_A_DEVICE + [503] * (OF_A_NETWORK - OF_A_DEVICE)
