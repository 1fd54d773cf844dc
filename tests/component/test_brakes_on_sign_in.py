"""Guessing passwords gets slower and slower, wherever it comes from, and nobody is locked out by it."""

import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis
from psycopg import Connection

from tests.support.crowd import Place, at_once, auth_with, gateway_before, new_push_token, retry_after, somewhere
from tests.support.http import Api
from tests.support.phone import Phone, new_email
from tests.support.waiting import eventually
from tools.stack import Stack

FREE, ACCOUNT_FREE, PER_NETWORK = 3, 8, 20
# What a machine that stands still for a moment may take off a wait before it is told.
STALL_SECONDS = 10


@pytest.fixture(scope="module")
def quick(stack: Stack, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Api]:
    """Auth with small numbers and waits of seconds, which are over for nobody whose machine stands still for two."""
    with auth_with(
        stack,
        tmp_path_factory,
        SIGN_IN_FREE_FAILURES=str(FREE),
        ACCOUNT_FREE_FAILURES=str(ACCOUNT_FREE),
        SIGN_IN_FIRST_DELAY="4",
        SIGN_IN_GREATEST_DELAY="60",
    ) as api:
        yield api


@pytest.fixture(scope="module")
def strict(stack: Stack, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Api]:
    """Auth with small numbers and waits longer than any test."""
    with auth_with(
        stack,
        tmp_path_factory,
        SIGN_IN_FREE_FAILURES=str(FREE),
        ACCOUNT_FREE_FAILURES=str(ACCOUNT_FREE),
        SIGN_IN_FIRST_DELAY="300",
        SIGN_IN_GREATEST_DELAY="1000",
        NETWORK_FAILURES_PER_MINUTE=str(PER_NETWORK),
    ) as api:
        yield api


def attack(auth: Api, email: str) -> None:
    """Guess from many networks until strangers have to wait."""
    codes = [Place(auth).guess(email).error_code for _ in range(ACCOUNT_FREE + 1)]
    assert codes == ["AUTH_001"] * ACCOUNT_FREE + ["AUTH_429"]


def let_pass(valkey: redis.Redis, seconds: int) -> None:
    """What was counted of places was counted so much earlier."""
    for key in valkey.scan_iter("latchkey:brake:place:*"):
        valkey.hincrbyfloat(key, "moment", -seconds)


def test_a_few_wrong_passwords_cost_nothing_and_then_each_waits_longer(strict: Api, valkey: redis.Redis) -> None:
    home = Place(strict)
    email = home.sign_up()
    assert {home.guess(email).error_code for _ in range(FREE)} == {"AUTH_001"}
    for wait in (300, 600, 1000, 1000):
        assert wait - STALL_SECONDS < retry_after(home.guess(email)) <= wait
        let_pass(valkey, wait - 2 * STALL_SECONDS)
        assert 1 <= retry_after(home.guess(email)) <= 2 * STALL_SECONDS
        let_pass(valkey, 2 * STALL_SECONDS)
        assert home.guess(email).error_code == "AUTH_001"


def test_whoever_waits_as_long_as_told_gets_in(quick: Api) -> None:
    home = Place(quick)
    email = home.sign_up()
    for _ in range(FREE):
        home.guess(email)
    wait = retry_after(home.sign_in(email))
    time.sleep(wait)
    assert home.sign_in(email).status == 200


def test_being_refused_does_not_make_the_wait_longer(strict: Api) -> None:
    home = Place(strict)
    email = home.sign_up()
    for _ in range(FREE):
        home.guess(email)
    waits = [retry_after(home.guess(email)) for _ in range(20)]
    assert max(waits) <= 300


def test_the_right_password_makes_up_for_mistyped_ones_and_is_never_counted(strict: Api) -> None:
    home = Place(strict)
    email = home.sign_up()
    for _ in range(FREE + 2):
        assert home.guess(email).error_code == "AUTH_001"
        assert home.sign_in(email).status == 200


def test_whoever_is_told_that_the_account_is_disabled_knows_the_password_and_is_not_counted(
    strict: Api, auth_sql: Connection
) -> None:
    home = Place(strict)
    email = home.sign_up()
    auth_sql.execute("UPDATE accounts SET disabled_at = now() WHERE email = %s", (email,))
    assert [home.sign_in(email).error_code for _ in range(FREE + 2)] == ["AUTH_007"] * (FREE + 2)


