"""What the gateway makes of a service's answer: one envelope, and not one byte of the data touched."""

import json
import re
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.answers import Answer, normalise
from gateway.errors import BadAnswer
from shared.catalogue import CATALOGUE
from shared.errors import ApiError
from shared.strict_json import MAX_DEPTH
from tests.support.http import STATUSES

JSON = "application/json"
WRAPPED = b'{"message":"Request successful","data":%b}'
often = settings(max_examples=150, deadline=None)

spaces = st.text(" \t\r\n", max_size=3)
numbers = st.one_of(
    st.from_regex(r"-?(0|[1-9][0-9]{0,30})(\.[0-9]{1,30})?([eE][+-]?[0-9]{1,4})?", fullmatch=True),
    st.sampled_from(["1.10", "1e400", "-0", "-0.0", str(2**64), f"1{'0' * 400}", "1E+2"]),
)
plain_strings = st.text(st.characters(exclude_categories=["Cs"]), max_size=10)


@st.composite
def json_strings(draw: st.DrawFn) -> str:
    """A JSON string in any spelling: with and without escapes."""
    return json.dumps(draw(plain_strings), ensure_ascii=draw(st.booleans())).replace(
        "/", draw(st.sampled_from(["/", r"\/"]))
    )


@st.composite
def arrays(draw: st.DrawFn, items: st.SearchStrategy[str]) -> str:
    members = [draw(spaces) + item + draw(spaces) for item in draw(st.lists(items, max_size=4))]
    return "[" + ",".join(members) + ("" if members else draw(spaces)) + "]"


@st.composite
def objects(draw: st.DrawFn, items: st.SearchStrategy[str]) -> str:
    names = draw(st.lists(json_strings() | st.sampled_from(['"message"', '"data"', '"error_code"']), max_size=4))
    members = [draw(spaces) + name + draw(spaces) + ":" + draw(spaces) + draw(items) + draw(spaces) for name in names]
    return "{" + ",".join(members) + ("" if members else draw(spaces)) + "}"


scalars = st.sampled_from(["true", "false", "null"]) | numbers | json_strings()
# JSON as text, in all its spellings: numbers that no double holds, spaces, escapes, names that stand twice.
json_texts = st.recursive(scalars, lambda items: arrays(items) | objects(items), max_leaves=12)
containers = arrays(json_texts) | objects(json_texts)
content_types = st.sampled_from([JSON, "application/json; charset=utf-8", "application/problem+json", "text/html", ""])
anything = json_texts.map(str.encode) | st.binary(max_size=60)


def is_success(value: Any) -> bool:
    """Whether a value is the contract's envelope for a success, to the last key."""
    if not isinstance(value, dict) or set(value) != {"message", "data"}:
        return False
    return isinstance(value["message"], str) and isinstance(value["data"], dict | list)


def is_failure(value: Any) -> bool:
    """Whether a value is the contract's envelope for a failure, to the last key."""
    if not isinstance(value, dict) or set(value) != {"message", "error_code"}:
        return False
    return isinstance(value["message"], str) and re.fullmatch(r"[A-Z]{2,8}_\d{3}", str(value["error_code"])) is not None


def code(value: str) -> bytes:
    """A failure envelope."""
    return f'{{"message":"x","error_code":"{value}"}}'.encode()


def names_stand_once(sent: bytes) -> bool:
    """Whether the outermost object has no name twice, however the name is spelled."""
    names = json.loads(sent, object_pairs_hook=lambda pairs: [name for name, _ in pairs])
    return len(names) == len(set(names))


def outcome(status: int, content_type: str, body: bytes, language: str = "en") -> Answer:
    """The answer that the app gets, also when the service's can't be passed on."""
    try:
        return normalise(status, content_type, body, language)
    except ApiError as error:
        entry = error.entry
        body = json.dumps({"message": entry.message, "error_code": entry.code}).encode()
        return Answer(entry.status, body, entry.code)


@given(text=containers, before=spaces, after=spaces)
@often
def test_the_data_are_the_bytes_of_the_service(text: str, before: str, after: str) -> None:
    sent = (before + text + after).encode()

    if is_success(json.loads(sent)) and not names_stand_once(sent):
        with pytest.raises(BadAnswer):
            normalise(200, JSON, sent, "en")
    elif is_success(json.loads(sent)):
        assert normalise(200, JSON, sent, "en").body == sent
    elif not is_failure(json.loads(sent)):
        assert normalise(200, JSON, sent, "en").body == WRAPPED % text.encode()


