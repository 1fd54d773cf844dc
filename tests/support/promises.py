"""What must be true after a fault: nothing acknowledged is lost, nothing happened twice, nobody is signed out."""

from collections.abc import Iterator
from typing import Any

import jwt
import psycopg

from tests.support.http import Api
from tests.support.phone import Phone
from tests.support.steady import UNANSWERED, App, Deed, Town
from tests.support.waiting import eventually

# DEADLINE_SECONDS, and what a busy machine adds.
LONGEST_ANSWER = 10.0 + 3.0
_WITH_RETRY_AFTER = ("503 SRV_503", "503 GW_503")
_WITHOUT = ("502 GW_502", "504 GW_504")
_EXPIRED = "401 AUTH_401"
_ME = "/v1/users/me"


def broken_promises(
    town: Town, auth: psycopg.Connection, users: psycopg.Connection, *, hangs_up: bool = False, expires: bool = False
) -> list[str]:
    """What a town that is at rest and well again has to complain about.

    With `hangs_up` requests may have got no answer, because the gateway itself was killed; with `expires` access tokens
    may have been refused as expired, because clocks differed.
    """
    for newcomer in town.people:
        eventually(newcomer.join)
    found = list(town.surprises)
    found += [f"{deed}" for deed in town.deeds if not _is_honest(deed, hangs_up=hangs_up, expires=expires)]
    for person in town.people:
        found += [f"{person.email}: {complaint}" for complaint in _complaints(person, auth, users)]
    return found


def _is_honest(deed: Deed, *, hangs_up: bool, expires: bool) -> bool:
    if deed.ended - deed.began > LONGEST_ANSWER:
        return False
    if deed.outcome in _WITH_RETRY_AFTER:
        return deed.retry_after is not None and int(deed.retry_after) >= 1
    if deed.outcome.startswith(UNANSWERED):
        return hangs_up
    return deed.worked or deed.outcome in _WITHOUT or (expires and deed.outcome == _EXPIRED)


def _complaints(person: App, auth: psycopg.Connection, users: psycopg.Connection) -> Iterator[str]:
    if person.loops:
        yield f"{person.loops} new access tokens were refused"
    yield from _doubled(person, auth)
    session = jwt.decode(person.access_token, options={"verify_signature": False})["sid"]
    if not person.renew():
        yield "the newest refresh token refreshes no more"
    row = auth.execute("SELECT generation, ended_at FROM sessions WHERE id = %s", (session,)).fetchone()
    if row != (len(person.pairs), None):
        yield f"{len(person.pairs)} refreshes, but generation and end are {row}"
    elsewhere = Phone(Api(person.api.base_url), email=person.email)
    try:
        if elsewhere.sign_in().user["id"] != person.user["id"]:
            yield "signing in opened another account"
    except AssertionError as error:
        yield f"can't sign in: {error}"
    yield from _changed(person, users)
    for phone in (elsewhere, person):
        phone.api.hang_up()


def _doubled(person: App, auth: psycopg.Connection) -> Iterator[str]:
    accounts = _column(auth, "SELECT id FROM accounts WHERE email = %s", person.email)
    if accounts != [person.user["id"]]:
        yield f"accounts {accounts} instead of {person.user['id']}"
    entries = _column(auth, "SELECT count(*) FROM outbox WHERE account_id = %s", person.user["id"])
    if entries != [1]:
        yield f"{entries} words to users about one sign-up"
    ends = _column(auth, "SELECT ended_at FROM sessions WHERE account_id = %s", person.user["id"])
    if not 1 + person.sign_ins_done <= len(ends) <= 1 + person.sign_ins_sent:
        yield f"{len(ends)} sessions after {person.sign_ins_done} of {person.sign_ins_sent} sign-ins"
    if any(ends):
        yield f"sessions have ended: {ends}"


def _changed(person: App, users: psycopg.Connection) -> Iterator[str]:
    # The profile of a sign-up may still be on its way.
    name = eventually(lambda: _name(person))
    [revision] = _column(users, "SELECT revision FROM profiles WHERE id = %s", person.user["id"])
    last = max(person.changes_done, default=0)
    if not last <= int(name) <= person.changes_sent:
        yield f"change {last} was acknowledged, and {name} is read"
    if not len(person.changes_done) <= revision - 1 <= person.changes_sent:
        yield f"{revision - 1} changes of {len(person.changes_done)} to {person.changes_sent}"


def _name(person: App) -> str:
    answer = person.get(_ME)
    return str(answer.data["name"]) if answer.status == 200 else ""


def _column(connection: psycopg.Connection, statement: str, value: object) -> list[Any]:
    return [row[0] for row in connection.execute(statement.encode(), (value,))]
