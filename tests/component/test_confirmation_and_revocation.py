"""Between auth and the gateway: a token in use ends the time of lost replies, an ended session ends its tokens."""

from typing import Any

import pytest
import redis
from psycopg import Connection
from urllib3.exceptions import HTTPError

from shared.streams import CONFIRMATIONS, REFILLED, REVOCATIONS
from tests.support.http import Api
from tests.support.phone import Phone
from tests.support.waiting import eventually
from tools.stack import Stack

CONFIRMED = "SELECT confirmed_at IS NOT NULL FROM sessions WHERE account_id = %s AND ended_at IS NULL"
AGE = """
    UPDATE sessions SET rotated_at = rotated_at - %(s)s * interval '1 second',
                        confirmed_at = confirmed_at - %(s)s * interval '1 second'
    WHERE account_id = %(a)s
"""


def use_access_token_and_wait(phone: Phone, auth_sql: Connection) -> None:
    assert phone.get("/v1/users/me").status == 200
    eventually(lambda: auth_sql.execute(CONFIRMED, (phone.user["id"],)).fetchone() == (True,))


def written(valkey: redis.Redis) -> int:
    """How many confirmations gateways have ever written."""
    stream: Any = valkey.xinfo_stream(CONFIRMATIONS)
    return int(stream["entries-added"])


def tell_auth(valkey: redis.Redis, phone: Phone, auth_sql: Connection, *, generation: int) -> None:
    """Say what a gateway says that sees an access token of this generation for the first time."""
    [[session_id]] = auth_sql.execute("SELECT id FROM sessions WHERE account_id = %s", (phone.user["id"],)).fetchall()
    valkey.xadd(CONFIRMATIONS, {"sid": str(session_id), "gen": str(generation)})
    # What was taken note of is taken out of the stream.
    eventually(lambda: valkey.xlen(CONFIRMATIONS) == 0)


def grow_older(phone: Phone, auth_sql: Connection, seconds: int) -> None:
    auth_sql.execute(AGE, {"s": seconds, "a": phone.user["id"]})


def test_ten_minutes_after_a_lost_reply_the_old_token_still_gets_the_same_successor(
    phone: Phone, auth_sql: Connection
) -> None:
    spent = phone.refresh_token
    successor = phone.refresh().data["refresh_token"]
    grow_older(phone, auth_sql, 600)
    assert phone.refresh(spent).data["refresh_token"] == successor


def test_within_a_minute_of_the_first_use_the_old_token_still_gets_the_same_successor(
    phone: Phone, auth_sql: Connection
) -> None:
    spent = phone.refresh_token
    successor = phone.refresh().data["refresh_token"]
    use_access_token_and_wait(phone, auth_sql)
    grow_older(phone, auth_sql, 55)
    assert phone.refresh(spent).data["refresh_token"] == successor


def test_a_lost_reply_is_forgiven_in_an_old_session_too(phone: Phone, auth_sql: Connection) -> None:
    grow_older(phone, auth_sql, 3 * 24 * 60 * 60)
    spent = phone.refresh_token
    successor = phone.refresh().data["refresh_token"]
    assert phone.refresh(spent).data["refresh_token"] == successor


def test_a_lost_reply_is_forgiven_also_when_the_pair_before_was_in_use(phone: Phone, auth_sql: Connection) -> None:
    phone.refresh()
    use_access_token_and_wait(phone, auth_sql)
    spent = phone.refresh_token
    successor = phone.refresh().data["refresh_token"]
    grow_older(phone, auth_sql, 600)
    assert phone.refresh(spent).data["refresh_token"] == successor


def test_a_token_that_is_seen_again_by_another_gateway_does_not_prolong_the_time_of_lost_replies(
    phone: Phone, auth_sql: Connection, valkey: redis.Redis
) -> None:
    spent = phone.refresh_token
    phone.refresh()
    use_access_token_and_wait(phone, auth_sql)
    grow_older(phone, auth_sql, 65)
    tell_auth(valkey, phone, auth_sql, generation=1)
    assert phone.refresh(spent).error_code == "AUTH_006"


