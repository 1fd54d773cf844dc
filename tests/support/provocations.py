"""For every code of the catalogue, something that a phone can do, or suffer, to be answered with it."""

import string
import uuid
from collections.abc import Callable
from typing import Any

from tests.support.http import Answer
from tests.support.phone import PASSWORD, Phone
from tests.support.services import raw_reply
from tests.support.waiting import eventually
from tests.support.world import World

Provocation = Callable[[World], Answer]
_ME = "/v1/users/me"


def sign_in(phone: Phone, /, **changes: Any) -> Answer:
    return phone.api.post("/v1/auth/login", {**phone.credentials, **changes})


def sign_up(world: World, /, **changes: Any) -> Answer:
    return world.api.post("/v1/auth/signup", {**Phone(world.api).credentials, **changes})


def ended_session(world: World) -> Answer:
    phone = world.phone()
    phone.log_out()
    return _asked_until(401, lambda: phone.get(_ME))


def expired_refresh_token(world: World) -> Answer:
    phone = world.phone()
    world.auth_sql.execute(
        "UPDATE sessions SET idle_expires_at = now() - interval '1 s' WHERE account_id = %s", [phone.user["id"]]
    )
    return phone.refresh()


def spent_refresh_token(world: World) -> Answer:
    phone = world.phone()
    stolen = phone.refresh_token
    for _ in range(3):
        phone.refresh()
    return phone.refresh(stolen)


def disabled_account(world: World) -> Answer:
    phone = world.phone()
    world.auth_sql.execute("UPDATE accounts SET disabled_at = now() WHERE id = %s", [phone.user["id"]])
    return sign_in(phone)


def too_many_attempts(world: World) -> Answer:
    phone = world.phone()
    return _asked_until(429, lambda: sign_in(phone, password="wrong password"))


def change_for_an_older_profile(world: World) -> Answer:
    phone = world.phone()
    old = phone.get(_ME).headers["ETag"]
    phone.send("PATCH", _ME, {"name": "Jane Doe"})
    return phone.send("PATCH", _ME, {"name": "Jim Doe"}, **{"If-Match": old})


def profile_on_its_way(world: World) -> Answer:
    phone = world.phone()
    world.users_sql.execute("DELETE FROM profiles WHERE id = %s", [phone.user["id"]])
    return phone.get(_ME)


def unknown_key(world: World) -> Answer:
    form = Phone(world.api).credentials
    return world.api.post("/v1/auth/signup", form, headers={"Idempotency-Key": "no uuid"})


def too_many_requests(world: World) -> Answer:
    return _asked_until(429, lambda: world.limited.get("/v1/errors"))


def reply_of_users(world: World, reply: bytes | None) -> Answer:
    """What the gateway makes of `reply`; None keeps it waiting."""
    world.users_service.reply = reply
    return world.broken.get(_ME, token=world.bystander.access_token)


def post(world: World, path: str, body: bytes, content_type: str = "application/json") -> Answer:
    return world.api.send("POST", path, body=body, headers={"Content-Type": content_type})


PROVOCATIONS: dict[str, Provocation] = {
    "AUTH_001": lambda world: sign_in(world.phone(), password="wrong password"),
    "AUTH_002": lambda world: sign_up(world, email=world.phone().email),
    "AUTH_003": ended_session,
    "AUTH_004": lambda world: world.api.post("/v1/auth/refresh", {"refresh_token": "A" * 71}),
    "AUTH_005": expired_refresh_token,
    "AUTH_006": spent_refresh_token,
    "AUTH_007": disabled_account,
    "AUTH_008": lambda world: sign_up(world, password="short"),
    "AUTH_009": lambda world: sign_up(world, password="password"),
    "AUTH_010": lambda world: world.phone().send("DELETE", f"/v1/auth/sessions/{uuid.uuid4()}"),
    "AUTH_401": lambda world: world.api.get(_ME, token="forged"),
    "AUTH_403": lambda world: reply_of_users(world, raw_reply("403 Forbidden", b"no", "text/plain")),
    "AUTH_429": too_many_attempts,
    "USER_404": lambda world: world.phone().get("/v1/users/999999999999"),
    "USER_409": change_for_an_older_profile,
    "VAL_001": lambda world: sign_up(world, email="nobody"),
    "VAL_002": lambda world: sign_up(world, password=f"{PASSWORD}{string.printable}123456"),
    "VAL_003": lambda world: sign_up(world, device_type="Toaster"),
    "VAL_004": lambda world: sign_up(world, notification_device_id=""),
    "VAL_005": lambda world: sign_up(world, name=""),
    "VAL_006": lambda world: sign_up(world, phone="call me"),
    "VAL_007": lambda world: sign_up(world, nonsense=1),
    "VAL_008": lambda world: world.api.post("/v1/auth/refresh", {"refresh_token": None}),
    "VAL_009": lambda world: world.phone().log_out("nobody"),
    "VAL_010": unknown_key,
    "REQ_400": lambda world: post(world, "/v1/auth/login", b"{"),
    "REQ_404": lambda world: world.api.get("/nowhere"),
    "REQ_405": lambda world: world.api.get("/v1/auth/login"),
    "REQ_413": lambda world: post(world, "/v1/auth/login", b" " * 200_000),
    "REQ_414": lambda world: world.api.get(f"/v1/errors?{'x' * 10_000}"),
    "REQ_415": lambda world: post(world, "/v1/auth/login", b"{}", "text/plain"),
    "REQ_429": too_many_requests,
    "REQ_431": lambda world: world.api.get("/v1/errors", headers={"X-Large": "x" * 20_000}),
    "SRV_500": lambda world: world.crashing.get(_ME, token="any"),
    "SRV_503": profile_on_its_way,
    "GW_502": lambda world: reply_of_users(world, raw_reply("200 OK", b"<h1>Oops</h1>", "text/html")),
    "GW_503": lambda world: world.away.get(_ME, token=world.bystander.access_token),
    "GW_504": lambda world: reply_of_users(world, None),
}


def _asked_until(status: int, ask: Callable[[], Answer]) -> Answer:
    """The first answer with this status."""

    def asked() -> list[Answer]:
        answer = ask()
        return [answer] if answer.status == status else []

    return eventually(asked)[0]
