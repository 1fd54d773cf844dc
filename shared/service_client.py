"""What a service uses to call another: token, connections, deadlines, safe retries, envelopes as values or errors."""

import threading
import time
from collections.abc import Callable, Mapping
from typing import Any

import urllib3
from urllib3.exceptions import HTTPError, ProtocolError

from shared.envelope import CONTENT_TYPE, dump
from shared.strict_json import BadJson, parse
from shared.trace import current_trace

CONNECT_SECONDS = 1.0
DEFAULT_SECONDS = 3.0
CONNECTIONS = 16
# A token is renewed this long before it expires, so that it does not expire on its way.
RENEW_BEFORE_SECONDS = 30
# Only what may be done twice is tried twice (RFC 9110 section 9.2.2), and only when no answer came.
_IDEMPOTENT = frozenset({"GET", "PUT"})
_PIECE_BYTES = 64 * 1024
_MAX_ANSWER_BYTES = 10_000_000


class ServiceError(Exception):
    """The other service said no: its HTTP `status` and its `error_code`."""

    def __init__(self, status: int, error_code: str, message: str) -> None:
        super().__init__(f"{status} {error_code} {message}")
        self.status = status
        self.error_code = error_code


class ServiceUnreachable(Exception):
    """The other service gave no answer, or none that can be used."""


class ServiceClient:
    """Calls one service at `base_url`. `token` gives a service token for it, or None where the service asks for none.

    Every call ends within its seconds, or within what is left of the request that it is made for, whatever is less.
    Safe to share between threads and greenlets.
    """

    def __init__(self, base_url: str, token: Callable[[], str] | None = None) -> None:
        self._base_url = base_url.rstrip("/")
        self._token = token
        self._pool = urllib3.PoolManager(maxsize=CONNECTIONS, retries=False)

    def get(self, path: str, query: Mapping[str, str] | None = None, *, seconds: float = DEFAULT_SECONDS) -> Any:
        """The `data` of a GET. Raises ServiceError or ServiceUnreachable."""
        return self._call("GET", path, fields=query, seconds=seconds)

    def put(self, path: str, body: Any, *, seconds: float = DEFAULT_SECONDS) -> Any:
        """The `data` of a PUT. Raises ServiceError or ServiceUnreachable."""
        return self._call("PUT", path, body=dump(body), seconds=seconds)

    def post(self, path: str, body: Any, *, seconds: float = DEFAULT_SECONDS) -> Any:
        """The `data` of a POST, which is never sent twice. Raises ServiceError or ServiceUnreachable."""
        return self._call("POST", path, body=dump(body), seconds=seconds)

    def _call(self, method: str, path: str, *, seconds: float, **options: Any) -> Any:
        trace = current_trace.get()
        seconds = min(seconds, trace.seconds_left) if trace else seconds
        if seconds <= 0:
            raise ServiceUnreachable("no time is left for the call")
        headers = {"Content-Type": CONTENT_TYPE} | (trace.onward_headers() if trace else {})
        if self._token:
            headers["Authorization"] = f"Bearer {self._token()}"
        deadline = time.monotonic() + seconds
        try:
            status, body = self._exchange(method, path, deadline, headers=headers, **options)
            return _data(status, parse(body))
        except (HTTPError, BadJson) as error:
            raise ServiceUnreachable(f"{method} {path}: {error!r}") from error

    def _exchange(self, method: str, path: str, deadline: float, **options: Any) -> tuple[int, bytes]:
        try:
            return self._ask(method, path, deadline, **options)
        except HTTPError:
            if method not in _IDEMPOTENT or time.monotonic() >= deadline:
                raise
        return self._ask(method, path, deadline, **options)

    def _ask(self, method: str, path: str, deadline: float, **options: Any) -> tuple[int, bytes]:
        left = max(0.001, deadline - time.monotonic())
        timeout = urllib3.Timeout(connect=min(CONNECT_SECONDS, left), read=left)
        url = self._base_url + path
        answer = self._pool.request(method, url, timeout=timeout, preload_content=False, redirect=False, **options)
        body = bytearray()
        try:
            # Piece by piece, because a timeout is for one piece only and a service may send them one by one.
            while piece := answer.read1(_PIECE_BYTES):
                body += piece
                if time.monotonic() > deadline or len(body) > _MAX_ANSWER_BYTES:
                    raise ProtocolError("the answer takes too long or is too large")
        except BaseException:
            answer.close()
            raise
        answer.release_conn()
        return answer.status, bytes(body)


class ClientCredentials:
    """Gets service tokens for `audience` from auth with this service's own id and secret (RFC 6749 section 4.4).

    Call it for a token; one is kept until it expires. Raises ServiceError or ServiceUnreachable when auth gives none.
    """

    def __init__(self, auth_url: str, client_id: str, secret: str, audience: str) -> None:
        self._auth = ServiceClient(auth_url)
        self._request = {"client_id": client_id, "client_secret": secret, "audience": audience}
        self._lock = threading.Lock()
        self._token = ""
        self._renew_at = 0.0

    def __call__(self) -> str:
        """A token that is good for a while."""
        with self._lock:
            if time.time() >= self._renew_at:
                data = self._auth.post("/internal/token", self._request)
                self._token = data["access_token"]
                self._renew_at = data["access_token_expires_at"] - RENEW_BEFORE_SECONDS
            return self._token


def _data(status: int, envelope: Any) -> Any:
    match envelope:
        case {"message": str(), "data": dict() | list() as data} if status < 300:
            return data
        case {"message": str(message), "error_code": str(code)} if status >= 400:
            raise ServiceError(status, code, message)
    raise ServiceUnreachable(f"an answer outside the contract, status {status}")
