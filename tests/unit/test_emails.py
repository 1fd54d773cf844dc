"""An email address has one canonical form."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.auth.emails import canonical


@pytest.mark.parametrize(
    ("given_form", "stored_form"),
    [
        ("john@example.com", "john@example.com"),
        ("  John.Doe@Example.COM\t", "john.doe@example.com"),
        ("john+tag@example.com", "john+tag@example.com"),
        ("john@bücher.example.org", "john@xn--bcher-kva.example.org"),
        ("john@BÜCHER.example.org", "john@xn--bcher-kva.example.org"),
        ("a@" + "b" * 60 + ".com", "a@" + "b" * 60 + ".com"),
    ],
)
def test_every_spelling_becomes_the_stored_form(given_form: str, stored_form: str) -> None:
    assert canonical(given_form) == stored_form
    assert canonical(stored_form) == stored_form


@pytest.mark.parametrize(
    "text",
    [
        "",
        "john",
        "john@",
        "@example.com",
        "john@example",
        "john doe@example.com",
        "ADM\u0130N@example.com",
        "jöhn@example.com",
        "john@exam\nple.com",
        "john@example.com\x00",
        "john@@example.com",
        "a" * 65 + "@example.com",
        "a@" + ".".join(["b" * 60] * 5) + ".com",
    ],
)
def test_what_is_no_address_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r".+"):
        canonical(text)


@given(st.text(max_size=60) | st.emails())
def test_a_canonical_address_is_ascii_lower_case_and_stays_as_it_is(text: str) -> None:
    try:
        address = canonical(text)
    except ValueError:
        return
    assert address.isascii()
    assert address == address.lower()
    assert canonical(address) == address
