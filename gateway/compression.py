"""Makes large answers small: brotli or gzip, as the client prefers, and entity tags that stay true of the bytes."""

import re
import zlib
from collections.abc import Callable
from functools import lru_cache
from typing import Any

import brotli
import gevent
from werkzeug.datastructures import Accept
from werkzeug.http import parse_accept_header

from gateway.headers import HeaderList, add_vary, header, replace_header

# Below it a packet is saved rarely, and time is lost always.
SMALLEST_BYTES = 1024
# Quick levels. Of 234 KB of JSON, brotli 3 makes 25 % in 1.6 ms here, gzip 1 29 % in 1.3 ms, gzip 6 26 % in 4.6 ms.
_COMPRESSORS: dict[str, Callable[[bytes], bytes]] = {
    "br": lambda body: brotli.compress(body, quality=3),
    "gzip": lambda body: zlib.compress(body, 1, zlib.MAX_WBITS | 16),
}
# What takes longer than a few milliseconds is done beside the event loop.
_ASIDE_BYTES = 256 * 1024
_MARKED_TAG = re.compile(r'-(?:br|gzip)"')
_ORIGINAL_TAGS = "latchkey.if_none_match"


def accept_tags(environ: dict[str, Any]) -> None:
    """Take the mark of the encoding off the entity tags of a request: whoever made them knows of no encoding."""
    for name in ("HTTP_IF_NONE_MATCH", "HTTP_IF_MATCH"):
        if tags := environ.get(name):
            environ.setdefault(_ORIGINAL_TAGS, tags)
            environ[name] = _MARKED_TAG.sub('"', tags)


def compressed(environ: dict[str, Any], status: int, body: bytes, fields: HeaderList) -> bytes:
    """The body of an answer as the client wants it; `fields` are changed to match.

    An entity tag gets the encoding's name as its end (RFC 9110 section 8.8.3.3), so that no cache mixes bytes up.
    """
    if status == 304:
        add_vary(fields, "Accept-Encoding")
        _remember_mark(environ, fields)
        return body
    if len(body) <= SMALLEST_BYTES or status == 206 or header(fields, "Content-Encoding"):
        return body
    add_vary(fields, "Accept-Encoding")
    encoding = _chosen(environ.get("HTTP_ACCEPT_ENCODING", ""))
    if encoding is None:
        return body
    if tag := header(fields, "ETag"):
        replace_header(fields, "ETag", _marked(tag, encoding))
    fields.append(("Content-Encoding", encoding))
    return _compress(body, encoding)


def _compress(body: bytes, encoding: str) -> bytes:
    if len(body) < _ASIDE_BYTES:
        return _COMPRESSORS[encoding](body)
    done: bytes = gevent.get_hub().threadpool.apply(_COMPRESSORS[encoding], (body,))
    return done


@lru_cache(maxsize=256)
def _chosen(accept: str) -> str | None:
    """The encoding to use for an Accept-Encoding (RFC 9110 section 12.5.3); of two that are liked alike, brotli."""
    accepted = parse_accept_header(accept, Accept)
    best = max(_COMPRESSORS, key=accepted.quality)
    if accepted.quality(best) <= 0:
        return None
    identity = dict(accepted).get("identity", 0)
    return best if accepted.quality(best) >= identity else None


def _remember_mark(environ: dict[str, Any], fields: HeaderList) -> None:
    """Give the tag of a 304 the mark that the client's own has."""
    tag = header(fields, "ETag")
    for encoding in _COMPRESSORS:
        if tag and _marked(tag, encoding) in environ.get(_ORIGINAL_TAGS, ""):
            replace_header(fields, "ETag", _marked(tag, encoding))


def _marked(tag: str, encoding: str) -> str:
    return f'{tag[:-1]}-{encoding}"'