def test_an_older_access_token_in_use_does_not_end_the_time_of_lost_replies(
    phone: Phone, auth_sql: Connection, valkey: redis.Redis
) -> None:
    phone.refresh()
    spent = phone.refresh_token
    successor = phone.refresh().data["refresh_token"]
    tell_auth(valkey, phone, auth_sql, generation=1)
    grow_older(phone, auth_sql, 65)
    assert phone.refresh(spent).data["refresh_token"] == successor


def test_later_the_old_token_is_a_theft_that_ends_this_session_and_no_other(phone: Phone, auth_sql: Connection) -> None:
    other = Phone(phone.api, email=phone.email).sign_in()
    spent = phone.refresh_token
    phone.refresh()
    newest = phone.access_token
    assert phone.get("/v1/users/me").status == 200
    eventually(lambda: auth_sql.execute(CONFIRMED + " AND generation = 1", (phone.user["id"],)).fetchone() == (True,))
    grow_older(phone, auth_sql, 65)
    assert phone.refresh(spent).error_code == "AUTH_006"
    eventually(lambda: phone.api.get("/v1/users/me", token=newest).status == 401, seconds=1)
    assert phone.api.get("/v1/users/me", token=newest).error_code == "AUTH_003"
    assert other.get("/v1/users/me").status == 200
    assert other.refresh().status == 200
    ended = auth_sql.execute(
        "SELECT end_reason FROM sessions WHERE account_id = %s AND ended_at IS NOT NULL", (phone.user["id"],)
    )
    assert ended.fetchall() == [("reuse_detected",)]


def test_a_token_whose_successor_was_presented_is_good_for_its_successor_for_a_minute_and_then_a_theft(
    phone: Phone, auth_sql: Connection
) -> None:
    grandparent = phone.refresh_token
    parent = phone.refresh().data["refresh_token"]
    phone.refresh()
    grow_older(phone, auth_sql, 55)
    assert phone.refresh(grandparent).data["refresh_token"] == parent
    grow_older(phone, auth_sql, 10)
    assert phone.refresh(grandparent).error_code == "AUTH_006"


def test_a_lost_reply_is_not_answered_again_after_a_day(phone: Phone, auth_sql: Connection) -> None:
    spent = phone.refresh_token
    phone.refresh()
    grow_older(phone, auth_sql, 24 * 60 * 60 + 1)
    assert phone.refresh(spent).error_code == "AUTH_006"


def test_the_tokens_of_a_sign_in_and_a_token_seen_twice_cost_no_word_to_auth(
    phone: Phone, valkey: redis.Redis, auth_sql: Connection
) -> None:
    phone.refresh()
    use_access_token_and_wait(phone, auth_sql)
    before = written(valkey)
    for _ in range(20):
        assert phone.get("/v1/users/me").status == 200
    assert Phone(phone.api).sign_up().get("/v1/users/me").status == 200
    fresh = Phone(phone.api).sign_up()
    fresh.refresh()
    use_access_token_and_wait(fresh, auth_sql)
    assert written(valkey) == before + 1


@pytest.mark.parametrize("way", ["log out", "end from another device", "limit", "theft"])
def test_a_session_that_ends_is_announced_at_once_and_not_only_by_the_worker(
    stack: Stack, phone: Phone, auth_sql: Connection, way: str
) -> None:
    other = Phone(phone.api, email=phone.email).sign_in()
    assert phone.get("/v1/users/me").status == 200
    stack.processes["worker"].stop()
    try:
        match way:
            case "log out":
                phone.log_out()
            case "end from another device":
                own = next(one for one in phone.get("/v1/auth/sessions").data if one["is_current"])
                assert other.send("DELETE", f"/v1/auth/sessions/{own['id']}").status == 200
            case "limit":
                for _ in range(20):
                    Phone(phone.api, email=phone.email).sign_in()
            case "theft":
                spent = phone.refresh_token
                phone.refresh()
                grow_older(phone, auth_sql, 24 * 60 * 60 + 1)
                assert phone.refresh(spent).error_code == "AUTH_006"
        eventually(lambda: phone.get("/v1/users/me").failed_with("AUTH_003"), seconds=1)
    finally:
        stack.processes["worker"].start()
        stack.processes["worker"].wait_ready(30)


