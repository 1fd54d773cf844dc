"""What auth keeps of a password: renewed when that is due, never one that is guessed first, and a queue with an end."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

import bcrypt
import pytest
from argon2 import PasswordHasher
from psycopg import Connection
from werkzeug.security import generate_password_hash

from services.auth import accounts
from services.auth.parts import Parts, build_parts
from services.auth.settings import Settings
from tests.support.http import Api
from tests.support.phone import PASSWORD, Phone, new_email
from tools.stack import Stack

CURRENT = "$argon2id$v=19$m=19456,t=2,p=1$"
STORM = 200


@pytest.fixture
def parts(stack: Stack) -> Iterator[Parts]:
    parts = build_parts(Settings.read(stack.environment("auth")))
    yield parts
    parts.database.engine.dispose()


def stored_hash(phone: Phone, auth_sql: Connection) -> str:
    [[password_hash]] = auth_sql.execute(
        "SELECT password_hash FROM accounts WHERE email = %s", [phone.email]
    ).fetchall()
    return str(password_hash)


def store_hash(phone: Phone, auth_sql: Connection, password_hash: str) -> None:
    auth_sql.execute("UPDATE accounts SET password_hash = %s WHERE email = %s", [password_hash, phone.email])


@pytest.mark.parametrize(
    "old_hash",
    [
        PasswordHasher(memory_cost=8 * 1024, time_cost=1, parallelism=1).hash(PASSWORD),
        bcrypt.hashpw(PASSWORD.encode(), bcrypt.gensalt(4)).decode(),
        generate_password_hash(PASSWORD, "pbkdf2:sha256:1000"),
        generate_password_hash(PASSWORD, "scrypt:1024:8:1"),
    ],
    ids=["cheaper argon2id", "bcrypt", "pbkdf2", "scrypt"],
)
def test_a_password_of_an_older_scheme_or_cost_is_hashed_anew_by_signing_in(
    phone: Phone, auth_sql: Connection, old_hash: str
) -> None:
    store_hash(phone, auth_sql, old_hash)
    wrong = phone.api.post("/v1/auth/login", {**phone.credentials, "password": "wrong password"})
    assert wrong.error_code == "AUTH_001"
    assert stored_hash(phone, auth_sql) == old_hash
    phone.sign_in()
    renewed = stored_hash(phone, auth_sql)
    assert renewed.startswith(CURRENT)
    phone.sign_in()
    assert stored_hash(phone, auth_sql) == renewed


@pytest.mark.parametrize("unusable", ["$2b$04$" + "z" * 53, "scrypt:1048576:1:1$salt$" + "0" * 128])
def test_a_hash_that_can_not_be_verified_is_as_if_every_password_were_wrong(
    phone: Phone, auth_sql: Connection, unusable: str
) -> None:
    store_hash(phone, auth_sql, unusable)
    answer = phone.api.post("/v1/auth/login", phone.credentials)
    assert (answer.status, answer.error_code) == (401, "AUTH_001")


def test_a_password_beyond_the_72_bytes_of_bcrypt_opens_as_before_and_counts_in_full_from_then_on(
    phone: Phone, auth_sql: Connection
) -> None:
    phone.password = "a long and winding road " * 4
    store_hash(phone, auth_sql, bcrypt.hashpw(phone.password.encode()[:72], bcrypt.gensalt(4)).decode())
    phone.sign_in()
    shorter = phone.api.post("/v1/auth/login", {**phone.credentials, "password": phone.password[:72]})
    assert shorter.error_code == "AUTH_001"
    phone.sign_in()


def test_a_password_that_was_changed_meanwhile_is_not_put_back(
    phone: Phone, auth_sql: Connection, parts: Parts
) -> None:
    store_hash(phone, auth_sql, bcrypt.hashpw(PASSWORD.encode(), bcrypt.gensalt(4)).decode())
    with parts.database.transaction() as session:
        verified = accounts.authenticate(accounts.find(session, phone.email), PASSWORD, parts.passwords)
    changed = parts.passwords.hash("another good password")
    store_hash(phone, auth_sql, changed)
    accounts.renew_hash(parts.database, verified, PASSWORD, parts.passwords)
    assert stored_hash(phone, auth_sql) == changed


@pytest.fixture
def no_new_hashes(auth_sql: Connection) -> Iterator[None]:
    """A database that puts every change of a password off."""
    auth_sql.execute(
        """
        CREATE FUNCTION put_off() RETURNS trigger LANGUAGE plpgsql AS
            $$ BEGIN RAISE EXCEPTION 'not now' USING ERRCODE = 'lock_not_available'; END $$;
        CREATE TRIGGER put_off BEFORE UPDATE OF password_hash ON accounts EXECUTE FUNCTION put_off();
        """
    )
    yield
    auth_sql.execute("DROP FUNCTION IF EXISTS put_off CASCADE")


def test_a_hash_that_can_not_be_renewed_now_stops_nobody(
    phone: Phone, auth_sql: Connection, request: pytest.FixtureRequest
) -> None:
    old_hash = bcrypt.hashpw(PASSWORD.encode(), bcrypt.gensalt(4)).decode()
    store_hash(phone, auth_sql, old_hash)
    request.getfixturevalue("no_new_hashes")
    phone.sign_in()
    assert stored_hash(phone, auth_sql) == old_hash


@pytest.mark.parametrize(
    "password",
    ["john.doe.84", "John.Doe.84!!", "doe84john", "DOEJOHN2024", "lighthouse1", "Jörg-Müller-1", "muller_jorg_84"],
)
def test_the_own_email_or_name_is_no_password(new_phone: Callable[[], Phone], password: str) -> None:
    phone = new_phone()
    form = {**phone.credentials, "email": "john.doe.84@lighthouse.example", "name": "Jörg Müller", "password": password}
    answer = phone.api.post("/v1/auth/signup", form)
    assert (answer.status, answer.error_code) == (400, "AUTH_009")


def test_in_a_storm_of_sign_ins_some_are_told_to_come_back_and_phones_still_refresh_and_read(
    phone: Phone, api: Api, auth_sql: Connection
) -> None:
    emails = [new_email() for _ in range(STORM)]
    auth_sql.cursor().executemany(
        "INSERT INTO accounts (email, password_hash) VALUES (%s, %s)",
        [(email, stored_hash(phone, auth_sql)) for email in emails],
    )
    barrier = Barrier(STORM + 1)

    def sign_in(email: str) -> tuple[int, str, str]:
        door = Api(api.base_url)
        barrier.wait(20)
        answer = door.post("/v1/auth/login", {"email": email, "password": PASSWORD, "device_type": "Web"})
        answer.check_envelope()
        return answer.status, answer.json.get("error_code", ""), answer.headers.get("Retry-After", "")

    with ThreadPoolExecutor(STORM) as others:
        attempts = [others.submit(sign_in, email) for email in emails]
        barrier.wait(20)
        meanwhile = 0
        while not all(attempt.done() for attempt in attempts):
            assert phone.refresh().status == 200
            assert phone.get("/v1/users/me").status == 200
            meanwhile += 1
        answers = [attempt.result() for attempt in attempts]

    assert meanwhile
    assert {(status, code) for status, code, _ in answers} >= {(200, ""), (503, "SRV_503")}
    assert {(status, code) for status, code, _ in answers} <= {(200, ""), (503, "SRV_503"), (503, "GW_503")}
    assert all(1 <= int(retry_after) <= 5 for status, _, retry_after in answers if status == 503)
    # Afterwards everybody gets in.
    Phone(api, email=emails[0]).sign_in()
