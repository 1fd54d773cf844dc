"""What is hashed and checked, by whom it was hashed, and how many at a time."""

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import bcrypt
import pytest
from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError
from structlog.testing import capture_logs

from services.auth import imported_hashes
from services.auth.imported_hashes import UnusableHash
from services.auth.passwords import Passwords
from shared.errors import Unavailable
from tests.support.waiting import eventually

PASSWORD = "correct horse battery stäple"
# Made by Django 5.2, werkzeug 3.1, bcrypt 5.0 and argon2-cffi 25.1 themselves; $2y$ is what PHP calls $2b$.
HASHES = {
    "django pbkdf2": "pbkdf2_sha256$1000$9gCmGQ5Jk0JXKX1V$xiToZiCRcFbKoGOU0W3RF7eIaZbzuNiZOCis25y1WuQ=",
    "django scrypt": (
        "scrypt$1024$KhVgkVxUxnSDbUYw$8$5$"
        "4+mOMGk/atrZxezVIeGq7g4HNv/OxGA+5VeBkok01IeN89A47zoJnVr1GxiHcImB"
        "EJcCA0iZ+/pDQ3E8u+S5Hw=="
    ),
    "werkzeug pbkdf2": (
        "pbkdf2:sha256:1000$GHVT5usCdDTG5QIm$1ac588c8cb0d0bc50d643fa210dccaf0943000353ea2333c6699b8dffa55a555"
    ),
    "werkzeug scrypt": (
        "scrypt:1024:8:1$L3QNGKrirCCfRwX7$"
        "910d8c07f6ad09db6d510054cb655b96be30a04104e8aaf3b16f1af9dd2d6278"
        "84a3a57ee30c65f173fade29a78490f3df6b05842f0b10a7a7580fb0f0b4bb43"
    ),
    "bcrypt 2a": "$2a$04$j7T09.fHROuPOK71HK3q4em0/DighIB4UAZXBJZ9QxIXyouwC1xra",
    "bcrypt 2b": "$2b$04$ECIAg7gobnVXlM.IhPNNrerVzvedKAvdaYnnvZJ6kgDdc8CVILjLO",
    "bcrypt 2y": "$2y$04$ECIAg7gobnVXlM.IhPNNrerVzvedKAvdaYnnvZJ6kgDdc8CVILjLO",
    "argon2id": "$argon2id$v=19$m=1024,t=1,p=2$wlKH0F9aXZ+eiGFLpu3UqA$Avl1SZSZqxylEPUpg324Ulr2LMnObL8WZTFcJcbyF1g",
}


@pytest.fixture(scope="module")
def passwords() -> Passwords:
    return Passwords(memory_kib=8 * 1024, time_cost=1, slots=2)


class Busy:
    """A hasher whose every hash waits for `released`; `begun` counts those at work."""

    def __init__(self, passwords: Passwords) -> None:
        self.begun = threading.Semaphore(0)
        self.released = threading.Event()
        stand_in: Any = self
        passwords._hasher = stand_in

    def hash(self, password: str) -> str:
        self.begun.release()
        assert self.released.wait(20)
        return f"hash of {password}"


@pytest.fixture
def busy() -> Iterator[tuple[Passwords, Busy]]:
    passwords = Passwords(memory_kib=8 * 1024, time_cost=1, slots=2)
    hasher = Busy(passwords)
    yield passwords, hasher
    hasher.released.set()


@pytest.mark.parametrize("password_hash", HASHES.values(), ids=HASHES)
def test_what_another_system_hashed_is_verified(passwords: Passwords, password_hash: str) -> None:
    imported_hashes.check(password_hash)
    assert passwords.matches(password_hash, PASSWORD)
    for wrong in (PASSWORD.upper(), PASSWORD + " ", PASSWORD[:-1], "", "x" * 128):
        assert not passwords.matches(password_hash, wrong)


@pytest.mark.parametrize("password_hash", HASHES.values(), ids=HASHES)
def test_one_other_character_in_the_hash_and_nobody_gets_in(passwords: Passwords, password_hash: str) -> None:
    # The last sign of base64 may hold unused bits, so the middle of the digest is changed.
    position = len(password_hash) - 10
    other = "b" if password_hash[position] == "a" else "a"
    assert not passwords.matches(password_hash[:position] + other + password_hash[position + 1 :], PASSWORD)


@pytest.mark.parametrize("password_hash", HASHES.values(), ids=HASHES)
def test_a_hash_of_another_scheme_or_cost_is_outdated(passwords: Passwords, password_hash: str) -> None:
    assert passwords.is_outdated(password_hash)


