"""What the gateway does with every request and answer, whatever they are about: limits, web pages, ways out."""

from dataclasses import replace

from flask import Response, request
from werkzeug.datastructures import Headers

from gateway.answers import Answer
from gateway.compression import compressed
from gateway.cors import Cors
from gateway.headers import Environ, HeaderList, add_vary, replace_header
from gateway.limits import Limits
from shared.access_tokens import Person
from shared.networks import network_of

# Where a request keeps how it stands with the limits that counted it.
_STANDINGS = "latchkey.standings"


class Edge:
    """Counts requests and finishes answers."""

    def __init__(self, limits: Limits, cors: Cors) -> None:
        self._limits = limits
        self.cors = cors

    def count_network(self, environ: Environ, address: str) -> None:
        """Count a request of whoever has this address. Raises TooManyRequests."""
        self._limits.network.spend(network_of(address), environ.setdefault(_STANDINGS, []))

    def count_person(self, environ: Environ, person: Person) -> None:
        """Count a request of a person whose token was checked. Raises TooManyRequests."""
        self._limits.person.spend(str(person.account_id), environ.setdefault(_STANDINGS, []))

    def finish(self, environ: Environ, answer: Answer, fields: HeaderList, *, secret: bool = False) -> Answer:
        """The answer as it goes out, compressed unless it is `secret`; what the edge has to say is added to `fields`.

        The length of what is compressed tells about it, and with tokens in it that is too much (the attack BREACH).
        """
        self._sign(environ, fields)
        body = answer.body if secret else compressed(environ, answer.status, answer.body, fields)
        return answer if body is answer.body else replace(answer, body=body)

    def finish_page(self, response: Response) -> Response:
        """The same for an answer of Flask."""
        fields = list(response.headers)
        self._sign(request.environ, fields)
        # Files, too, are read for it; all that are larger than a packet are text.
        response.direct_passthrough = False
        whole = response.get_data()
        body = compressed(request.environ, response.status_code, whole, fields)
        if body is not whole:
            response.set_data(body)
            replace_header(fields, "Content-Length", str(len(body)))
        response.headers = Headers(fields)
        return response

    def _sign(self, environ: Environ, fields: HeaderList) -> None:
        if standings := environ.get(_STANDINGS):
            fields += [("RateLimit", ", ".join(standings)), ("RateLimit-Policy", self._limits.policies)]
        fields += self.cors.headers(environ)
        if self.cors.vary:
            add_vary(fields, "Origin")