def test_an_ended_session_stays_ended_when_redis_is_emptied(
    stack: Stack, phone: Phone, valkey: redis.Redis, auth_sql: Connection
) -> None:
    assert phone.log_out().status == 200
    eventually(lambda: phone.get("/v1/users/me").status == 401)
    # Announced by the request and repeated by the worker, which takes it for known from then on.
    [[ended]] = auth_sql.execute("SELECT id FROM sessions WHERE account_id = %s", (phone.user["id"],)).fetchall()
    eventually(lambda: str(valkey.xrange(REVOCATIONS)).count(str(ended)) == 2)
    valkey.flushall()
    assert phone.get("/v1/users/me").error_code == "AUTH_003"
    eventually(lambda: valkey.exists(REFILLED))
    held: Any = valkey.xlen(REVOCATIONS)
    stack.processes["gateway"].stop()
    stack.processes["gateway"].start()
    stack.processes["gateway"].wait_ready(30)
    assert phone.get("/v1/users/me").error_code == "AUTH_003"
    assert held


def test_a_session_that_ends_while_redis_is_down_is_refused_when_it_is_back(
    stack: Stack, phone: Phone, valkey: redis.Redis
) -> None:
    stack.processes["valkey"].pause()
    try:
        assert phone.log_out().status == 200
        assert phone.get("/v1/users/me").status == 200
    finally:
        stack.processes["valkey"].resume()
    answer: Any = eventually(lambda: _refusal(phone))
    assert answer == "AUTH_003"


def test_what_a_worker_had_in_hand_when_it_was_killed_is_confirmed_by_the_next(
    stack: Stack, phone: Phone, auth_sql: Connection, valkey: redis.Redis
) -> None:
    worker = stack.processes["worker"]
    worker.kill()
    try:
        phone.refresh()
        assert phone.get("/v1/users/me").status == 200
        # The worker's group and its own name.
        eventually(lambda: valkey.xreadgroup("auth", "worker", {CONFIRMATIONS: ">"}))
    finally:
        worker.start()
        worker.wait_ready(30)
    eventually(lambda: auth_sql.execute(CONFIRMED, (phone.user["id"],)).fetchone() == (True,))


def test_a_gateway_is_not_ready_before_it_knows_who_was_signed_out(stack: Stack, valkey: redis.Redis) -> None:
    stack.processes["worker"].stop()
    try:
        valkey.flushall()
        stack.processes["gateway"].stop()
        stack.processes["gateway"].start()
        # Everything else is there: it has the keys.
        eventually(lambda: _status(stack, "/.well-known/jwks.json") == 200)
        assert _status(stack, "/health/ready") == 503
    finally:
        stack.processes["worker"].start()
    stack.processes["gateway"].wait_ready(30)


def _refusal(phone: Phone) -> str | None:
    answer = phone.get("/v1/users/me")
    return answer.error_code if answer.status == 401 else None


def _status(stack: Stack, path: str) -> int | None:
    try:
        return Api(stack.gateway_url).get(path).status
    except HTTPError:
        return None


def test_a_database_that_lost_the_newest_refreshes_signs_nobody_out(phone: Phone, auth_sql: Connection) -> None:
    before = phone.refresh_token
    for _ in range(3):
        phone.refresh()
    auth_sql.execute("UPDATE sessions SET generation = 1 WHERE account_id = %s", (phone.user["id"],))
    assert phone.refresh().status == 200
    use_access_token_and_wait(phone, auth_sql)
    grow_older(phone, auth_sql, 65)
    # What was spent is spent still.
    assert phone.refresh(before).error_code == "AUTH_006"
