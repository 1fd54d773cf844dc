"""What the gateway does with every request and answer, whatever they are about: limits, web pages, ways out."""

from typing import Any

from flask import Response, request
from werkzeug.datastructures import Headers

from gateway.cors import Cors
from gateway.limits import Limits
from shared.access_tokens import Person
from shared.networks import network_of

Environ = dict[str, Any]
HeaderList = list[tuple[str, str]]

# Where a request keeps how it stands with the limits that counted it.
_STANDINGS = "latchkey.standings"


class Edge:
    """Counts requests and finishes answers."""

    def __init__(self, limits: Limits, cors: Cors) -> None:
        self._limits = limits
        self._cors = cors

    def preflight(self, environ: Environ) -> HeaderList | None:
        """The headers that answer a preflight of CORS, or None when this is none that is allowed."""
        return self._cors.preflight(environ)

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
        fields += self._cors.headers(environ)
        if self._cors.vary:
            _add_vary(fields, "Origin")

    def finish_page(self, response: Response) -> Response:
        """The same for an answer of Flask."""
        fields = list(response.headers)
        self.finish(request.environ, fields)
        response.headers = Headers(fields)
        return response


def _add_vary(fields: HeaderList, name: str) -> None:
    for position, (field, value) in enumerate(fields):
        if field.lower() == "vary":
            fields[position] = (field, f"{value}, {name}")
            return
    fields.append(("Vary", name))
