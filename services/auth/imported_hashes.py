"""Password hashes that other systems made: bcrypt, PBKDF2 as Django and werkzeug write it, scrypt likewise, argon2id.

Read to the last character, as strictly as the libraries that verify them, and with a bounded cost, so that a hostile
file can't make every sign-in eat the server.
`hashlib` does the work: passlib, which knows all of these, had its last release in 2020, and pwdlib knows neither
PBKDF2 nor scrypt.
"""

import base64
import hashlib
import hmac
import re
from collections.abc import Callable
from functools import partial

import bcrypt
from argon2 import PasswordHasher
from argon2.exceptions import VerificationError

# Measured here: 12 takes 0.25 s, 14 one second, and every further step doubles it.
MAX_BCRYPT_COST = 14
# Django 5.2 has 1,000,000; 2,000,000 take 0.7 s here.
MAX_PBKDF2_ITERATIONS = 2_000_000
# N=2^17, r=8, p=1 takes 128 MiB and 0.5 s here. Django 5.2 has 2^14, 8, 5, werkzeug 3.1 2^15, 8, 1.
MAX_MEMORY = 128 * 1024 * 1024
MAX_SCRYPT_WORK = 2**20
# With hundreds of thousands in the place of 8 or 1 the same work took 2.5 times as long.
MAX_SCRYPT_FACTOR = 32
MAX_ARGON2_WORK_KIB = 4 * 128 * 1024
# bcrypt reads no further, and the library refuses longer ones since 5.0, so they are cut as the old system did.
BCRYPT_BYTES = 72

# libargon2 reads no leading zero.
_DIGITS = "(0|[1-9][0-9]{0,8})"
_SALT = r"([^$]{1,128})"
Matches = Callable[[bytes], bool]


class UnusableHash(ValueError):
    """The hash is of no kind that we verify, or too dear; the text says which."""


def check(password_hash: str) -> None:
    """Raise UnusableHash for what can't be verified, or at no bearable cost."""
    _read(password_hash)


def verify(password_hash: str, password: str) -> bool:
    """Whether `password` fits. Raises UnusableHash."""
    return _read(password_hash)(password.encode())


def _read(password_hash: str) -> Matches:
    for pattern, reader in _READERS:
        if found := pattern.fullmatch(password_hash):
            return reader(password_hash, *found.groups())
    raise UnusableHash("the hash is not bcrypt, PBKDF2-SHA256, scrypt or argon2id in a spelling that is known here")


def _bcrypt(password_hash: str, cost: str) -> Matches:
    if not 4 <= int(cost) <= MAX_BCRYPT_COST:
        raise UnusableHash(f"the bcrypt cost must be from 4 to {MAX_BCRYPT_COST}")
    stored = password_hash.encode()
    return lambda password: bcrypt.checkpw(password[:BCRYPT_BYTES], stored)


def _argon2id(password_hash: str, memory_kib: str, rounds: str, lanes: str) -> Matches:
    memory, work = int(memory_kib), int(memory_kib) * int(rounds)
    if memory * 1024 > MAX_MEMORY or not 0 < work <= MAX_ARGON2_WORK_KIB or not 1 <= int(lanes) <= 16:
        raise UnusableHash("the cost of argon2id must be at most m=131072 and m times t at most 524288")
    if memory < 8 * int(lanes):
        raise UnusableHash("argon2id's m must be at least 8 times p")
    if not all(map(_is_base64, password_hash.split("$")[-2:])):
        raise UnusableHash("salt or hash of argon2id is not base64")
    return partial(_argon2id_matches, password_hash)


def _argon2id_matches(password_hash: str, password: bytes) -> bool:
    try:
        return PasswordHasher().verify(password_hash, password)
    except VerificationError:
        return False


def _is_base64(text: str) -> bool:
    """Whether libargon2 would read it: without padding, and no bit is set beyond the last byte."""
    try:
        return base64.b64encode(base64.b64decode(text + "=" * (-len(text) % 4))).decode().rstrip("=") == text
    except ValueError:
        return False


