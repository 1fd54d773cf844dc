"""Passwords that an attacker tries first are refused, and no others."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from zxcvbn import matching
from zxcvbn.frequency_lists import FREQUENCY_LISTS

from services.auth.guessable import is_common, is_personal
from services.auth.passwords import MAX_PASSWORD, MIN_PASSWORD

MOST_COMMON = [word for word in FREQUENCY_LISTS["passwords"] if MIN_PASSWORD <= len(word) <= MAX_PASSWORD][:3000]
EMAIL = "jane.mueller84@mail.example.co.uk"
NAME = "Jané van Müller"


def every_other_in_capitals(word: str) -> str:
    return "".join(letter.upper() if place % 2 else letter for place, letter in enumerate(word))


def test_the_3000_most_common_passwords_of_allowed_length_are_refused_in_any_case() -> None:
    assert len(MOST_COMMON) == 3000
    assert [word for word in MOST_COMMON if not is_common(word)] == []
    for respelled in (str.upper, every_other_in_capitals):
        assert [word for word in MOST_COMMON if not is_common(respelled(word))] == []


@pytest.mark.parametrize(
    "password",
    [
        # What zxcvbn keeps in its lists of names and words, or finds by its patterns.
        *("jennifer", "michelle", "Elizabeth", "basketball", "chocolate"),
        *("87654321", "00000000", "123123123", "0987654321", "11111111", "asdfghjkl", "abcdefgh", "01011990"),
        *("p@ssw0rd", "Password1", "password123", "qwerty123", "x" * 128, "abcd" * 32, "password" * 16),
    ],
)
def test_names_words_and_patterns_are_common_too(password: str) -> None:
    assert is_common(password)


@pytest.mark.parametrize(
    "password",
    [
        "userPassword123",
        "a long and winding road",
        "correct horse battery staple",
        "Tr0ub4dor&3",
        "пароль из слов",
        "密码是很长的一句话",
    ],
)
def test_other_passwords_are_not_common(password: str) -> None:
    assert not is_common(password)


@given(st.text(st.characters(exclude_categories=["Cs"]), min_size=MIN_PASSWORD, max_size=MAX_PASSWORD))
def test_any_password_is_judged_without_a_fault(password: str) -> None:
    is_common(password)
    is_personal(password, EMAIL, password)


@pytest.mark.parametrize("password", ["4@8(<369&#!10|79$5+7%2zx", "48({[<369!1|0$5+7%2@zxqv", "({[<1!|7@4$5693+8"])
def test_no_password_is_read_in_hundreds_of_ways(password: str, monkeypatch: pytest.MonkeyPatch) -> None:
    ways: list[str] = []

    def read(string: str, substitutions: dict[str, str]) -> str:
        ways.append(string)
        return str(translate(string, substitutions))

    translate = matching.translate
    monkeypatch.setattr(matching, "translate", read)
    assert not is_common(password)
    assert not is_common("Tr0ub4dor&3")
    assert 0 < len(ways) < 100


@pytest.mark.parametrize(
    "password",
    [
        *(EMAIL, EMAIL.upper(), f"{EMAIL}1", f"!{EMAIL}!"),
        *("jane.mueller84", "Jane.Mueller84!", "janemueller", "JANE_MUELLER_2024", "mueller84", "84Mueller84"),
        *("mail.example.co.uk", "example1", "Example.2024"),
        *("Jané van Müller", "janevanmuller", "Jane1984", "1984-MULLER", "vanMuller!", "mullerjane1", "j.a.n.e.1984"),
    ],
)
def test_the_person_s_own_email_or_name_with_digits_and_signs_is_refused(password: str) -> None:
    assert is_personal(password, EMAIL, NAME)


def test_an_address_without_letters_counts_where_it_stands_as_it_is() -> None:
    email = "9876543210@example.com"
    assert is_personal("9876543210", email, None)
    assert is_personal("+9876543210!", email, None)
    assert not is_personal("7391846250!", email, None)


@pytest.mark.parametrize(
    "password", ["a long and winding road", "userPassword123", "jane likes her garden", "x8472910#!5"]
)
def test_a_password_with_more_in_it_than_the_name_is_taken(password: str) -> None:
    assert not is_personal(password, EMAIL, NAME)
    assert not is_personal(password, "x@y.example", "X Y")
    assert not is_personal(password, EMAIL, None)
