"""The route table: what the apps can reach, which service answers it, and who may call it.

A new endpoint of a service is one entry here. A new service is its entries here and one URL in the environment:
`billing` is looked for in BILLING_URL.
"""

from dataclasses import dataclass
from enum import StrEnum


class Guard(StrEnum):
    """Who may pass the gateway. PUBLIC lets everybody through; the service behind still checks what it is given."""

    PUBLIC = "public"
    SIGNED_IN = "signed_in"


@dataclass(frozen=True)
class Route:
    """One door. `{name}` in `path` stands for one segment.

    `seconds` is the longest that an answer may take; without it DEADLINE_SECONDS of the environment counts. `share` is
    the part of the connections to the service that may be busy before this route gets no more of them, so that what is
    slow and comes in storms leaves some to the others. `limited_by_network` says whether the limit of the caller's
    network counts and refuses its requests.
    """

    method: str
    path: str
    service: str
    guard: Guard
    seconds: float | None = None
    share: float = 1.0
    limited_by_network: bool = True


ROUTES = (
    Route("POST", "/v1/auth/signup", "auth", Guard.PUBLIC, share=0.5),
    Route("POST", "/v1/auth/login", "auth", Guard.PUBLIC, share=0.5),
    # Carriers put thousands of phones behind one address: a refresh that somebody else's requests could have refused
    # would sign people out in the end. Auth counts them by session.
    Route("POST", "/v1/auth/refresh", "auth", Guard.PUBLIC, limited_by_network=False),
    # Also with an expired access token, when the refresh token comes in the body.
    Route("POST", "/v1/auth/logout", "auth", Guard.PUBLIC),
    Route("GET", "/v1/auth/sessions", "auth", Guard.SIGNED_IN),
    Route("DELETE", "/v1/auth/sessions/{session_id}", "auth", Guard.SIGNED_IN),
    Route("PUT", "/v1/auth/device", "auth", Guard.SIGNED_IN),
    Route("GET", "/v1/users/me", "users", Guard.SIGNED_IN),
    Route("PATCH", "/v1/users/me", "users", Guard.SIGNED_IN),
    Route("GET", "/v1/users/{user_id}", "users", Guard.SIGNED_IN),
)

SERVICES = tuple(sorted({route.service for route in ROUTES}))
