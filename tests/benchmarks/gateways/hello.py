"""What gunicorn does with a worker at most: an application of four lines."""

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse

BODY = b'{"message":"Hello","data":{}}'
HEADERS = [("Content-Type", "application/json"), ("Content-Length", str(len(BODY)))]


def app(_environ: dict[str, Any], start_response: "StartResponse") -> Iterable[bytes]:
    """Say hello."""
    start_response("200 OK", HEADERS)
    return [BODY]
