"""Sign-up and profile belong together, whatever is down or dies in between."""

import threading
from collections.abc import Callable, Iterator

import pytest
from psycopg import Connection

from tests.support.http import Api
from tests.support.phone import Phone
from tests.support.waiting import eventually
from tools.stack import Stack

ALL = ("postgres", "valkey", "auth", "users", "worker", "gateway")


@pytest.fixture(autouse=True)
def everything_runs_again(stack: Stack) -> Iterator[None]:
    """Leaves the stack as it was found."""
    yield
    for name in ALL:
        process = stack.processes[name]
        process.resume()
        if not process.is_running():
            process.start()
            process.wait_ready(30)
    eventually(lambda: Phone(Api(stack.gateway_url)).sign_up().get("/v1/users/me").status == 200, seconds=30)


def arrives(phone: Phone) -> bool:
    answer = phone.get("/v1/users/me")
    if answer.status != 200:
        assert answer.error_code in {"SRV_503", "GW_503", "GW_502"}
        return False
    assert answer.data["email"] == phone.email
    assert (answer.data["name"], answer.data["phone"]) == ("John Doe", "9876543210")
    return True


def deliveries(stack: Stack, phone: Phone) -> int:
    """How often users was told of this account."""
    lines = stack.processes["users"].log_path.read_text().splitlines()
    told = f'"path":"/internal/profiles/{phone.user["id"]}"'
    return sum('"method":"PUT"' in line and told in line for line in lines)


def start(stack: Stack, *names: str) -> None:
    for name in names:
        stack.processes[name].start()
    for name in names:
        stack.processes[name].wait_ready(30)


def test_sign_up_works_while_users_is_down_and_the_profile_arrives_afterwards(
    stack: Stack, new_phone: Callable[[], Phone]
) -> None:
    stack.processes["users"].stop()
    phone = new_phone().sign_up()
    assert phone.user["name"] == "John Doe"
    assert phone.get("/v1/users/me").error_code == "GW_503"
    start(stack, "users")
    eventually(lambda: arrives(phone))


def test_sign_in_works_while_users_is_down_with_name_and_picture_null(stack: Stack, phone: Phone) -> None:
    stack.processes["users"].stop()
    phone.sign_in()
    assert phone.user == {"id": phone.user["id"], "name": None, "email": phone.email, "profile_image": None}
    assert phone.refresh().status == 200


def test_sign_in_works_while_users_hangs(stack: Stack, phone: Phone) -> None:
    stack.processes["users"].pause()
    assert phone.sign_in().user["name"] is None


def test_a_profile_arrives_although_auth_was_killed_between_commit_and_delivery(
    stack: Stack, new_phone: Callable[[], Phone], auth_sql: Connection
) -> None:
    phone = new_phone()
    stack.processes["users"].pause()
    stack.processes["worker"].stop()
    lost_reply = threading.Thread(target=lambda: phone.api.post("/v1/auth/signup", {**phone.credentials}))
    lost_reply.start()
    is_committed = "SELECT count(*) FROM accounts WHERE email = %s"
    eventually(lambda: auth_sql.execute(is_committed, (phone.email,)).fetchone() == (1,))
    stack.processes["auth"].kill()
    lost_reply.join()
    stack.processes["users"].resume()
    start(stack, "auth", "worker")
    phone.sign_in()
    eventually(lambda: phone.get("/v1/users/me").status == 200)


def test_a_profile_arrives_although_the_worker_was_killed_with_it_in_hand(
    stack: Stack, new_phone: Callable[[], Phone], auth_sql: Connection
) -> None:
    stack.processes["users"].pause()
    phone = new_phone().sign_up()
    taken = "SELECT attempts FROM outbox WHERE account_id = %s AND attempts > 0"
    eventually(lambda: auth_sql.execute(taken, (phone.user["id"],)).fetchone())
    stack.processes["worker"].kill()
    stack.processes["users"].resume()
    start(stack, "worker")
    eventually(lambda: arrives(phone))


def test_a_profile_arrives_although_postgresql_was_killed_in_between(
    stack: Stack, new_phone: Callable[[], Phone]
) -> None:
    stack.processes["users"].stop()
    phone = new_phone().sign_up()
    stack.processes["postgres"].kill()
    answer = phone.refresh()
    assert (answer.status, answer.error_code) == (503, "SRV_503")
    assert "Retry-After" in answer.headers
    start(stack, "postgres", "users")
    eventually(lambda: arrives(phone), seconds=30)
    assert phone.refresh().status == 200


def test_an_entry_that_was_delivered_is_left_alone(
    stack: Stack, phone: Phone, new_phone: Callable[[], Phone], auth_sql: Connection
) -> None:
    waiting = "SELECT count(*) FROM outbox WHERE account_id = %s AND delivered_at IS NULL"
    eventually(lambda: auth_sql.execute(waiting, (phone.user["id"],)).fetchone() == (0,))
    before = eventually(lambda: deliveries(stack, phone))
    # What comes after it is left to the worker, whose round would take it along.
    stack.processes["users"].stop()
    newcomer = new_phone().sign_up()
    start(stack, "users")
    eventually(lambda: arrives(newcomer))
    assert deliveries(stack, phone) == before


def test_people_stay_signed_in_while_redis_is_down(stack: Stack, phone: Phone) -> None:
    stack.processes["valkey"].kill()
    assert phone.get("/v1/users/me").status == 200
    assert phone.refresh().status == 200
    assert phone.sign_in().get("/v1/users/me").status == 200
    assert phone.log_out().status == 200