def test_a_hundred_guesses_at_once_are_no_more_than_the_free_ones(strict: Api) -> None:
    home = Place(strict)
    email = home.sign_up()
    codes = [answer.error_code for answer in at_once(100, lambda _: home.guess(email))]
    # Some may find all places for hashing taken, and have checked no password.
    assert 1 <= codes.count("AUTH_001") <= FREE
    assert set(codes) <= {"AUTH_001", "AUTH_429", "SRV_503"}


def test_a_hundred_guesses_at_once_from_a_hundred_networks_are_no_more_than_the_accounts(strict: Api) -> None:
    email = Place(strict).sign_up()
    codes = [answer.error_code for answer in at_once(100, lambda _: Place(strict).guess(email))]
    assert 1 <= codes.count("AUTH_001") <= ACCOUNT_FREE
    assert set(codes) <= {"AUTH_001", "AUTH_429", "SRV_503"}


def test_an_unknown_email_is_braked_like_a_known_one(strict: Api) -> None:
    email, nobody = Place(strict).sign_up(), new_email()
    stranger, other = Place(strict), Place(strict)
    known = [stranger.guess(email).error_code for _ in range(FREE + 2)]
    assert [other.guess(nobody).error_code for _ in range(FREE + 2)] == known
    attack(strict, new_email())


def test_guesses_from_elsewhere_do_not_slow_the_owner_at_home(strict: Api) -> None:
    home, elsewhere = Place(strict), Place(strict)
    email = home.sign_up()
    for _ in range(FREE + 1):
        elsewhere.guess(email)
    retry_after(elsewhere.sign_in(email))
    assert home.sign_in(email).status == 200


def test_an_attacker_in_the_same_network_slows_neither_a_known_device_nor_the_owner_elsewhere(strict: Api) -> None:
    home, elsewhere = Place(strict), Place(strict)
    device = Place(strict, home.address, new_push_token())
    email = device.sign_up()
    for _ in range(FREE):
        home.guess(email)
    retry_after(home.sign_in(email))
    assert device.sign_in(email).status == 200
    retry_after(home.sign_in(email))
    assert elsewhere.sign_in(email).status == 200


def test_during_an_attack_from_many_networks_a_known_network_gets_in(strict: Api) -> None:
    home = Place(strict)
    email = home.sign_up()
    attack(strict, email)
    assert home.guess(email).error_code == "AUTH_001"
    assert home.sign_in(email).status == 200


@pytest.mark.parametrize("signed_out", [False, True])
def test_during_an_attack_a_known_device_gets_in_from_a_network_that_was_never_seen(
    strict: Api, signed_out: bool
) -> None:
    push_token = new_push_token()
    email = Place(strict).sign_up()
    tokens = Place(strict, push_token=push_token).sign_in(email).data
    if signed_out:
        strict.post("/v1/auth/logout", {"scope": "all"}, token=tokens["access_token"])
    attack(strict, email)
    travelling = Place(strict, push_token=push_token)
    assert travelling.guess(email).error_code == "AUTH_001"
    assert travelling.sign_in(email).status == 200


def test_a_device_whose_push_token_was_changed_is_known_by_the_new_one(strict: Api) -> None:
    email = Place(strict).sign_up()
    tokens = Place(strict, push_token=new_push_token()).sign_in(email).data
    renewed = new_push_token()
    change = strict.send("PUT", "/v1/auth/device", {"notification_device_id": renewed}, token=tokens["access_token"])
    assert change.status == 200
    attack(strict, email)
    assert Place(strict, push_token=renewed).sign_in(email).status == 200


def test_somebody_elses_device_and_network_are_not_known(strict: Api) -> None:
    email, push_token = Place(strict).sign_up(), new_push_token()
    attacker = Place(strict, push_token=push_token)
    attacker.sign_up()
    attack(strict, email)
    retry_after(attacker.sign_in(email))


def test_making_up_push_tokens_gives_no_further_guesses(strict: Api) -> None:
    email, address = Place(strict).sign_up(), somewhere()
    codes = [Place(strict, address, new_push_token()).guess(email).error_code for _ in range(FREE + 2)]
    assert codes == ["AUTH_001"] * FREE + ["AUTH_429"] * 2


