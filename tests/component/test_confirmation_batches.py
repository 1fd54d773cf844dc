"""Auth's worker confirms sessions by the batch, and nobody waits for that."""

import psycopg
import redis
from psycopg import Connection

from shared.streams import CONFIRMATIONS
from tests.support.phone import Phone
from tests.support.waiting import eventually
from tools.stack import Stack

OF_THE_PERSON = "SELECT id, generation FROM sessions WHERE account_id = %s ORDER BY id"
ALL_CONFIRMED = "SELECT bool_and(confirmed_at IS NOT NULL) FROM sessions WHERE account_id = %s"
WAITS_FOR_A_SESSION_SINCE = """
    SELECT waitstart FROM pg_locks JOIN pg_stat_activity USING (pid)
    WHERE waitstart IS NOT NULL AND query LIKE 'UPDATE sessions%'
"""
# PostgreSQL looks for a deadlock once in a wait, after `deadlock_timeout`.
HAS_GIVEN_WAY_OR_WAITED_LONGER_THAN_THE_LOOK = """
    SELECT count(*) = 0 FROM pg_locks
    WHERE waitstart = %s AND waitstart > clock_timestamp() - 1.2 * current_setting('deadlock_timeout')::interval
"""


def test_a_batch_gives_way_to_a_request_that_holds_a_session_and_wants_another(
    stack: Stack, phone: Phone, auth_sql: Connection, valkey: redis.Redis
) -> None:
    Phone(phone.api, email=phone.email).sign_in()
    rows = auth_sql.execute(OF_THE_PERSON, (phone.user["id"],)).fetchall()
    first, last = rows[0][0], rows[-1][0]
    with psycopg.connect(stack.database_url("auth")) as request:
        request.execute("SELECT 1 FROM sessions WHERE id = %s FOR UPDATE", (last,))
        with valkey.pipeline(transaction=True) as batch:
            for session_id, generation in rows:
                batch.xadd(CONFIRMATIONS, {"sid": str(session_id), "gen": str(generation)})
            batch.execute()
        # The batch has the first session and waits for the last, which the request has.
        since = eventually(lambda: auth_sql.execute(WAITS_FOR_A_SESSION_SINCE).fetchone())
        # If it went on waiting, the deadlock would be found in the request's wait, and end the request.
        eventually(lambda: auth_sql.execute(HAS_GIVEN_WAY_OR_WAITED_LONGER_THAN_THE_LOOK, since).fetchone() == (True,))
        request.execute("UPDATE sessions SET last_used_at = now() WHERE id = %s", (first,))
    eventually(lambda: auth_sql.execute(ALL_CONFIRMED, (phone.user["id"],)).fetchone() == (True,))
