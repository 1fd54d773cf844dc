"""Many people in many places: each call comes from a network that the test names."""

import itertools
import random
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.support.http import Answer, Api
from tests.support.phone import PASSWORD, new_email
from tests.support.services import auth_process, gateway_process
from tools.stack import Stack

WRONG = "not the password at all"
# Each run begins somewhere else, because what was counted in the last one may still be known.
_addresses = itertools.count(random.randrange(1 << 22))


def somewhere() -> str:
    """An IPv4 address that no other test calls from."""
    number = next(_addresses)
    return f"10.{number >> 16 & 255}.{number >> 8 & 255}.{number & 255}"


class Place:
    """Somebody at a network and perhaps with a push token, who talks to auth as the gateway does."""

    def __init__(self, auth: Api, address: str | None = None, push_token: str | None = None) -> None:
        self.auth = auth
        self.address = address or somewhere()
        self.push_token = push_token

    def post(self, path: str, body: dict[str, Any]) -> Answer:
        return self.auth.post(path, body, headers={"X-Forwarded-For": self.address})

    def sign_up(self, email: str | None = None) -> str:
        """Sign up; the email."""
        email = email or new_email()
        assert self.post("/v1/auth/signup", self._credentials(email, PASSWORD)).status == 201
        return email

    def sign_in(self, email: str, password: str = PASSWORD) -> Answer:
        return self.post("/v1/auth/login", self._credentials(email, password))

    def guess(self, email: str) -> Answer:
        return self.sign_in(email, WRONG)

    def _credentials(self, email: str, password: str) -> dict[str, Any]:
        form = {"email": email, "password": password, "device_type": "iOS"}
        return {**form, "notification_device_id": self.push_token}


def new_push_token() -> str:
    return uuid.uuid4().hex


def retry_after(answer: Answer) -> int:
    """How long a refused caller was asked to wait."""
    assert (answer.status, answer.error_code) == (429, "AUTH_429")
    return int(answer.headers["Retry-After"])


def at_once(calls: int, call: Any) -> list[Answer]:
    """The answers to `call(number)`, all under way at the same time."""
    with ThreadPoolExecutor(calls) as pool:
        return list(pool.map(call, range(calls)))


@contextmanager
def auth_with(stack: Stack, tmp_path_factory: Any, **settings: str) -> Iterator[Api]:
    """A further auth process with brakes of its own strength, over the stores of the stack."""
    log_path = tmp_path_factory.mktemp("auth") / "auth.log"
    with auth_process(stack.environment("auth"), log_path, **settings) as api:
        yield api


@contextmanager
def gateway_before(auth: Api, stack: Stack, log_path: Path, **settings: str) -> Iterator[Api]:
    """A further gateway that asks this auth process."""
    environment = stack.environment("gateway")
    with gateway_process(environment, log_path, AUTH_URL=auth.base_url, **settings) as api:
        yield api
