"""An actor: a phone with its app, which signs up, signs in, refreshes and reads."""

import uuid
from typing import Any, Self

from tests.support.http import Answer, Api

PASSWORD = "a long and winding road"


# Everything secret that phones got or sent in this run; none of it may stand in a log.
SECRETS: set[str] = {PASSWORD}


def new_email() -> str:
    """An address that nobody has signed up with."""
    return f"john.{uuid.uuid4().hex}@example.com"


class Phone:
    """Keeps what an app keeps: the email and password of its owner, and the newest pair of tokens."""

    def __init__(self, api: Api, *, email: str | None = None, password: str = PASSWORD) -> None:
        self.api = api
        self.email = email or new_email()
        self.password = password
        self.device_type = "Android"
        self.push_token: str | None = None
        self.access_token = ""
        self.refresh_token = ""
        self.user: dict[str, Any] = {}

    @property
    def credentials(self) -> dict[str, Any]:
        return {
            "email": self.email,
            "password": self.password,
            "device_type": self.device_type,
            "notification_device_id": self.push_token,
        }

    def sign_up(self, *, name: str | None = "John Doe", phone: str | None = "9876543210") -> Self:
        self._keep(self.api.post("/v1/auth/signup", {**self.credentials, "name": name, "phone": phone}).data)
        return self

    def sign_in(self) -> Self:
        self._keep(self.api.post("/v1/auth/login", self.credentials).data)
        return self

    def refresh(self, refresh_token: str | None = None) -> Answer:
        """Refresh with the newest token or an older one; the pair is kept when it works."""
        answer = self.api.post("/v1/auth/refresh", {"refresh_token": refresh_token or self.refresh_token})
        if answer.status == 200:
            self._keep(answer.data)
        return answer

    def log_out(self, scope: str = "this") -> Answer:
        return self.api.post("/v1/auth/logout", {"scope": scope}, token=self.access_token)

    def get(self, path: str, **headers: str) -> Answer:
        return self.api.get(path, token=self.access_token, headers=headers)

    def send(self, method: str, path: str, json_body: Any = None, **headers: str) -> Answer:
        return self.api.send(method, path, json_body, token=self.access_token, headers=headers)

    def _keep(self, data: dict[str, Any]) -> None:
        SECRETS.update((data["access_token"], data["refresh_token"], self.password))
        self.access_token = data["access_token"]
        self.refresh_token = data["refresh_token"]
        self.user = data.get("user", self.user)
