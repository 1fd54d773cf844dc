"""Apps that are in use while something breaks: they do as docs/apps.md says, and keep what they were told."""

import math
import threading
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from typing import Self

from urllib3.exceptions import HTTPError

from shared.catalogue import CATALOGUE
from tests.support.http import Answer, Api
from tests.support.phone import Phone
from tests.support.waiting import eventually

KINDS = ("sign up", "sign in", "refresh", "read", "change")
UNANSWERED = "no answer"
_ME = "/v1/users/me"
_SIGNING_OUT = {code for code, entry in CATALOGUE.items() if entry.ends_session}
_RESIDENTS = 3
_LONGEST_PAUSE = 1.0
# How long an app waits after a failure that names no time.
_SHORT_PAUSE = 0.2
# With more devices than a person may have (SESSIONS_PER_PERSON), the first would be signed out.
_MOST_SIGN_INS = 10


@dataclass(frozen=True)
class Deed:
    """One request: when it began and ended, its status and error code (or UNANSWERED and why), and `Retry-After`."""

    kind: str
    began: float
    ended: float
    outcome: str
    retry_after: str | None = None

    @property
    def worked(self) -> bool:
        return self.outcome in ("200", "201")


class App(Phone):
    """A person's app. It repeats a sign-up with its key and a refresh with its token, and sends nothing else twice.

    `changes` are the numbers of the changes that were sent and those that were acknowledged, `pairs` the refresh tokens
    that refreshing brought, `sign_ins` how many were sent and acknowledged. `loops` counts new access tokens that were
    refused like the old ones.
    """

    def __init__(self, api: Api, deeds: list[Deed]) -> None:
        super().__init__(api)
        self.key = str(uuid.uuid4())
        self.changes_sent = 0
        self.changes_done: list[int] = []
        self.pairs: set[str] = set()
        self.sign_ins_sent = 0
        self.sign_ins_done = 0
        self.loops = 0
        self.pause = 0.0
        self._deeds = deeds

    @property
    def signed_up(self) -> bool:
        return bool(self.refresh_token)

    def join(self) -> bool:
        """Sign up, or find out what became of the last attempt."""
        form = {**self.credentials, "name": "0", "phone": None}
        key = {"Idempotency-Key": self.key}
        answer = self._do("sign up", lambda: self.api.post("/v1/auth/signup", form, headers=key))
        if answer and answer.status == 201:
            self._keep(answer.data)
        return self.signed_up

    def sign_in_elsewhere(self) -> bool:
        """Sign in on another phone, which is then put away."""
        self.sign_ins_sent += 1
        answer = self._do("sign in", lambda: self.api.post("/v1/auth/login", self.credentials))
        worked = answer is not None and answer.status == 200
        self.sign_ins_done += worked
        return worked

    def renew(self) -> bool:
        """Refresh; the old token is kept until there is a new one."""
        answer = self._do("refresh", self.refresh)
        if answer is None or answer.status != 200:
            return False
        self.pairs.add(self.refresh_token)
        return True

    def read(self) -> None:
        self._as_person("read", lambda: self.get(_ME))

    def change(self) -> None:
        """Change the name to the next number."""
        self.changes_sent += 1
        answer = self._as_person("change", lambda: self.send("PATCH", _ME, {"name": str(self.changes_sent)}))
        if answer and answer.status == 200:
            self.changes_done.append(self.changes_sent)

    def _as_person(self, kind: str, send: Callable[[], Answer]) -> Answer | None:
        answer = self._do(kind, send)
        if answer is None or answer.status != 401 or not self.renew():
            return answer
        answer = self._do(kind, send)
        self.loops += answer is not None and answer.status == 401
        return answer

    def _do(self, kind: str, send: Callable[[], Answer]) -> Answer | None:
        began = time.monotonic()
        try:
            answer = send()
        except HTTPError as error:
            self._deeds.append(Deed(kind, began, time.monotonic(), f"{UNANSWERED}: {error!r}"))
            self.pause = _SHORT_PAUSE
            return None
        answer.check_envelope()
        outcome = str(answer.status) if answer.status < 300 else f"{answer.status} {answer.error_code}"
        retry_after = answer.headers.get("Retry-After")
        self._deeds.append(Deed(kind, began, time.monotonic(), outcome, retry_after))
        self.pause = 0.0 if answer.status < 300 else min(float(retry_after or _SHORT_PAUSE), _LONGEST_PAUSE)
        return answer


class Town:
    """Residents who read, change and refresh, one of whom also signs in, and newcomers who sign up and in.

    As a context manager it is busy inside; everybody has one request at a time and a `pause` after each. `surprises`
    are answers that were no envelope.
    """

    def __init__(self, gateway_url: str, *, pause: float = 0.1) -> None:
        self.deeds: list[Deed] = []
        self.surprises: list[str] = []
        self.pause = pause
        self._url = gateway_url
        self.people = [App(Api(gateway_url), self.deeds) for _ in range(_RESIDENTS)]
        for resident in self.people:
            assert resident.join()
        self._enough = threading.Event()
        lives = [lambda app=app: self._reside(app) for app in self.people]
        self._threads = [threading.Thread(target=self._live, args=(life,)) for life in [*lives, self._arrive]]

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_error: object) -> None:
        self._enough.set()
        for thread in self._threads:
            thread.join()

    def wait_until_well(self, since: float, seconds: float) -> None:
        """Until every kind of request has worked twice that began after `since`, or somebody was signed out."""
        eventually(lambda: self._is_well(since) or self.surprises or self._is_anybody_out(), seconds=seconds)

    def recovered_after(self, since: float) -> float:
        """Seconds from `since` until each kind had worked, and nothing that began before that went wrong any more."""
        first = [min((deed.ended for deed in self._worked(kind, since)), default=math.inf) for kind in KINDS]
        failed = [deed.ended for deed in list(self.deeds) if not deed.worked and deed.ended > since]
        return max([*first, *failed]) - since

    def _is_well(self, since: float) -> bool:
        return all(len(self._worked(kind, since)) >= 2 for kind in KINDS)

    def _is_anybody_out(self) -> bool:
        return any(deed.outcome.partition(" ")[2] in _SIGNING_OUT for deed in list(self.deeds))

    def _worked(self, kind: str, since: float) -> list[Deed]:
        return [deed for deed in list(self.deeds) if deed.kind == kind and deed.worked and deed.began >= since]

    def _live(self, life: Callable[[], None]) -> None:
        try:
            while not self._enough.is_set():
                life()
        except Exception as error:  # noqa: BLE001 - the test tells it
            self.surprises.append(repr(error))

    def _reside(self, app: App) -> None:
        steps: list[Callable[[], object]] = [app.change, app.read, app.renew, app.read]
        if app is self.people[0] and app.sign_ins_sent < _MOST_SIGN_INS:
            steps.append(app.sign_in_elsewhere)
        for step in steps:
            step()
            self._rest(app)

    def _arrive(self) -> None:
        newcomer = App(Api(self._url), self.deeds)
        self.people.append(newcomer)
        for step in (newcomer.join, newcomer.sign_in_elsewhere):
            while not step() and not self._enough.is_set():
                self._rest(newcomer)
            self._rest(newcomer)

    def _rest(self, app: App) -> None:
        self._enough.wait(max(self.pause, app.pause))
