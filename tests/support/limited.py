"""Requests that are counted, and what their answers say of the limits."""

from tests.support.http import Answer, Api

PAGE = "/health/live"


def from_network(api: Api, address: str, path: str = PAGE) -> Answer:
    return api.get(path, headers={"X-Forwarded-For": address})


def left(answer: Answer, name: str = "network") -> int:
    """How many requests the RateLimit header says are left."""
    [standing] = [part for part in answer.headers["RateLimit"].split(", ") if part.startswith(f'"{name}";r=')]
    return int(standing.split(";")[1].removeprefix("r="))
