"""Auth's worker confirms sessions by the batch, and nobody waits for that."""

import time

import psycopg
import redis
from psycopg import Connection

from shared.streams import CONFIRMATIONS
from tests.support.phone import Phone
from tests.support.waiting import eventually
from tools.stack import Stack

OF_THE_PERSON = "SELECT id, generation FROM sessions WHERE account_id = %s ORDER BY id"
ALL_CONFIRMED = "SELECT bool_and(confirmed_at IS NOT NULL) FROM sessions WHERE account_id = %s"
WAITS_FOR_A_SESSION = """
    SELECT count(*) > 0 FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND query LIKE 'UPDATE sessions%'
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
        eventually(lambda: auth_sql.execute(WAITS_FOR_A_SESSION).fetchone() == (True,))
        waiting_since = time.monotonic()
        # PostgreSQL has looked for a deadlock then, and will look again only for the request's sake.
        eventually(lambda: time.monotonic() > waiting_since + 1.2)
        request.execute("UPDATE sessions SET last_used_at = now() WHERE id = %s", (first,))
    eventually(lambda: auth_sql.execute(ALL_CONFIRMED, (phone.user["id"],)).fetchone() == (True,))
