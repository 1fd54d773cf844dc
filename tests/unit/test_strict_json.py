"""JSON that decoders read in different ways is refused."""

import json
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.strict_json import DEPTHS, MAX_DEPTH, BadJson, parse, parse_answer

TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00"))
JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**64) | st.floats(allow_nan=False, allow_infinity=False) | TEXT,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXT, inner, max_size=4),
    max_leaves=12,
)


@given(JSON_VALUES)
def test_what_json_writes_is_read_back(value: Any) -> None:
    assert parse(json.dumps(value).encode()) == value
    assert parse(json.dumps(value, ensure_ascii=False).encode()) == value


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"{",
        b"{'a': 1}",
        b'{"a": 1,}',
        b"[NaN]",
        b"[Infinity]",
        b"[-Infinity]",
        b"[1e400]",
        b'{"a": 1, "a": 2}',
        b'"\\ud800"',
        b'{"\\udfff": 1}',
        b'"\\u0000"',
        b'"\x00"',
        b'"\xff"',
        b'"\xed\xa0\x80"',
        b"\xef\xbb\xbf{}",
        '{"a": 1}'.encode("utf-16"),
        b"9" * 5000,
        b"[" * 100_000,
        b"[" * (MAX_DEPTH + 1) + b"]" * (MAX_DEPTH + 1),
        b'{"a":' * (MAX_DEPTH + 1) + b"1" + b"}" * (MAX_DEPTH + 1),
    ],
)
def test_a_request_that_is_not_plain_json_is_refused(text: bytes) -> None:
    with pytest.raises(BadJson):
        parse(text)


def test_nesting_up_to_the_limit_is_read() -> None:
    assert parse(b"[" * MAX_DEPTH + b"]" * MAX_DEPTH)


def test_at_the_greatest_depth_that_may_be_set_every_string_is_still_looked_at() -> None:
    deepest = DEPTHS[-1]
    for opened, closed in (('["\\u00e9",', "]"), ('{"\\u00e9":', "}")):
        for inner, is_good in (("1", True), (r'"\ud800"', False)):
            text = (opened * deepest + inner + closed * deepest).encode()
            assert [reads(read, text, deepest) for read in (parse, parse_answer)] == [is_good, is_good]
            assert [reads(read, text, deepest - 1) for read in (parse, parse_answer)] == [False, False]


def reads(read: Callable[..., Any], text: bytes, depth: int) -> bool:
    try:
        read(text, max_depth=depth)
    except BadJson:
        return False
    return True


def test_what_is_long_is_not_deep() -> None:
    assert parse(b"[" + b"[{}]," * 1000 + b"[]]")


def test_brackets_in_strings_do_not_count_as_nesting() -> None:
    text = json.dumps(["[" * 500, '\\"[[[' * 100, {"{": "}" * 500}])
    assert parse(text.encode()) == json.loads(text)


def test_a_surrogate_pair_is_one_character() -> None:
    assert parse(b'"\\ud83d\\ude00"') == "\N{GRINNING FACE}"


@pytest.mark.parametrize("text", [b"1.10", b"[18446744073709551616]", b"1e400", b'{"a": 1, "a": 2}', b"9" * 6000])
def test_an_answer_may_hold_numbers_that_python_would_damage(text: bytes) -> None:
    parse_answer(text)


@pytest.mark.parametrize(
    "text", [b"[NaN]", b"<html>", b"", b'"\\ud800"', b'"\xff"', b"\xef\xbb\xbf{}", b"[" * 200_000, b'{"a":']
)
def test_an_answer_that_an_app_could_not_decode_is_refused(text: bytes) -> None:
    with pytest.raises(BadJson):
        parse_answer(text)


@pytest.mark.parametrize(
    "text",
    [
        b"[" * 100 + b'\\"' * 500_000,
        b"[" * 100 + b'"\\' * 500_000,
        b"[" * 100 + b'"' * 500_001,
        b"[" * 100 + b'"",' * 300_000,
        b'"' + b"\\" * 1_000_001,
        b"[" * 50_000 + b"]" * 50_000,
    ],
)
def test_a_hostile_text_takes_linear_time(text: bytes) -> None:
    # Quadratic scanning would take many minutes here; the test only has to end.
    with pytest.raises(BadJson):
        parse(text)
    with pytest.raises(BadJson):
        parse_answer(text)


@pytest.mark.parametrize(
    "strings",
    [
        b'"' + b"\\" * 1_000_000 + b'"',
        b'"' + b'\\"' * 500_000 + b'"',
        b'"' + b"[" * 1_000_000 + b'"',
        b'"",' * 300_000 + b'""',
        b'"[","\\"[",' * 100_000 + b'""',
    ],
    ids=["backslashes", "quotes", "brackets", "many", "many with brackets"],
)
def test_strings_are_left_out_of_the_depth_of_a_text_in_linear_time(strings: bytes) -> None:
    # More brackets than any depth, so that each is looked at.
    text = b"[" + b"[]," * len(DEPTHS) + strings + b"]"
    assert [reads(read, text, 2) for read in (parse, parse_answer)] == [True, True]
    assert [reads(read, text, 1) for read in (parse, parse_answer)] == [False, False]