def _pbkdf2(iterations: str, salt: str, digest: bytes) -> Matches:
    if not 1 <= int(iterations) <= MAX_PBKDF2_ITERATIONS:
        raise UnusableHash(f"the iterations of PBKDF2 must be from 1 to {MAX_PBKDF2_ITERATIONS}")
    return lambda password: hmac.compare_digest(
        hashlib.pbkdf2_hmac("sha256", password, salt.encode(), int(iterations)), digest
    )


def _scrypt(cost: str, block: str, lanes: str, salt: str, digest: bytes) -> Matches:
    n, r, p = int(cost), int(block), int(lanes)
    if n < 2 or n & (n - 1) or not 1 <= r <= MAX_SCRYPT_FACTOR or not 1 <= p <= MAX_SCRYPT_FACTOR:
        raise UnusableHash(f"scrypt's N must be a power of two, and r and p from 1 to {MAX_SCRYPT_FACTOR}")
    if 128 * n * r > MAX_MEMORY or n * r * p > MAX_SCRYPT_WORK:
        raise UnusableHash(f"the cost of scrypt must be at most N*r*p = {MAX_SCRYPT_WORK}")
    # RFC 7914 section 2.
    if n >= 2 ** (16 * r):
        raise UnusableHash("scrypt's N must be less than 2^(16r)")
    # What OpenSSL needs, with room for its own buffers.
    memory = 128 * r * (n + p + 2) + 1024 * 1024
    return lambda password: hmac.compare_digest(
        hashlib.scrypt(password, salt=salt.encode(), n=n, r=r, p=p, maxmem=memory, dklen=len(digest)), digest
    )


def _django_pbkdf2(_: str, iterations: str, salt: str, digest: str) -> Matches:
    return _pbkdf2(iterations, salt, base64.b64decode(digest))


def _werkzeug_pbkdf2(_: str, iterations: str, salt: str, digest: str) -> Matches:
    return _pbkdf2(iterations, salt, bytes.fromhex(digest))


def _django_scrypt(_: str, n: str, salt: str, r: str, p: str, digest: str) -> Matches:
    return _scrypt(n, r, p, salt, base64.b64decode(digest))


def _werkzeug_scrypt(_: str, n: str, r: str, p: str, salt: str, digest: str) -> Matches:
    return _scrypt(n, r, p, salt, bytes.fromhex(digest))


# Each digest has its full length: a hash that is cut to one byte would fit every 256th password.
_READERS: tuple[tuple[re.Pattern[str], Callable[..., Matches]], ...] = (
    # 16 bytes of salt and 23 of hash: the last sign of each has bits that are always 0, and bcrypt takes no other.
    (re.compile(r"\$2[aby]\$([0-9]{2})\$[./A-Za-z0-9]{21}[.Oeu][./A-Za-z0-9]{30}[.CGKOSWaeimquy26]"), _bcrypt),
    (
        re.compile(
            rf"\$argon2id\$v=19\$m={_DIGITS},t={_DIGITS},p={_DIGITS}"
            r"\$[A-Za-z0-9+/]{11,86}\$[A-Za-z0-9+/]{43,86}"
        ),
        _argon2id,
    ),
    (re.compile(rf"pbkdf2_sha256\${_DIGITS}\${_SALT}\$([A-Za-z0-9+/]{{43}}=)"), _django_pbkdf2),
    (re.compile(rf"pbkdf2:sha256:{_DIGITS}\${_SALT}\$([0-9a-f]{{64}})"), _werkzeug_pbkdf2),
    (re.compile(rf"scrypt\${_DIGITS}\${_SALT}\${_DIGITS}\${_DIGITS}\$([A-Za-z0-9+/]{{86}}==)"), _django_scrypt),
    (re.compile(rf"scrypt:{_DIGITS}:{_DIGITS}:{_DIGITS}\${_SALT}\$([0-9a-f]{{128}})"), _werkzeug_scrypt),
)
