"""How the gateway reads a request: what is refused unread, the whole body, and how an unread one is let go."""

import re
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING
from urllib.parse import quote

import gevent
from gunicorn.http.errors import NoMoreData, ParseException
from gunicorn.http.wsgi import Response
from gunicorn.util import close_graceful

from gateway.headers import Environ
from shared.errors import BadRequest, TooLarge

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse

_PATH_SAFE = "/:@!$&'()*+,;=-._~"
# What two programs may read as two different paths, in the decoded path and as it was sent.
_AMBIGUOUS_PATH = ("//", "\\", "\x00")
_AMBIGUOUS_TARGET = ("%2f", "%2e", "%25", "#")
# RFC 9110 section 4.2.1: a name or an address, and perhaps a port.
_HOST = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._~!$&'()*+,;=%-]*)(:[0-9]*)?")
_DRAIN_SECONDS = 2.0
_DRAIN_BYTES = 16 * 1024 * 1024
# Also with parameters behind the dots, which some servers drop before they go up (`/..;a=b`, RFC 3986 section 3.3).
_DOT_SEGMENT = re.compile(r"/\.\.?(?=[/;]|$)")


def refuse_ambiguous(environ: Environ) -> None:
    """Raise BadRequest for what two programs may read as two different things: a path, whose site it is, a coding."""
    path = environ["PATH_INFO"]
    target = environ["RAW_URI"].partition("?")[0].lower()
    if (
        any(sign in path for sign in _AMBIGUOUS_PATH)
        or any(sign in target for sign in _AMBIGUOUS_TARGET)
        or _DOT_SEGMENT.search(path)
    ):
        raise BadRequest("an ambiguous path")
    if not path.isascii() and not _is_utf8(path):
        raise BadRequest("a path that is not UTF-8")
    # RFC 9112 section 3.2: only HTTP/1.0 may leave it out.
    if not _HOST.fullmatch(environ.get("HTTP_HOST", "/" if environ["SERVER_PROTOCOL"] == "HTTP/1.1" else "")):
        raise BadRequest("no usable Host")
    # gunicorn undoes chunks only, and would let the bytes of another coding through below them.
    if environ.get("HTTP_TRANSFER_ENCODING", "chunked").lower() != "chunked":
        raise BadRequest("a transfer coding that nobody undoes")


def _is_utf8(path: str) -> bool:
    """Whether a path (PEP 3333: its bytes as latin-1) is UTF-8; some programs read other bytes as a slash or a dot."""
    try:
        path.encode("latin-1").decode()
    except UnicodeDecodeError:
        return False
    return True


def target_of(environ: Environ) -> str:
    """The origin-form target for the service (RFC 9112 section 3.2.1)."""
    path = quote(environ["PATH_INFO"].encode("latin-1"), safe=_PATH_SAFE)
    return f"{path}?{environ['QUERY_STRING']}" if environ.get("QUERY_STRING") else path


def read_body(environ: Environ, *, limit: int, seconds: float) -> bytes:
    """The whole body, read before anything is done with it: a phone that sends slowly costs no service anything.

    Raises TooLarge past `limit` bytes, and BadRequest for a body that is broken or takes longer than `seconds`.
    """
    announced = environ.get("CONTENT_LENGTH")
    if announced in (None, "0") and "HTTP_TRANSFER_ENCODING" not in environ:
        return b""
    if int(announced or 0) > limit:
        raise TooLarge
    try:
        with gevent.Timeout(seconds, BadRequest("the body did not arrive in time")):
            body: bytes = environ["wsgi.input"].read(limit + 1)
    except TimeoutError as error:
        raise BadRequest("the body came to a halt") from error
    except (ParseException, NoMoreData, ConnectionError) as error:
        raise BadRequest("the body is broken") from error
    if len(body) > limit:
        raise TooLarge
    if len(body) < int(announced or 0):
        raise BadRequest("the body is not whole")
    return body


class LastWords:
    """An answer that is given before the request was read: the connection ends with it.

    What still arrives is read for a moment, because closing over it would reset the connection and lose the answer
    (RFC 9112 section 9.6); and nothing of it is taken for a further request.
    """

    def __init__(self, reply: Iterable[bytes], environ: Environ, start_response: "StartResponse") -> None:
        self._reply = reply
        self._socket = environ.get("gunicorn.socket")
        if isinstance(response := getattr(start_response, "__self__", None), Response):
            response.force_close()

    def __iter__(self) -> Iterator[bytes]:
        return iter(self._reply)

    def close(self) -> None:
        """What gunicorn calls when the answer is sent."""
        if self._socket is not None:
            close_graceful(self._socket, timeout=_DRAIN_SECONDS, max_drain=_DRAIN_BYTES)
