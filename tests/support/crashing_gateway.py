"""The real gateway with bugs in it, whose exceptions tell all about the inside.

Whatever needs a signed-in person crashes, and so does `/v1/errors`; where else, a request says in its query.
"""

from collections.abc import Iterable
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any
from unittest import mock

from gateway import headers, pages, proxy
from gateway.app import create_app as create_real_app
from gateway.cors import Cors
from gateway.edge import Edge
from gateway.envelope_check import EnvelopeCheck
from gateway.guard import TokenGuard
from gateway.upstream import Upstream
from tests.support.faults import LEAK

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication

# By what the query says: something that every request, or every one to a service, comes through.
PLACES: dict[str, tuple[Any, str]] = {
    "preflight": (Cors, "preflight"),
    "accept": (proxy, "accept_tags"),
    "address": (headers, "client_address"),
    "language": (proxy, "choose_language"),
    "limit": (Edge, "count_network"),
    "body": (proxy, "read_body"),
    "upstream": (Upstream, "send"),
    "check": (EnvelopeCheck, "approve"),
    "log": (proxy, "log_access"),
    "finish": (Edge, "finish"),
}
# And what only the gateway's own pages come through.
PAGE_PLACES: dict[str, tuple[Any, str]] = {
    "page_finish": (Edge, "finish_page"),
    "page_check": (EnvelopeCheck, "finish_page"),
}
_place: ContextVar[str] = ContextVar("place", default="")


def create_app() -> "WSGIApplication":
    """The gateway of the environment, with bugs."""
    mock.patch.object(TokenGuard, "check", side_effect=_bug("the guard")).start()
    mock.patch.object(pages, "_codes", side_effect=_bug("a page")).start()
    for place, (owner, name) in (PLACES | PAGE_PLACES).items():
        _break(place, owner, name)
    gateway = create_real_app()

    def serve(environ: dict[str, Any], start_response: "StartResponse") -> Iterable[bytes]:
        _place.set(environ["QUERY_STRING"])
        return gateway(environ, start_response)

    return serve


def _break(place: str, owner: Any, name: str) -> None:
    real = getattr(owner, name)

    def broken(*args: Any, **values: Any) -> Any:
        if _place.get() == place:
            # Once: whoever tells of the bug may come through here again.
            _place.set("")
            raise _bug(place)
        return real(*args, **values)

    mock.patch.object(owner, name, broken).start()


def _bug(place: str) -> ZeroDivisionError:
    return ZeroDivisionError(f"a bug in {place}: {LEAK.decode()}")
