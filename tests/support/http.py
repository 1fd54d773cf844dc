"""A client that believes nothing: every answer must be the envelope, or a documented exception to it."""

import json
from dataclasses import dataclass
from typing import Any

import urllib3
from urllib3 import HTTPHeaderDict

ANSWER_SECONDS = 20.0
STATUSES = {200, 201, 400, 401, 403, 404, 405, 409, 413, 414, 415, 429, 431, 500, 502, 503, 504}


@dataclass(frozen=True)
class Answer:
    """One HTTP answer. Reading it as a success or a failure checks the envelope to the last key."""

    status: int
    headers: HTTPHeaderDict
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def data(self) -> Any:
        """The data of a success; fails for anything else."""
        self.check_envelope()
        assert self.status in (200, 201), self.body
        return self.json["data"]

    @property
    def error_code(self) -> str:
        """The code of a failure; fails for anything else."""
        self.check_envelope()
        assert self.status >= 400, self.body
        return str(self.json["error_code"])

    def failed_with(self, code: str) -> bool:
        """Whether this is a failure with the code, for who waits until it is one."""
        return self.status >= 400 and self.error_code == code

    @property
    def message(self) -> str:
        self.check_envelope()
        return str(self.json["message"])

    def check_envelope(self) -> None:
        """Section 1 of the contract."""
        assert self.status in STATUSES, self.status
        assert self.headers["Content-Type"] == "application/json"
        envelope = self.json
        assert isinstance(envelope["message"], str)
        assert envelope["message"]
        if self.status < 400:
            assert set(envelope) == {"message", "data"}
            assert isinstance(envelope["data"], dict | list)
        else:
            assert set(envelope) == {"message", "error_code"}
            assert isinstance(envelope["error_code"], str)


class Api:
    """Talks HTTP to one base URL, and never retries."""

    def __init__(self, base_url: str) -> None:
        self.base_url = base_url.rstrip("/")
        self._pool = urllib3.PoolManager(retries=False, timeout=ANSWER_SECONDS, maxsize=64)

    def send(
        self,
        method: str,
        path: str,
        json_body: Any = None,
        *,
        body: bytes | None = None,
        token: str | None = None,
        headers: dict[str, str] | None = None,
    ) -> Answer:
        """Send a request; `json_body` becomes JSON, `body` goes out as it is."""
        sent = dict(headers or {})
        if json_body is not None:
            body = json.dumps(json_body).encode()
        if body is not None:
            sent.setdefault("Content-Type", "application/json")
        if token is not None:
            sent["Authorization"] = f"Bearer {token}"
        response = self._pool.request(method, self.base_url + path, body=body, headers=sent, redirect=False)
        return Answer(response.status, response.headers, response.data)

    def hang_up(self) -> None:
        """Close the connections that are kept; a server that is told to stop waits for them."""
        pools = self._pool.pools
        for key in list(pools.keys()):
            pools[key].close()

    def get(self, path: str, *, token: str | None = None, headers: dict[str, str] | None = None) -> Answer:
        return self.send("GET", path, token=token, headers=headers)

    def post(
        self, path: str, json_body: Any, *, token: str | None = None, headers: dict[str, str] | None = None
    ) -> Answer:
        return self.send("POST", path, json_body, token=token, headers=headers)
