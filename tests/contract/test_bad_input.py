"""Bad input is told so with a 4xx envelope, never with a 5xx, and leaves nothing behind."""

import json
from collections.abc import Iterator
from typing import Any, NamedTuple

import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.support.http import Answer, Api
from tests.support.phone import Phone
from tests.support.raw import read, request_bytes, talk
from tests.support.waiting import eventually
from tests.support.world import World

SESSION_COLUMNS = "id, generation, device_type, notification_device_id, idle_expires_at, ended_at, end_reason"
MEGABYTES_5 = 5_000_000
often = settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


class Door(NamedTuple):
    """An endpoint that takes a body, with a form that it would take."""

    method: str
    path: str
    form: dict[str, Any]


class Visitor(NamedTuple):
    """Somebody who is signed in, and sends whatever a test wants."""

    phone: Phone
    auth_sql: psycopg.Connection
    users_sql: psycopg.Connection

    def send(self, door: Door, body: bytes, content_type: str = "application/json") -> Answer:
        headers = {"Content-Type": content_type, "Authorization": f"Bearer {self.phone.access_token}"}
        return self.phone.api.send(door.method, door.path, body=body, headers=headers)

    def stored(self) -> list[Any]:
        """Everything that these requests could have changed."""
        return [
            self.auth_sql.execute("SELECT count(*), max(id) FROM accounts").fetchall(),
            self.auth_sql.execute("SELECT count(*) FROM outbox").fetchall(),
            self.auth_sql.execute("SELECT count(*) FROM signup_keys").fetchall(),
            self.auth_sql.execute(f"SELECT {SESSION_COLUMNS} FROM sessions ORDER BY id").fetchall(),
            self.users_sql.execute("SELECT * FROM profiles ORDER BY id").fetchall(),
        ]


DOORS = [
    Door("POST", "/v1/auth/signup", {"email": "new@example.com", "password": "a good password", "device_type": "Web",
                                     "notification_device_id": None, "name": "John", "phone": "0123456"}),
    Door("POST", "/v1/auth/login", {"email": "new@example.com", "password": "a good password", "device_type": "Web",
                                    "notification_device_id": "x"}),
    Door("POST", "/v1/auth/refresh", {"refresh_token": "x"}),
    Door("POST", "/v1/auth/logout", {"scope": "this", "refresh_token": "x"}),
    Door("PUT", "/v1/auth/device", {"notification_device_id": "x"}),
    Door("PATCH", "/v1/users/me", {"name": "John", "phone": "0123456"}),
]  # fmt: skip
everywhere = pytest.mark.parametrize("door", DOORS, ids=lambda door: door.path)
doors = st.sampled_from(DOORS)

# What is never the right value of any field.
WRONG_VALUES = [
    "5", "0", "-1.5", "true", "false", "[]", "{}", '["x"]', '{"x": 1}', "1e308", f"1{'0' * 400}", f"-1{'0' * 400}",
    r'"\u0000"', r'"a\u0000b"', r'"\ud800"', r'"\udfff\ud800"', '"\\ud83d"', "NaN", "Infinity", "-Infinity", "1e400",
    "[" * 60 + "]" * 60, "[" * 100_000, "[" * 100_000 + "]" * 100_000, '{"a":' * 30_000,
]  # fmt: skip


@pytest.fixture
def visitor(world: World) -> Iterator[Visitor]:
    """Finds everything as it was when it leaves, whatever it sent."""
    visitor = Visitor(Phone(world.patient).sign_up(), world.auth_sql, world.users_sql)
    eventually(lambda: visitor.phone.get("/v1/users/me").status == 200)
    before = visitor.stored()
    yield visitor
    assert visitor.stored() == before


def is_form(text: bytes) -> bool:
    try:
        return isinstance(json.loads(text), dict)
    except (ValueError, RecursionError):
        return False


def body_with(door: Door, field: str, value: str) -> bytes:
    """The door's form with one field whose value is this JSON text."""
    members = [f"{json.dumps(name)}:{value if name == field else json.dumps(good)}" for name, good in door.form.items()]
    return ("{" + ",".join(members) + "}").encode()


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda children: st.lists(children) | st.dictionaries(st.text(), children),
    max_leaves=8,
)


@given(door=doors, body=st.binary(min_size=1, max_size=200).filter(lambda body: not is_form(body)))
@often
def test_bytes_that_are_no_form_are_refused(visitor: Visitor, door: Door, body: bytes) -> None:
    answer = visitor.send(door, body)

    assert (answer.status, answer.error_code) == (400, "REQ_400")


@given(door=doors, data=st.data())
@often
def test_a_form_that_broke_on_its_way_is_refused(visitor: Visitor, door: Door, data: st.DataObject) -> None:
    whole = json.dumps(door.form).encode()
    cut = data.draw(st.integers(1, len(whole) - 1), label="cut")
    inserted = data.draw(st.sampled_from([b"", b"\x00", b"\xff", b"\xed\xa0\x80", b"{", b'"', b"\xef\xbb\xbf"]))
    broken = whole[:cut] + inserted + (whole[cut:] if inserted and data.draw(st.booleans()) else b"")

    if not is_form(broken):
        assert visitor.send(door, broken).error_code == "REQ_400"


@given(door=doors, value=json_values.filter(lambda value: not isinstance(value, dict)))
@often
def test_json_that_is_no_object_is_refused(visitor: Visitor, door: Door, value: Any) -> None:
    assert visitor.send(door, json.dumps(value).encode()).error_code == "REQ_400"


