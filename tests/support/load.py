"""Who keeps a gateway busy while a test changes something behind it."""

import threading
import uuid

import jwt

from tests.support.forger import Forger
from tests.support.http import Answer, Api
from tests.support.phone import Phone


def kid_of(token: str) -> str:
    """The key that a token names."""
    return str(jwt.get_unverified_header(token)["kid"])


class Busy(threading.Thread):
    """A phone that reads and refreshes without a pause, and keeps every refusal."""

    def __init__(self, gateway: Api) -> None:
        super().__init__()
        self.phone = Phone(gateway).sign_up()
        self.refusals: list[tuple[int, bytes]] = []
        self.kids: set[str] = set()
        self.requests = 0
        self.enough = threading.Event()

    def run(self) -> None:
        while not self.enough.is_set():
            for answer in (self.phone.get("/v1/users/me"), self.phone.refresh(), self.phone.get("/v1/users/me")):
                self._note(answer)
            self.kids.add(kid_of(self.phone.access_token))

    def _note(self, answer: Answer) -> None:
        self.requests += 1
        if answer.status != 200:
            self.refusals.append((answer.status, answer.body))


class Stranger(threading.Thread):
    """Sends tokens of keys that nobody knows, so that no gateway looks for an unknown key when a new one comes."""

    def __init__(self, gateway: Api, like: Forger) -> None:
        super().__init__()
        self._gateway = gateway
        self._like = like
        self.enough = threading.Event()

    def run(self) -> None:
        while not self.enough.wait(0.05):
            self._gateway.get("/v1/users/me", token=self._like.token(kid=uuid.uuid4().hex))