@given(text=numbers | json_strings() | st.sampled_from(["true", "false"]))
@often
def test_a_bare_value_becomes_an_object_with_its_bytes(text: str) -> None:
    assert normalise(200, JSON, text.encode(), "en").body == WRAPPED % b'{"value":%b}' % text.encode()


@given(message=json_strings().filter(lambda text: text != '""'), data=containers, gap=spaces, swapped=st.booleans())
@often
def test_a_success_envelope_goes_on_byte_for_byte(message: str, data: str, gap: str, swapped: bool) -> None:
    members = [f'{gap}"message":{gap}{message}', f'"data"{gap}:{data}{gap}']
    body = ("{" + ",".join(reversed(members) if swapped else members) + "}").encode()

    assert normalise(200, JSON, body, "en") == Answer(200, body)


@pytest.mark.parametrize(
    "body", [b'{"message":"x","data":{},"extra":1}', b'{"message":"x","data":5}', b'{"message":"x","data":null}',
             b'{"message":5,"data":{}}', b'{"message":"x"}', b'{"data":{}}', b'{"Message":"x","data":{}}',
     b'{"message":"x","error_code":"none"}']
)  # fmt: skip
def test_what_is_not_quite_an_envelope_is_data(body: bytes) -> None:
    assert normalise(200, JSON, body, "en") == Answer(200, WRAPPED % body)


@pytest.mark.parametrize(
    "body",
    [b'{"message":"x","data":{},"data":[]}', b'{"message":"x","message":"x","data":{}}',
     b'{"message":"x","data":{},"d\\u0061ta":{"message":1}}', b'{"message":"x","data":{},"d\\u0061ta":[]}',
     b'{"message":"x","data":%b,"data":{}}' % (b"9" * 6000),
     b'{"data":5,"message":"x","data":{"data":1}}'],
)  # fmt: skip
def test_an_envelope_in_which_a_name_stands_twice_is_an_unusable_answer(body: bytes) -> None:
    assert outcome(200, JSON, body).error_code == "GW_502"


@pytest.mark.parametrize("data", ['{"data":1,"message":"x"}', '[{"message":"x","data":{}}]', '{"a":"\\u0061"}'])
def test_the_names_of_an_envelope_may_stand_in_its_data(data: str) -> None:
    body = f'{{"message":"x","data":{data}}}'.encode()

    assert normalise(200, JSON, body, "en") == Answer(200, body)


@given(message=json_strings(), code=st.sampled_from([code for code in CATALOGUE if CATALOGUE[code].status == 400]))
@often
def test_a_failure_envelope_goes_on_byte_for_byte(message: str, code: str) -> None:
    body = f'{{ "message":{message},  "error_code": "{code}"}}'.encode()

    assert normalise(400, JSON, body, "en") == Answer(400, body, code)


@given(status=st.integers(100, 599), content_type=content_types, body=anything)
@often
def test_whatever_a_service_says_comes_out_as_an_envelope(status: int, content_type: str, body: bytes) -> None:
    answer = outcome(status, content_type, body)

    assert answer.status in STATUSES - {500}
    value = json.loads(answer.body.decode("utf-8"))
    assert is_success(value) if answer.status < 400 else is_failure(value)
    assert (answer.error_code is None) == (answer.status < 400)


@given(status=st.integers(200, 599), content_type=content_types, body=anything, language=st.sampled_from(["en", "de"]))
@often
def test_normalising_twice_changes_nothing(status: int, content_type: str, body: bytes, language: str) -> None:
    once = outcome(status, content_type, body, language)

    # A second gateway in front, whose reader has another language.
    assert outcome(once.status, JSON, once.body, "fr") == once


@given(text=containers, cut=st.integers(1, 20))
@often
def test_json_that_broke_off_is_never_passed_on(text: str, cut: int) -> None:
    body = text.encode()[:-cut]
    if body.strip():
        with pytest.raises(ApiError) as refused:
            normalise(200, JSON, body, "en")
        assert refused.value.code == "GW_502"


