"""Passwords that an attacker tries first: the common ones, patterns, and what is known of the person.

zxcvbn is asked for its estimate, because its list of common passwords leaves out what its other lists and matchers
know (jennifer, 87654321). Checked against the 3,000 most common passwords of 8 characters and more in Django's list,
which has another source: 165 pass, many of them odd strings such as g9l2d1fzpy.
"""

import math
import unicodedata
from itertools import permutations

from zxcvbn import zxcvbn
from zxcvbn.matching import L33T_TABLE, relevant_l33t_subtable

# zxcvbn calls this "too guessable" and "very guessable" (scores 0 and 1).
_FEW_GUESSES = 10**6
# zxcvbn takes milliseconds up to here, and half a second for 128 random characters. No word of its lists is longer.
_MAX_ESTIMATED = 24
# It reads a password anew for each way in which signs may stand for letters (1, ! and | for i or l), which can be 700
# times and half a second. Past this number it has seven such signs at least, which by themselves are 10^7 guesses.
_MAX_READINGS = 32
# Shorter names and parts of an address leave the strength to the rest of the password.
_MIN_PART = 3
_MAX_PARTS = 3


def is_common(password: str) -> bool:
    """Whether the password is a common password, name or word, a pattern, or little more: guessed soon in any case."""
    lowered = password.lower()
    if len(lowered) > _MAX_ESTIMATED or _readings(lowered) > _MAX_READINGS:
        return _is_repetition(lowered)
    return bool(zxcvbn(lowered)["guesses"] < _FEW_GUESSES)


def is_personal(password: str, email: str, name: str | None) -> bool:
    """Whether the password is the person's email (or its parts) or name with nothing but digits and signs added."""
    folded = _fold(password)
    letters = _letters(folded)
    for word in _personal_words(email, name):
        # Without letters of its own, such as a phone number as address, a word counts only where it stands as it is.
        if _letters(word) and _letters(word) == letters:
            return True
        if word in folded and not _letters(folded.replace(word, "")):
            return True
    return False


def _personal_words(email: str, name: str | None) -> set[str]:
    local, _, domain = _fold(email).rpartition("@")
    words = {_fold(email), local, domain, *domain.split(".")}
    for parts in (_parts(local), _parts(_fold(name or ""))):
        words.add("".join(parts))
        # DoeJohn as well as JohnDoe and John.
        for count in range(1, _MAX_PARTS + 1):
            words.update("".join(order) for order in permutations(parts[:_MAX_PARTS], count))
    return {word for word in words if len(word) >= _MIN_PART}


def _parts(text: str) -> list[str]:
    return "".join(sign if sign.isalnum() else " " for sign in text).split()


def _fold(text: str) -> str:
    # Without accents: Zoë types Zoe.
    decomposed = unicodedata.normalize("NFKD", text)
    return "".join(sign for sign in decomposed if not unicodedata.combining(sign)).casefold()


def _letters(text: str) -> str:
    return "".join(filter(str.isalpha, text))


def _readings(text: str) -> int:
    """In how many ways the signs of a text stand for letters; zxcvbn tries up to twice as many."""
    return math.prod(map(len, relevant_l33t_subtable(text, L33T_TABLE).values()))


def _is_repetition(text: str) -> bool:
    return text in (text + text)[1:-1]
