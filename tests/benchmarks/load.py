"""What the benchmark sends, from processes of their own: steady sign-ins and refreshes, a storm, and bare loops."""

import http.client
import json
import multiprocessing
import threading
import time
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import jwt
import psycopg
from argon2 import PasswordHasher
from cryptography.hazmat.primitives.asymmetric import ec

PASSWORD = "a long and winding road"
GREATEST_PAUSE = 2.0
BARE_REFRESH = """
    UPDATE sessions SET generation = generation + 1, rotated_at = now(), last_used_at = now(), confirmed_at = NULL,
        idle_expires_at = least(date_trunc('second', now()) + interval '30 days', absolute_expires_at)
    WHERE id = %s AND generation = %s AND ended_at IS NULL AND idle_expires_at > now() AND absolute_expires_at > now()
    RETURNING *
"""


class Sample(NamedTuple):
    """One request: its status, its error code, if any, and how many seconds it took."""

    status: int
    code: str
    seconds: float


class Door:
    """A kept connection to one base URL."""

    def __init__(self, url: str) -> None:
        self._connection = http.client.HTTPConnection(urlsplit(url).netloc, timeout=30)
        self.answer: Any = {}
        self.retry_after = 0.0

    def send(self, method: str, path: str, form: Any = None, token: str = "") -> Sample:
        headers = {"Content-Type": "application/json"} | ({"Authorization": f"Bearer {token}"} if token else {})
        since = time.perf_counter()
        self._connection.request(method, path, json.dumps(form) if form else None, headers)
        response = self._connection.getresponse()
        body = response.read()
        seconds = time.perf_counter() - since
        self.answer = json.loads(body)
        self.retry_after = float(response.headers.get("Retry-After", 0))
        return Sample(response.status, self.answer.get("error_code", ""), seconds)

    def sign_in(self, email: str) -> Sample:
        return self.send("POST", "/v1/auth/login", {"email": email, "password": PASSWORD, "device_type": "Web"})


def elsewhere(work: Callable[..., Any], *arguments: Any) -> Callable[[], Any]:
    """Does `work` in a process of its own, so that it does not share our interpreter; call it for the result."""
    ours, theirs = multiprocessing.Pipe()

    def do() -> None:
        theirs.send(work(*arguments))

    process = multiprocessing.Process(target=do)
    process.start()
    # Else the end of a process that failed would not be seen.
    theirs.close()

    def result() -> Any:
        value = ours.recv()
        process.join()
        return value

    return result


def sign_ins(url: str, emails: Sequence[str], seconds: float) -> list[Sample]:
    """Each of `emails` signs in again and again over one connection."""

    def one(email: str, samples: list[Sample], until: float) -> None:
        door = Door(url)
        while time.monotonic() < until:
            samples.append(door.sign_in(email))

    return _together(one, emails, seconds)


def storm(url: str, emails: Sequence[str], seconds: float) -> list[Sample]:
    """As `sign_ins`, but whoever is told to come back later does."""

    def one(email: str, samples: list[Sample], until: float) -> None:
        door = Door(url)
        while time.monotonic() < until:
            sample = door.sign_in(email)
            samples.append(sample)
            if sample.status != 200:
                time.sleep(min(door.retry_after, GREATEST_PAUSE))

    return _together(one, emails, seconds)


def refreshes(url: str, tokens: Sequence[str], threads: int, seconds: float) -> list[Sample]:
    """Each thread refreshes its part of `tokens` in turn, over one connection."""

    def one(mine: list[str], samples: list[Sample], until: float) -> None:
        door, number = Door(url), 0
        while time.monotonic() < until:
            samples.append(door.send("POST", "/v1/auth/refresh", {"refresh_token": mine[number]}))
            mine[number] = door.answer["data"]["refresh_token"]
            number = (number + 1) % len(mine)

    return _together(one, [list(tokens[part::threads]) for part in range(threads)], seconds)


def reads(url: str, access_token: str, seconds: float) -> list[Sample]:
    """One phone reads its profile, a hundred times a second at most."""
    door, samples, until = Door(url), [], time.monotonic() + seconds
    while time.monotonic() < until:
        samples.append(door.send("GET", "/v1/users/me", token=access_token))
        time.sleep(0.01)
    return samples


def bare_argon2(threads: int, password_hash: str, seconds: float) -> int:
    """How many passwords argon2 alone verifies."""

    def one(_: int, verified: list[Any], until: float) -> None:
        hasher = PasswordHasher(time_cost=2, memory_cost=19 * 1024, parallelism=1)
        while time.monotonic() < until:
            verified.append(hasher.verify(password_hash, PASSWORD))

    return len(_together(one, range(threads), seconds))


def bare_refreshes(database_url: str, sessions: Sequence[tuple[Any, int]], seconds: float) -> int:
    """How many times the UPDATE of a refresh and one ES256 signature are done in a loop."""
    key = ec.generate_private_key(ec.SECP256R1())
    rows, count, until = list(sessions), 0, time.monotonic() + seconds
    with psycopg.connect(database_url, autocommit=True) as connection:
        while time.monotonic() < until:
            number = count % len(rows)
            session_id, generation = rows[number]
            [_] = connection.execute(BARE_REFRESH, (session_id, generation)).fetchall()
            jwt.encode({"sub": "1", "sid": str(session_id), "gen": generation + 1}, key, algorithm="ES256")
            rows[number] = (session_id, generation + 1)
            count += 1
    return count


def _together(one: Callable[[Any, list[Any], float], None], parts: Sequence[Any], seconds: float) -> list[Any]:
    samples: list[Any] = []
    until = time.monotonic() + seconds
    threads = [threading.Thread(target=one, args=(part, samples, until)) for part in parts]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return samples
