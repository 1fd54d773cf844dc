"""Replicas of users at several addresses of the loopback, the name that has them, and phones that never try twice."""

import json
import threading
import uuid
from collections import Counter
from pathlib import Path

from urllib3.exceptions import HTTPError

from tests.support.http import Api
from tests.support.phone import Phone
from tests.support.rooms import RoomProcess
from tests.support.waiting import eventually
from tools.stack import Stack


class Name:
    """A name for which the gateway of `named_gateway` finds the addresses that stand here."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.be()

    def be(self, *addresses: str) -> None:
        """Has these addresses from now on; none is a name that nobody knows."""
        # In one step, so that nobody reads half of it.
        whole = self.path.with_suffix(".new")
        whole.write_text("\n".join(addresses))
        whole.replace(self.path)


class UsersReplica(RoomProcess):
    """A real process of users at an address of its own."""

    def __init__(self, stack: Stack, host: str, port: int, log_path: Path, **settings: str) -> None:
        super().__init__("users", {**stack.environment("users"), **settings}, log_path, host=host, port=port)

    def served(self) -> Counter[str]:
        """How often it has answered each request, by request id."""
        lines = self.log_path.read_text().splitlines() if self.log_path.exists() else []
        told = (json.loads(line) for line in lines if line.startswith("{"))
        return Counter(
            line["request_id"] for line in told if line.get("event") == "request" and line["path"].startswith("/v1/")
        )


class Crowd:
    """Phones that read and write without a pause on kept connections, and never try anything twice.

    As a context manager it is busy inside. `sent` and `written` are request ids, of everything and of what writes;
    `failures` are the answers that were none of 200, and what else went wrong, each with its method.
    """

    def __init__(self, gateway: Api, phone: Phone, size: int = 6) -> None:
        self.sent: list[str] = []
        self.written: list[str] = []
        self.failures: list[tuple[str, str]] = []
        self._base_url = gateway.base_url
        self._phone = phone
        self._enough = threading.Event()
        self._threads = [threading.Thread(target=self._be_busy, args=(bool(number % 2),)) for number in range(size)]

    def __enter__(self) -> "Crowd":
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_error: object) -> None:
        self._enough.set()
        for thread in self._threads:
            thread.join()

    def wait_for(self, requests: int) -> None:
        """Until so many more requests were answered."""
        wanted = len(self.sent) + requests
        eventually(lambda: len(self.sent) >= wanted, seconds=60)

    def _be_busy(self, writes: bool) -> None:
        api = Api(self._base_url)
        number = 0
        while not self._enough.is_set():
            number += 1
            self._ask(api, "PATCH" if writes else "GET", {"name": f"John {number}"} if writes else None)
        api.hang_up()

    def _ask(self, api: Api, method: str, body: dict[str, str] | None) -> None:
        request_id = uuid.uuid4().hex
        try:
            token, headers = self._phone.access_token, {"X-Request-Id": request_id}
            answer = api.send(method, "/v1/users/me", body, token=token, headers=headers)
            if answer.status != 200:
                self.failures.append((method, f"{answer.status} {answer.error_code}"))
        except HTTPError as error:
            self.failures.append((method, repr(error)))
        self.sent.append(request_id)
        if method == "PATCH":
            self.written.append(request_id)