@pytest.mark.parametrize(
    "body", [b"{", b"[1,]", b"{'a':1}", b"NaN", b"[Infinity]", b"\xff", b'"\xed\xa0\x80"', b'{"a":"\\ud800"}', b"1 2",
             b"\xef\xbb\xbf{}", "{}".encode("utf-16"), b'["\x01"]', b"[" * (MAX_DEPTH + 1) + b"]" * (MAX_DEPTH + 1),
             b"[" * 100_000, b"<h1>Oops</h1>", b"01", b"+1", b".5", b"tru"]
)  # fmt: skip
def test_what_is_not_json_is_an_unusable_answer(body: bytes) -> None:
    for content_type in (JSON, "application/problem+json", ""):
        with pytest.raises(ApiError) as refused:
            normalise(200, content_type, body, "en")
        assert refused.value.code == "GW_502"


@pytest.mark.parametrize("space", ["\x0b", "\x0c", "\xa0", "\x1c"])
def test_only_the_spaces_of_json_may_stand_around_it(space: str) -> None:
    assert outcome(200, JSON, f"{space}{{}}".encode()).error_code == "GW_502"


@pytest.mark.parametrize("content_type", ["", JSON, "application/problem+json", "Application/JSON ; charset=utf-8"])
def test_json_may_say_that_it_is_json_in_any_way_or_say_nothing(content_type: str) -> None:
    assert normalise(200, content_type, b"[1]", "en") == Answer(200, WRAPPED % b"[1]")


@pytest.mark.parametrize(("status", "name"), [(502, "GW_502"), (503, "SRV_503"), (504, "GW_504")])
def test_a_service_that_says_in_the_envelope_that_it_can_not_goes_on_in_its_own_words(status: int, name: str) -> None:
    assert normalise(status, JSON, code(name), "de") == Answer(status, code(name), name)


@pytest.mark.parametrize(
    ("status", "content_type", "body", "code"),
    [
        (404, "text/html", b"<h1>Not Found</h1>", "REQ_404"), (404, "text/html", code("USER_404"), "REQ_404"),
        (503, JSON, code("AUTH_003"), "GW_503"), (404, JSON, code("USER_409"), "REQ_404"),
        (503, "text/html", code("SRV_503"), "GW_503"),
        (404, "application/problem+json", b'{"title":"Not Found","status":404}', "REQ_404"),
        (400, JSON, b'{"errors":{"json":{"email":["bad"]}}}', "REQ_400"), (422, JSON, b"{}", "REQ_400"),
        (400, JSON, b'{"message":"x","error_code":"VAL_001","field":"email"}', "REQ_400"),
        (400, JSON, b'{"message":"x","error_code":"VAL_001","error_code":"VAL_002"}', "REQ_400"),
        (404, JSON, b'{"message":"x","error_code":"BILL_404"}', "REQ_404"),
        (401, JSON, b'{"message":"x","error_code":"BILL_401"}', "GW_502"), (413, "", b"", "REQ_413"),
        (403, JSON, b"", "AUTH_403"), (429, "text/plain", b"slow down", "REQ_429"), (410, "", b"", "REQ_404"),
        (405, "", b"", "REQ_405"), (418, "", b"", "REQ_400"), (451, JSON, b"[]", "REQ_400"),
        (401, JSON, b'{"error":"invalid_token"}', "GW_502"), (401, "text/html", b"<h1>who?</h1>", "GW_502"),
        (500, JSON, b'{"message":"x","error_code":"SRV_500"}', "GW_502"), (500, "text/html", b"", "GW_502"),
        (501, "", b"", "GW_502"), (599, JSON, b"{}", "GW_502"), (502, "text/html", b"<h1>nginx</h1>", "GW_502"),
        (503, "", b"", "GW_503"), (504, "", b"", "GW_504"), (100, "", b"", "GW_502"), (206, JSON, b"{}", "GW_502"),
        (302, "", b"", "GW_502"), (200, JSON, b'{"message":"x","error_code":"AUTH_001"}', "GW_502"),
    ],
)  # fmt: skip
def test_a_failure_in_a_foreign_shape_becomes_a_code(status: int, content_type: str, body: bytes, code: str) -> None:
    answer = outcome(status, content_type, body)

    assert (answer.error_code, answer.status) == (code, CATALOGUE[code].status)
    assert json.loads(answer.body) == {"message": CATALOGUE[code].message, "error_code": code}