def test_a_hash_of_the_present_cost_is_not_outdated(passwords: Passwords) -> None:
    made = passwords.hash(PASSWORD)
    assert made.startswith("$argon2id$v=19$m=8192,t=1,p=1$")
    assert passwords.matches(made, PASSWORD)
    assert not passwords.is_outdated(made)


def test_bcrypt_reads_72_bytes_as_the_old_system_did_and_argon2_reads_all(passwords: Passwords) -> None:
    long = "ä" * 36 + "the old system never read this"
    old = bcrypt.hashpw(long.encode()[:72], bcrypt.gensalt(4)).decode()
    assert passwords.matches(old, long)
    assert passwords.matches(old, "ä" * 36 + "nor this")
    assert not passwords.matches(old, "ä" * 35)
    assert not passwords.matches(passwords.hash(long), "ä" * 36)


@pytest.mark.parametrize(
    ("password_hash", "reason"),
    [
        ("", "not bcrypt"),
        ("!", "not bcrypt"),
        (PASSWORD, "not bcrypt"),
        ("5f4dcc3b5aa765d61d8327deb882cf99", "not bcrypt"),
        ("pbkdf2_sha1$1000$salt$AAAA", "not bcrypt"),
        ("pbkdf2:sha1:1000$salt$" + "0" * 40, "not bcrypt"),
        ("pbkdf2:sha256$salt$" + "0" * 64, "not bcrypt"),
        ("pbkdf2:sha256:1000$salt$" + "0" * 2, "not bcrypt"),
        ("pbkdf2:sha256:1000$salt$" + "0" * 64 + "\n", "not bcrypt"),
        ("pbkdf2:sha256:\u0661000$salt$" + "0" * 64, "not bcrypt"),
        ("$argon2i$v=19$m=65536,t=3,p=4$" + "A" * 22 + "$" + "A" * 43, "not bcrypt"),
        ("$2b$12$short", "not bcrypt"),
        ("$2x$12$" + "." * 53, "not bcrypt"),
        ("$2b$15$" + "." * 53, "bcrypt cost"),
        ("$2b$31$" + "." * 53, "bcrypt cost"),
        ("$2b$03$" + "." * 53, "bcrypt cost"),
        ("pbkdf2:sha256:2000001$salt$" + "0" * 64, "iterations"),
        ("pbkdf2_sha256$999999999$salt$" + "A" * 43 + "=", "iterations"),
        ("pbkdf2:sha256:0$salt$" + "0" * 64, "iterations"),
        ("scrypt:1048576:8:1$salt$" + "0" * 128, "cost of scrypt"),
        ("scrypt:16384:8:9$salt$" + "0" * 128, "cost of scrypt"),
        ("scrypt:2:999999999:1$salt$" + "0" * 128, "from 1 to 32"),
        ("scrypt:2:1:33$salt$" + "0" * 128, "from 1 to 32"),
        ("scrypt:16385:8:1$salt$" + "0" * 128, "power of two"),
        ("scrypt:16384:0:1$salt$" + "0" * 128, "power of two"),
        ("scrypt$536870912$salt$8$1$" + "A" * 86 + "==", "cost of scrypt"),
        ("$argon2id$v=19$m=1048576,t=1,p=1$" + "A" * 22 + "$" + "A" * 43, "cost of argon2id"),
        ("$argon2id$v=19$m=65536,t=100,p=1$" + "A" * 22 + "$" + "A" * 43, "cost of argon2id"),
        ("$argon2id$v=19$m=65536,t=1,p=17$" + "A" * 22 + "$" + "A" * 43, "cost of argon2id"),
    ],
)
def test_a_hash_of_an_unknown_kind_or_a_hostile_cost_is_refused_with_the_reason(
    passwords: Passwords, password_hash: str, reason: str
) -> None:
    with pytest.raises(UnusableHash, match=reason):
        imported_hashes.check(password_hash)


# A sign of base64 beyond the last byte, a leading zero, too little memory, an N that RFC 7914 forbids.
NEVER_VERIFIED = [
    "$2b$04$" + "z" * 53,
    "$2b$04$" + "." * 21 + "/" + "." * 31,
    "$argon2id$v=19$m=1024,t=1,p=1$" + "A" * 13 + "$" + "A" * 43,
    "$argon2id$v=19$m=1024,t=1,p=1$" + "A" * 22 + "$" + "A" * 42 + "B",
    "$argon2id$v=19$m=01024,t=1,p=1$" + "A" * 22 + "$" + "A" * 43,
    "$argon2id$v=19$m=15,t=1,p=2$" + "A" * 22 + "$" + "A" * 43,
    "scrypt:1048576:1:1$salt$" + "0" * 128,
    "scrypt:65536:1:1$salt$" + "0" * 128,
]


