"""Refresh tokens are derived, the same every time, and can't be made by anybody else."""

import uuid

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.auth import refresh_tokens
from services.auth.errors import InvalidRefreshToken

PEPPER = bytes(range(32))
SECRET = bytes(32)
SESSION = uuid.UUID("019391a4-b987-7aa3-9c0d-295478ba0001")


@given(st.uuids(), st.integers(0, 2**32 - 1), st.binary(min_size=32, max_size=32))
def test_a_token_is_derived_again_and_proves_itself(session_id: uuid.UUID, generation: int, secret: bytes) -> None:
    token = refresh_tokens.derive(session_id, generation, secret, PEPPER)
    assert token == refresh_tokens.derive(session_id, generation, secret, PEPPER)
    presented = refresh_tokens.read(token)
    assert (presented.session_id, presented.generation) == (session_id, generation)
    presented.prove(secret, PEPPER)


def test_the_format_does_not_change() -> None:
    # Tokens live for half a year on phones: these bytes are a promise.
    token = refresh_tokens.derive(SESSION, 7, SECRET, PEPPER)
    assert token == "AQGTkaS5h3qjnA0pVHi6AAEAAAAHUNQj_qWP0EiMlAgu5RtxenZojTdJ-vzM1VzIzU11UEg"


@pytest.mark.parametrize(
    ("secret", "pepper"),
    [(b"another secret of 32 bytes, really", PEPPER), (SECRET, b"another pepper of 32 bytes, too")],
)
def test_a_token_of_another_secret_or_pepper_is_refused(secret: bytes, pepper: bytes) -> None:
    presented = refresh_tokens.read(refresh_tokens.derive(SESSION, 7, SECRET, PEPPER))
    with pytest.raises(InvalidRefreshToken):
        presented.prove(secret, pepper)


@given(st.integers(0, 70), st.sampled_from("ABCxyz019-_"))
def test_a_token_with_one_character_changed_is_refused(position: int, character: str) -> None:
    token = refresh_tokens.derive(SESSION, 7, SECRET, PEPPER)
    changed = token[:position] + character + token[position + 1 :]
    if changed == token:
        return
    with pytest.raises(InvalidRefreshToken):
        refresh_tokens.read(changed).prove(SECRET, PEPPER)


@given(st.text(max_size=200))
def test_text_that_is_no_token_is_refused(text: str) -> None:
    with pytest.raises(InvalidRefreshToken):
        refresh_tokens.read(text).prove(SECRET, PEPPER)


@pytest.mark.parametrize(
    "change",
    [
        lambda t: t + "=",
        lambda t: t + "A",
        lambda t: t[:-1],
        lambda t: " " + t,
        # The next character differs in a bit that stands for nothing.
        lambda t: t[:-1] + chr(ord(t[-1]) + 1),
    ],
)
def test_another_spelling_of_a_token_is_refused(change: object) -> None:
    assert callable(change)
    token = refresh_tokens.derive(SESSION, 7, SECRET, PEPPER)
    with pytest.raises(InvalidRefreshToken):
        refresh_tokens.read(change(token))