def test_a_known_device_may_not_guess_for_ever_either(strict: Api) -> None:
    email, push_token = Place(strict).sign_up(), new_push_token()
    Place(strict, push_token=push_token).sign_in(email)
    # A new network for each guess.
    codes = [Place(strict, push_token=push_token).guess(email).error_code for _ in range(FREE + 2)]
    assert codes == ["AUTH_001"] * FREE + ["AUTH_429"] * 2


def test_during_an_attack_a_stranger_waits_and_then_gets_in_whatever_the_attackers_do(quick: Api) -> None:
    email, stranger = Place(quick).sign_up(), Place(quick)
    attackers = [Place(quick) for _ in range(ACCOUNT_FREE)]
    for attacker in attackers:
        attacker.guess(email)
    wait = retry_after(stranger.sign_in(email))
    until = time.monotonic() + wait
    while time.monotonic() < until:
        for attacker in attackers:
            attacker.guess(email)
    assert stranger.sign_in(email).status == 200


def test_during_an_attack_every_network_waits_for_itself_and_all_of_a_48_as_one(strict: Api) -> None:
    email = Place(strict).sign_up()
    attack(strict, email)
    first = retry_after(Place(strict, "2001:db8:77:1::1").sign_in(email))
    neighbour = Place(strict, "2001:db8:77:2::1")
    eventually(lambda: retry_after(neighbour.sign_in(email)) < first)
    assert retry_after(Place(strict, "2001:db8:78:1::1").sign_in(email)) == first


def test_an_attack_on_one_account_slows_no_other(strict: Api) -> None:
    attack(strict, Place(strict).sign_up())
    other = Place(strict).sign_up()
    assert Place(strict).sign_in(other).status == 200


def test_one_network_that_tries_many_accounts_is_slowed_and_the_people_behind_it_are_not(strict: Api) -> None:
    carrier = Place(strict)
    email = carrier.sign_up()
    started, guesses = time.monotonic(), 0
    while (answer := carrier.guess(new_email())).status == 401 and guesses < 5 * PER_NETWORK:
        guesses += 1
    assert retry_after(answer) <= 60 / PER_NETWORK
    forgotten_meanwhile = (time.monotonic() - started) * PER_NETWORK / 60
    assert PER_NETWORK <= guesses <= PER_NETWORK + forgotten_meanwhile + 1
    assert carrier.sign_in(email).status == 200


def test_while_a_network_waits_an_unknown_email_and_an_account_of_another_network_are_one_answer(strict: Api) -> None:
    attacker, answers = Place(strict), []
    for email in (new_email(), Place(strict).sign_up()):
        eventually(lambda: attacker.guess(new_email()).status == 429)
        answers.append(attacker.guess(email))
    assert [retry_after(answer) <= 60 / PER_NETWORK for answer in answers] == [True, True]
    assert answers[0].body == answers[1].body


def test_an_ipv6_network_is_a_64(strict: Api) -> None:
    email = Place(strict).sign_up()
    codes = [Place(strict, f"2001:db8:99:1::{number:x}").guess(email).error_code for number in range(FREE + 1)]
    assert codes == ["AUTH_001"] * FREE + ["AUTH_429"]
    assert Place(strict, "2001:db8:99:2::1").guess(email).error_code == "AUTH_001"


def test_addresses_that_a_stranger_makes_up_change_nothing(stack: Stack, strict: Api, log_path: Path) -> None:
    with gateway_before(strict, stack, log_path) as gateway:
        email = Phone(gateway).sign_up().email
        wrong = {**Phone(gateway, email=email).credentials, "password": "wrong password"}
        codes = [
            gateway.post("/v1/auth/login", wrong, headers={name: somewhere()}).error_code
            for name in ("X-Forwarded-For", "X-Real-IP", "Forwarded", "X-Client-IP", "True-Client-IP")
        ]
        assert codes == ["AUTH_001"] * FREE + ["AUTH_429"] * 2


def test_behind_one_trusted_proxy_only_what_it_has_added_counts(stack: Stack, strict: Api, log_path: Path) -> None:
    with gateway_before(strict, stack, log_path, TRUSTED_HOPS="1") as gateway:
        email, address = Place(strict).sign_up(), somewhere()
        places = [Place(gateway, f"{somewhere()}, {address}") for _ in range(FREE + 1)]
        assert [place.guess(email).error_code for place in places] == ["AUTH_001"] * FREE + ["AUTH_429"]
        assert Place(gateway, f"{address}, {somewhere()}").guess(email).error_code == "AUTH_001"
