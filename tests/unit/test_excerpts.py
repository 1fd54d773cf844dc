"""What the log keeps of a broken answer shows what it was, and no secret."""

import json

import pytest

from gateway.excerpts import MAX_CHARACTERS, excerpt
from gateway.exchange import UpstreamRequest

JWT = "eyJhbGciOiJFUzI1NiIsInR5cCI6ImF0K2p3dCJ9.eyJpc3MiOiJsYXRjaGtleSIsImF1ZCI6ImxhdGNoa2V5In0.c2lnbmF0dXJl"
BODY = {
    "email": "john@example.com",
    "password": 'Pass "word" é',
    "nested": [{"name": "Johnny"}],
    "nick": 'Bob "é"',
    "x": "a",
}
REQUEST = UpstreamRequest("POST", "/", {"Authorization": f"Bearer {JWT}"}, json.dumps(BODY).encode())


def kept(said: str | bytes) -> str:
    return excerpt(said if isinstance(said, bytes) else said.encode(), REQUEST)


def test_an_error_page_can_be_recognised() -> None:
    page = (
        'Traceback: File "/app/services/auth/app.py", line 7\npsycopg.OperationalError: 10.1.2.3:5432 SELECT * FROM x'
    )
    assert kept(page) == page


def test_it_is_bounded_and_any_bytes_will_do() -> None:
    assert len(kept(b"\xff\x00 " * 1_000_000)) == MAX_CHARACTERS
    deep = UpstreamRequest("POST", "/", {}, b"[" * 10_000)
    assert excerpt(b"Oops", deep) == "Oops"


@pytest.mark.parametrize(
    ("said", "secret"),
    [
        (f"you sent {json.dumps(BODY)}", r"Pass \"word\""), (f"you sent {BODY!r}", 'Pass "word"'),
        ("no account for john@example.com", "john@example.com"), ("hello Johnny", "Johnny"),
        (f"bad token {JWT}", "eyJpc3M"), (f"Authorization: Bearer {JWT}", "c2lnbmF0"), ("bearer abc.def.ghi", "def"),
        ('{"refresh_token": "short-one"}', "short-one"), ("password=hunter22", "hunter22"),
        ("{'client_secret': 'tell nobody'", "tell"), ("Set-Cookie: sid=abcdef", "abcdef"),
        ("INSERT $argon2id$v=19$m=19456,t=2,p=1$c2FsdA$aGFzaA", "aGFzaA"), ("hash $2b$12$abc/def.ghi", "def"),
        (f"key {'k' * 32}", "k" * 32),
        (json.dumps({"detail": 'no Bob "é"'}), r"Bob \"\u00e9"), ('no Bob "é"', 'Bob "é"'),
    ],
)  # fmt: skip
def test_secrets_are_masked(said: str, secret: str) -> None:
    assert secret in said
    assert secret not in kept(said)


def test_a_token_in_any_form_is_masked_where_a_service_repeats_it() -> None:
    request = UpstreamRequest("GET", "/", {"Authorization": "Bearer short7"}, b"")
    assert excerpt(b"who is short7?", request) == "who is […]?"


def test_a_secret_at_the_end_of_what_is_kept_is_not_half_a_secret() -> None:
    assert JWT[:10] not in kept("x " * (MAX_CHARACTERS // 2 - 5) + JWT)