@pytest.mark.parametrize("password_hash", NEVER_VERIFIED)
def test_what_the_libraries_would_not_verify_is_refused(password_hash: str) -> None:
    with pytest.raises(UnusableHash):
        imported_hashes.check(password_hash)


@pytest.mark.parametrize(
    "password_hash",
    [
        "$2b$04$" + "." * 53,
        "$argon2id$v=19$m=16,t=1,p=2$" + "A" * 11 + "$" + "A" * 86,
        "scrypt:32768:1:32$salt$" + "0" * 128,
        "scrypt:2:32:32$salt$" + "0" * 128,
    ],
)
def test_what_is_taken_at_the_edge_is_verified(passwords: Passwords, password_hash: str) -> None:
    imported_hashes.check(password_hash)
    with capture_logs() as logs:
        assert not passwords.matches(password_hash, PASSWORD)
    assert not logs


@pytest.mark.parametrize(
    "password_hash", [*NEVER_VERIFIED, "!", "scrypt:1048576:8:1$salt$" + "0" * 128, "$argon2id$v=19$m=nonsense"]
)
def test_a_hash_in_the_database_that_nobody_can_verify_lets_nobody_in_and_is_logged(
    passwords: Passwords, password_hash: str
) -> None:
    with capture_logs() as logs:
        assert not passwords.matches(password_hash, PASSWORD)
    assert [(entry["event"], entry["log_level"]) for entry in logs] == [("password_hash_is_unusable", "error")]
    assert password_hash not in str(logs)
    assert not passwords.matches("", PASSWORD)


@pytest.mark.parametrize(
    "failure", [ValueError("Invalid salt"), VerificationError("Decoding failed"), InvalidHashError()]
)
def test_what_a_library_says_of_a_hash_that_was_not_refused_lets_nobody_in_either(
    passwords: Passwords, monkeypatch: pytest.MonkeyPatch, failure: Exception
) -> None:
    def fail(*_: Any) -> None:
        raise failure

    monkeypatch.setattr("bcrypt.checkpw", fail)
    assert not passwords.matches(HASHES["bcrypt 2b"], PASSWORD)


def test_an_unknown_email_takes_the_work_of_a_wrong_password(
    passwords: Passwords, monkeypatch: pytest.MonkeyPatch
) -> None:
    verified: list[str] = []
    genuine = PasswordHasher.verify

    def remember(self: PasswordHasher, password_hash: Any, password: Any) -> Any:
        verified.append(password_hash)
        return genuine(self, password_hash, password)

    monkeypatch.setattr(PasswordHasher, "verify", remember)
    known = passwords.hash("another password")
    assert not passwords.matches(None, PASSWORD)
    assert not passwords.matches(known, PASSWORD)
    assert not passwords.matches(None, "nobody")
    costs = [password_hash.split("$")[:4] for password_hash in verified]
    assert costs == [["", "argon2id", "v=19", "m=8192,t=1,p=1"]] * 3


def test_no_more_are_hashed_at_once_than_there_are_slots(busy: tuple[Passwords, Busy]) -> None:
    passwords, hasher = busy
    with ThreadPoolExecutor(3) as threads:
        turns = [threads.submit(passwords.hash, "mine") for _ in range(3)]
        assert hasher.begun.acquire(timeout=20)
        assert hasher.begun.acquire(timeout=20)
        eventually(lambda: passwords._slots._work_queue.qsize() == 1)
        assert not hasher.begun.acquire(blocking=False)
        hasher.released.set()
        assert [turn.result(20) for turn in turns] == ["hash of mine"] * 3


def test_who_waits_too_long_is_refused(busy: tuple[Passwords, Busy], monkeypatch: pytest.MonkeyPatch) -> None:
    passwords, hasher = busy
    monkeypatch.setattr("services.auth.passwords._WAIT_SECONDS", 0.01)
    for _ in range(3):
        with pytest.raises(Unavailable, match="in time"):
            passwords.hash("mine")
    hasher.released.set()
    monkeypatch.undo()
    assert passwords.hash("mine") == "hash of mine"
