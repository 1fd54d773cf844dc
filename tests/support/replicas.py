"""Replicas of users at several addresses of the loopback, the name that has them, and phones that never try twice."""

import json
import threading
import uuid
from collections import Counter
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Self

from urllib3.exceptions import HTTPError

from tests.support.http import Answer, Api
from tests.support.phone import Phone
from tests.support.rooms import RoomProcess
from tests.support.waiting import eventually
from tools.stack import Stack

_ME = "/v1/users/me"


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
    """Phones that read, write and perhaps refresh without a pause on kept connections, and never try anything twice.

    As a context manager it is busy inside, each phone with one request at a time. `done` has what came of every
    request: its method, and the status or what went wrong.
    """

    def __init__(self, gateway_url: str, size: int = 6, *, refreshes: bool = False) -> None:
        self.done: list[tuple[str, str]] = []
        self._phones = [Phone(Api(gateway_url)).sign_up() for _ in range(size)]
        self._before = self._revisions()
        self._refreshes = refreshes
        self._enough = threading.Event()
        self._threads = [threading.Thread(target=self._be_busy, args=(phone,)) for phone in self._phones]

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_error: object) -> None:
        self._enough.set()
        for thread in self._threads:
            thread.join()

    @property
    def size(self) -> int:
        return len(self._phones)

    def failures(self, since: int = 0) -> list[tuple[str, str]]:
        """What went wrong after so many requests."""
        return [one for one in self.done[since:] if one[1] != "200"]

    def wait_for(self, requests: int) -> None:
        """Until so many more requests were answered."""
        wanted = len(self.done) + requests
        eventually(lambda: len(self.done) >= wanted, seconds=60)

    def executed(self) -> int:
        """How many writes were executed, as the database has counted them."""
        return self._revisions() - self._before

    def written(self, outcome: str = "") -> int:
        """How many writes were sent, or had this outcome."""
        return len([one for one in self.done if one[0] == "PATCH" and outcome in (one[1], "")])

    def _revisions(self) -> int:
        # Every change of a profile makes its ETag one more.
        return sum(eventually(partial(_revision, phone)) for phone in self._phones)

    def _be_busy(self, phone: Phone) -> None:
        actions: dict[str, Callable[[], Answer]] = {
            "GET": lambda: phone.get(_ME),
            "PATCH": lambda: phone.send("PATCH", _ME, {"name": uuid.uuid4().hex}),
        }
        if self._refreshes:
            actions["POST"] = phone.refresh
        while not self._enough.is_set():
            for method, act in actions.items():
                self.done.append((method, _outcome(act)))
        # Who hangs up talks no more, so the phone gets another line.
        phone.api.hang_up()
        phone.api = Api(phone.api.base_url)


def _outcome(act: Callable[[], Answer]) -> str:
    try:
        answer = act()
        return "200" if answer.status == 200 else f"{answer.status} {answer.error_code}"
    except HTTPError as error:
        return repr(error)


def _revision(phone: Phone) -> int:
    """The number in the profile's ETag; 0 until the profile has arrived."""
    return int(phone.get(_ME, Connection="close").headers.get("ETag", "0").strip('"'))