@given(door=doors, unknown=st.dictionaries(st.text(), json_values, min_size=1, max_size=4))
@often
def test_fields_that_nobody_knows_are_refused(visitor: Visitor, door: Door, unknown: dict[str, Any]) -> None:
    form = {name: value for name, value in unknown.items() if name not in door.form}
    if not form:
        return
    answer = visitor.send(door, json.dumps(door.form | form).encode())

    # A NUL or a lone surrogate is refused before anybody looks at names.
    assert (answer.status, answer.error_code) in ((400, "VAL_007"), (400, "REQ_400"))


@everywhere
def test_a_value_of_a_wrong_kind_is_refused_in_every_field(visitor: Visitor, door: Door) -> None:
    for field in door.form:
        for value in WRONG_VALUES:
            answer = visitor.send(door, body_with(door, field, value))
            assert (answer.status, answer.error_code[:4]) in ((400, "VAL_"), (400, "REQ_"), (413, "REQ_")), value[:50]


@given(door=doors, data=st.data())
@often
def test_any_json_in_any_field_is_no_fault_of_ours(visitor: Visitor, door: Door, data: st.DataObject) -> None:
    # One field is always wrong, so that whatever else is in the form, nothing may be stored.
    drawn = data.draw(st.fixed_dictionaries(dict.fromkeys(door.form, json_values)))

    answer = visitor.send(door, json.dumps({**drawn, "nonsense": 1}).encode())

    assert answer.status == 400
    assert answer.error_code in ("REQ_400", "AUTH_008") or answer.error_code.startswith("VAL_")


@everywhere
def test_texts_that_decoders_read_differently_are_refused(visitor: Visitor, door: Door) -> None:
    good = json.dumps(door.form)
    first = json.dumps(next(iter(door.form)))
    texts = [
        good.encode("utf-16"), good.encode("utf-16-le"), good.encode("utf-32"), b"\xef\xbb\xbf" + good.encode(),
        f'{{{first}:"x",{good[1:]}'.encode(), f"{good[:-1]},{first}:null}}".encode(), good.encode() + good.encode(),
        good.encode()[:-1] + b",}", good.replace('"', "'").encode(), b"/**/" + good.encode(), good.encode() + b"\x00",
        good[:-1].encode() + b',"x":NaN}', good[:-1].encode() + b',"x":"\t\x01"}', b"\x0c" + good.encode(),
    ]  # fmt: skip
    for text in texts:
        answer = visitor.send(door, text)
        assert (answer.status, answer.error_code) == (400, "REQ_400"), text


@everywhere
def test_5_mb_are_refused_whatever_is_in_them(visitor: Visitor, door: Door) -> None:
    field = next(iter(door.form))
    for body in (
        body_with(door, field, f'"{"x" * MEGABYTES_5}"'),
        b" " * MEGABYTES_5,
        b"[" * MEGABYTES_5,
        body_with(door, field, "1" * MEGABYTES_5),
        bytes(MEGABYTES_5),
    ):
        answer = visitor.send(door, body)
        assert (answer.status, answer.error_code) == (413, "REQ_413")


@everywhere
@pytest.mark.parametrize(
    "content_type",
    ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x", "text/json", "text/xml",
     "application/vnd.api+json", "application/jsonp", "json", "*/*", "", "application/json, text/plain", "\xff"],
)  # fmt: skip
def test_another_content_type_is_refused(visitor: Visitor, door: Door, content_type: str) -> None:
    answer = visitor.send(door, json.dumps(door.form).encode(), content_type)

    assert (answer.status, answer.error_code) == (415, "REQ_415")


@pytest.mark.parametrize(
    "request_text",
    [
        b"\r\n\r\n\r\n", b"GET\r\n\r\n", b"GET / HTTP/9.9\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n",
        b"GET /v1/errors HTTP/1.1\r\nHost: a\r\nHost: b\r\nX Y: z\r\n\r\n",
        b"get /v1/errors HTTP/1.1\r\nHost: a\r\n\r\n",
        b"POST /v1/auth/login HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\n{}",
        b"POST /v1/auth/login HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        b"POST /v1/auth/login HTTP/1.1\r\nHost: a\r\nContent-Length: -1\r\n\r\n{}",
        b"POST /v1/auth/login HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip\r\n\r\n{}",
        b"GET /v1/errors HTTP/1.1\r\nHost: a\r\nX: 1\r\n 2\r\n\r\n",
    ],
)  # fmt: skip
def test_what_is_hardly_http_is_answered_in_the_envelope(api: Api, request_text: bytes) -> None:
    answer = read(talk(api, request_text, hang_up=True))

    assert (answer.status, answer.error_code) == (400, "REQ_400")


@everywhere
@pytest.mark.parametrize(
    ("framing", "body"),
    [("Transfer-Encoding: chunked", b"zz\r\n{}\r\n0\r\n\r\n"), ("Transfer-Encoding: chunked", b"2\r\n{}XX"),
     ("Transfer-Encoding: chunked", b"2\r\n{"), ("Content-Length: 100", b'{"x": 1')],
)  # fmt: skip
def test_a_body_that_breaks_off_is_refused(visitor: Visitor, door: Door, framing: str, body: bytes) -> None:
    api, token = visitor.phone.api, visitor.phone.access_token
    lines = (framing, "Content-Type: application/json", f"Authorization: Bearer {token}")

    answer = read(talk(api, request_bytes(api, door.method, door.path, *lines) + body, hang_up=True))

    assert (answer.status, answer.error_code) == (400, "REQ_400")
