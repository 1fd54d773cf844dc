"""What the gateway is told by its environment."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Self

from gateway.buckets import Rule
from gateway.cors import ANY_ORIGIN, ORIGIN
from gateway.routes import SERVICES
from shared import redis_client
from shared.settings import Environment
from shared.web import MAX_BODY_BYTES

HOUR = 60 * 60


@dataclass(frozen=True)
class Settings:
    """All settings of the gateway.

    `service_urls` has one URL for each service of the route table. `trusted_hops` is how many proxies stand in front.
    `allowed_origins` are the web pages that may read answers, or `*`.
    `network_limit` and `person_limit` hold for all gateways together. `max_body` and `max_answer` are in bytes, and
    `max_json_depth` is how deep a service's answer may be nested. A request has `deadline_seconds` where its route does
    not say otherwise. One of `envelope_check_every` answers is looked at before it is sent.
    """

    service_urls: Mapping[str, str]
    redis_url: str
    token_issuer: str
    access_token_lifetime: int
    clock_margin: int
    trusted_hops: int
    allowed_origins: tuple[str, ...]
    network_limit: Rule
    person_limit: Rule
    max_body: int
    max_answer: int
    max_json_depth: int
    connections_per_service: int
    deadline_seconds: int
    envelope_check_every: int

    @classmethod
    def read(cls, environ: Mapping[str, str]) -> Self:
        """The settings in `environ`; SettingsError names everything that is missing or wrong."""
        with Environment(environ) as environment:
            return cls(
                service_urls={name: environment.url(f"{name.upper()}_URL", "http") for name in SERVICES},
                redis_url=environment.url("REDIS_URL", *redis_client.SCHEMES, problem_of=redis_client.problem_of),
                token_issuer=environment.text("TOKEN_ISSUER", "latchkey"),
                access_token_lifetime=environment.integer("ACCESS_TOKEN_LIFETIME", 15 * 60, low=1, high=24 * HOUR),
                clock_margin=environment.integer("CLOCK_MARGIN", 15 * 60, low=0, high=24 * HOUR),
                trusted_hops=environment.integer("TRUSTED_HOPS", 0, low=0, high=10),
                allowed_origins=_origins(environment),
                network_limit=Rule(
                    "network",
                    environment.integer("REQUESTS_PER_SECOND", 500, low=1, high=1_000_000),
                    environment.integer("BURST", 2000, low=1, high=1_000_000),
                ),
                person_limit=Rule(
                    "person",
                    environment.integer("PERSON_REQUESTS_PER_SECOND", 50, low=1, high=1_000_000),
                    environment.integer("PERSON_BURST", 200, low=1, high=1_000_000),
                ),
                max_body=environment.integer("MAX_BODY_BYTES", MAX_BODY_BYTES, low=1, high=100_000_000),
                max_answer=environment.integer("MAX_ANSWER_BYTES", 10_000_000, low=1_000, high=100_000_000),
                max_json_depth=environment.json_depth(),
                connections_per_service=environment.integer("CONNECTIONS_PER_SERVICE", 64, low=1, high=10_000),
                deadline_seconds=environment.integer("DEADLINE_SECONDS", 10, low=1, high=300),
                envelope_check_every=environment.integer("ENVELOPE_CHECK_EVERY", 100, low=1, high=1_000_000),
            )

    @property
    def ended_sessions_kept(self) -> int:
        """For how many seconds it is told that a session has ended: until its access tokens expired on every clock."""
        return self.access_token_lifetime + self.clock_margin


def _origins(environment: Environment) -> tuple[str, ...]:
    names = environment.text("ALLOWED_ORIGINS", "").replace(",", " ").split()
    for name in names:
        if name != ANY_ORIGIN and not ORIGIN.fullmatch(name):
            environment.refuse("ALLOWED_ORIGINS", f"has {name!r}, which is no origin such as https://app.example.com")
    return tuple(names)
