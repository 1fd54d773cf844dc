"""What a service uses to call another: token, connections, deadlines, safe retries, envelopes as values or errors."""

import threading
import time
from collections.abc import Callable, Mapping
from typing import Any

import urllib3
from urllib3.exceptions import ConnectTimeoutError, HTTPError, ProtocolError
from urllib3.util import parse_url

from shared import tracing
from shared.addresses import Addresses, Resolve, addresses_of
from shared.envelope import CONTENT_TYPE, dump
from shared.strict_json import BadJson, parse
from shared.trace import current_trace

CONNECT_SECONDS = 1.0
DEFAULT_SECONDS = 3.0
# At each replica, of so many as are remembered.
CONNECTIONS = 16
REPLICAS = 32
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
    """Calls one service at `base_url`. `token` gives a service token within some seconds, None asks for none.

    A replica that can't be reached costs nothing while there is another one. Every call ends within its seconds, or
    within what is left of the request that it is made for, whatever is less. Safe to share between threads.
    """

    def __init__(
        self, base_url: str, token: Callable[[float], str] | None = None, *, resolve: Resolve = addresses_of
    ) -> None:
        url = parse_url(base_url)
        self._scheme = url.scheme or "http"
        self._host = url.netloc or ""
        self._port = url.port or (443 if self._scheme == "https" else 80)
        self._prefix = (url.path or "").rstrip("/")
        self._token = token
        self._name = (url.host or "").strip("[]")
        self._addresses = Addresses(self._name, self._port, resolve)
        # The connection goes to an address; the certificate is for the name.
        tls: dict[str, Any] = {"server_hostname": self._name} if self._scheme == "https" else {}
        self._pool = urllib3.PoolManager(num_pools=REPLICAS, maxsize=CONNECTIONS, retries=False, **tls)

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
        with tracing.call(method, self._name, self._port):
            return self._call_now(method, path, seconds=seconds, **options)

    def _call_now(self, method: str, path: str, *, seconds: float, **options: Any) -> Any:
        trace = current_trace.get()
        seconds = min(seconds, trace.seconds_left) if trace else seconds
        if seconds <= 0:
            raise ServiceUnreachable("no time is left for the call")
        deadline = time.monotonic() + seconds
        headers = {"Content-Type": CONTENT_TYPE, "Host": self._host} | (trace.onward_headers() if trace else {})
        if self._token:
            headers["Authorization"] = f"Bearer {self._token(seconds)}"
        try:
            status, body = self._exchange(method, path, deadline, headers=headers, **options)
            tracing.answered(status)
            return _data(status, parse(body))
        except (HTTPError, BadJson) as error:
            raise ServiceUnreachable(f"{method} {path}: {error!r}") from error

    def _exchange(self, method: str, path: str, deadline: float, **options: Any) -> tuple[int, bytes]:
        """Ask one replica after the other until one is reached.

        What was sent and not answered is sent once more if it may be done twice, to another replica if there is one.
        """
        addresses = self._addresses.in_turn(deadline - time.monotonic())
        if not addresses:
            raise ServiceUnreachable(f"{method} {path}: {self._host} has no address")
        is_repeated = False
        while True:
            address = addresses.pop(0)
            share = max(0.001, deadline - time.monotonic()) / (len(addresses) + 1)
            try:
                return self._ask(method, address, path, deadline, connect=min(CONNECT_SECONDS, share), **options)
            except ConnectTimeoutError:
                # Nothing was sent. A refused connection is one of these too.
                self._addresses.doubt(address)
                if not addresses or time.monotonic() >= deadline:
                    raise
            except HTTPError:
                if is_repeated or method not in _IDEMPOTENT or time.monotonic() >= deadline:
                    raise
                is_repeated = True
                addresses.append(address)

    def _ask(
        self, method: str, address: str, path: str, deadline: float, *, connect: float, **options: Any
    ) -> tuple[int, bytes]:
        host = f"[{address}]" if ":" in address else address
        url = f"{self._scheme}://{host}:{self._port}{self._prefix}{path}"
        timeout = urllib3.Timeout(connect=connect, read=max(0.001, deadline - time.monotonic()))
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

    def __call__(self, seconds: float) -> str:
        """A token that is good for a while."""
        deadline = time.monotonic() + seconds
        if not self._lock.acquire(timeout=seconds):
            raise ServiceUnreachable("no token was given in time")
        try:
            if time.time() >= self._renew_at:
                data = self._auth.post("/internal/token", self._request, seconds=deadline - time.monotonic())
                self._token = data["access_token"]
                self._renew_at = data["access_token_expires_at"] - RENEW_BEFORE_SECONDS
            return self._token
        finally:
            self._lock.release()


def _data(status: int, envelope: Any) -> Any:
    match envelope:
        case {"message": str(), "data": dict() | list() as data} if status < 300:
            return data
        case {"message": str(message), "error_code": str(code)} if status >= 400:
            raise ServiceError(status, code, message)
    raise ServiceUnreachable(f"an answer outside the contract, status {status}")
