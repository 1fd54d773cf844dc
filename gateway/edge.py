"""What the gateway does with every request and answer, whatever they are about: limits, and headers on the way out."""

from typing import Any

from flask import Response, request

from gateway.limits import Limits
from shared.access_tokens import Person
from shared.networks import network_of

Environ = dict[str, Any]
HeaderList = list[tuple[str, str]]

# Where a request keeps how it stands with the limits that counted it.
_STANDINGS = "latchkey.standings"


class Edge:
    """Counts requests and finishes answers."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits

    def count_network(self, environ: Environ, address: str) -> None:
        """Count a request of whoever has this address. Raises TooManyRequests."""
        self._limits.network.spend(network_of(address), environ.setdefault(_STANDINGS, []))

    def count_person(self, environ: Environ, person: Person) -> None:
        """Count a request of a person whose token was checked. Raises TooManyRequests."""
        self._limits.person.spend(str(person.account_id), environ.setdefault(_STANDINGS, []))

    def finish(self, environ: Environ, fields: HeaderList) -> None:
        """Add to the headers of an answer what the edge has to say."""
        if standings := environ.get(_STANDINGS):
            fields += [("RateLimit", ", ".join(standings)), ("RateLimit-Policy", self._limits.policies)]

    def finish_page(self, response: Response) -> Response:
        """The same for an answer of Flask."""
        fields: HeaderList = []
        self.finish(request.environ, fields)
        response.headers.extend(fields)
        return response
