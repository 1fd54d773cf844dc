"""Every way in which a service may answer wrongly that we could think of, as bytes on its connection."""

import gzip
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum
from itertools import chain

from tests.support.services import raw_reply

# What must never reach an app: an address, a name, a stack trace, SQL and HTML of the inside.
CANARIES = (b"10.66.7.8", b"canary-7f9c.internal", b"Traceback (most", b"SELECT * FROM canary", b"<b>canary</b>")
LEAK = b" ".join(CANARIES)
MEGABYTE = 1024 * 1024


class Then(Enum):
    """What the service does when its bytes are sent."""

    KEEP = "wait for the next request"
    CLOSE = "close the connection"
    RESET = "reset the connection"
    HANG = "keep the connection open and say no more"
    DRIP = "send further bytes, one a second"


@dataclass(frozen=True)
class Fault:
    """One way to answer; `name` stands in the table."""

    name: str
    reply: bytes
    then: Then = Then.KEEP

    @property
    def leaks(self) -> bool:
        """Whether its bytes hold what must not get out."""
        return CANARIES[0] in self.reply


JSON = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
CHUNKED = JSON + b"Transfer-Encoding: chunked\r\n\r\n"
INTERIM = b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n"
ENVELOPE = b'{"message":"Done","data":{"a":1}}'
LEAKING_JSON = b'{"detail":"%b"}' % LEAK
INSIDE = "http://canary-7f9c.internal:8000/v1/users/7"
INNER_HEADERS = (
    f"Server: {CANARIES[0].decode()}\r\nX-Debug: {LEAK.decode()}\r\nLocation: {INSIDE}\r\nLink: <{INSIDE}>\r\n"
    f'WWW-Authenticate: Bearer realm="{INSIDE}"\r\nRetry-After: {INSIDE}\r\nAllow: {INSIDE}\r\nVary: {INSIDE}\r\n'
    f"Content-Language: {INSIDE}\r\nCache-Control: {INSIDE}\r\nLast-Modified: {INSIDE}\r\nSet-Cookie: a={INSIDE}\r\n"
)


def code(value: str, *, more: str = "") -> bytes:
    return f'{{"message":"{LEAK.decode()}","error_code":"{value}"{more}}}'.encode()


def usable() -> Iterator[Fault]:
    """What can be passed on."""
    yield Fault("an envelope", raw_reply("200 OK", ENVELOPE))
    yield Fault("an envelope, created", raw_reply("201 Created", ENVELOPE))
    yield Fault(
        "an envelope with addresses of the inside in its headers", raw_reply("200 OK", ENVELOPE, extra=INNER_HEADERS)
    )
    yield Fault("a failure envelope", raw_reply("404 Not Found", b'{"message":"Not here","error_code":"USER_404"}'))
    yield Fault("plain JSON", raw_reply("200 OK", b'{"price":1.10,"big":18446744073709551616}'))
    yield Fault("an array", raw_reply("200 OK", b"[1,2]"))
    yield Fault("a bare number", raw_reply("200 OK", b"5"))
    yield Fault("null", raw_reply("200 OK", b"null"))
    yield Fault("names that stand twice in the data", raw_reply("200 OK", b'{"a":1,"a":2}'))
    yield Fault("an envelope with a third key", raw_reply("200 OK", b'{"message":"x","data":{},"extra":1}'))
    yield Fault("an empty 200", raw_reply("200 OK", b""))
    yield Fault("202", raw_reply("202 Accepted", b"{}"))
    yield Fault("204", b"HTTP/1.1 204 No Content\r\n\r\n")
    yield Fault("no length, until the connection closes", JSON + b"\r\n" + ENVELOPE, Then.CLOSE)
    yield Fault("HTTP/1.0", b"HTTP/1.0 200 OK\r\nContent-Type: application/json\r\n\r\n" + ENVELOPE, Then.CLOSE)
    yield Fault("chunks with an extension and a trailer", CHUNKED + b"2;a=b\r\n[1\r\n1\r\n]\r\n0\r\nX-T: 1\r\n\r\n")
    yield Fault("interim answers before the answer", INTERIM + raw_reply("200 OK", ENVELOPE))
    yield Fault("a folded header", JSON + b"X-A: 1\r\n 2\r\nContent-Length: 2\r\n\r\n{}")


def foreign() -> Iterator[Fault]:
    """Whole HTTP answers outside the contract."""
    html = b"<html><h1>%b</h1></html>" % LEAK
    for status in ("200 OK", "404 Not Found", "500 Internal Server Error", "502 Bad Gateway"):
        yield Fault(f"HTML, {status}", raw_reply(status, html, "text/html"))
    for status in ("400 Bad Request", "409 Conflict", "422 Unprocessable Content", "500 Internal Server Error"):
        yield Fault(f"problem+json, {status}", raw_reply(status, LEAKING_JSON, "application/problem+json"))
    for status in ("403 Forbidden", "405 Method Not Allowed", "413 Too Large", "418 Teapot", "429 Too Many Requests"):
        yield Fault(f"text, {status}", raw_reply(status, LEAK, "text/plain", INNER_HEADERS))
    for status in ("501 Not Implemented", "503 Service Unavailable", "504 Gateway Timeout", "599 What"):
        yield Fault(f"text, {status}", raw_reply(status, LEAK, "text/plain", INNER_HEADERS))
    yield Fault("401 of another shape", raw_reply("401 Unauthorized", LEAKING_JSON, extra=INNER_HEADERS))
    yield Fault("a 401 envelope with an unknown code", raw_reply("401 Unauthorized", code("BILL_401")))
    yield Fault("a 404 envelope with an unknown code", raw_reply("404 Not Found", code("BILL_404")))
    yield Fault("a 400 envelope with a third key", raw_reply("400 Bad Request", code("VAL_001", more=',"field":"x"')))
    yield Fault("a 400 envelope with two codes", raw_reply("400 No", code("VAL_001", more=',"error_code":"VAL_002"')))
    yield Fault("503 that says AUTH_003", raw_reply("503 Service Unavailable", code("AUTH_003")))
    yield Fault("404 that says AUTH_004", raw_reply("404 Not Found", code("AUTH_004")))
    yield Fault("a failure envelope with 200", raw_reply("200 OK", code("AUTH_003")))
    yield Fault("a success envelope with 500", raw_reply("500 Oops", b'{"message":"%b","data":{}}' % LEAK))
    yield Fault("a success envelope with 404", raw_reply("404 No", b'{"message":"%b","data":{}}' % LEAK))
    yield Fault("SRV_500 in the envelope", raw_reply("500 Internal Server Error", code("SRV_500")))
    yield Fault("an envelope with data twice", raw_reply("200 OK", b'{"message":"%b","data":1,"data":{}}' % LEAK))
    yield Fault("JSON that says it is HTML", raw_reply("200 OK", LEAKING_JSON, "text/html"))
    yield Fault("two content types", raw_reply("200 OK", LEAKING_JSON, extra="Content-Type: text/html\r\n"))
    for status in ("300 Multiple Choices", "301 Moved", "302 Found", "303 See Other", "307 Temporary", "308 Permanent"):
        yield Fault(f"a redirect, {status}", raw_reply(status, LEAK, "text/html", f"Location: {INSIDE}\r\n"))
    yield Fault("304 that nobody asked for", b'HTTP/1.1 304 Not Modified\r\nETag: "1"\r\n\r\n')
    yield Fault("206", raw_reply("206 Partial Content", LEAKING_JSON, extra="Content-Range: bytes 0-9/99\r\n"))
    yield Fault("status 600", raw_reply("600 What", LEAKING_JSON))
    yield Fault("status 999", raw_reply("999 What", LEAKING_JSON))


def bodies() -> Iterator[Fault]:
    """Bodies that are not what they say."""
    as_text = {
        "NaN": b'{"a":NaN,"b":"%b"}' % LEAK, "Infinity": b'[-Infinity,"%b"]' % LEAK, "a lone surrogate": rb'["\ud800"]',
        "a byte order mark": b"\xef\xbb\xbf" + LEAKING_JSON, "invalid UTF-8": b'["\xff\xfe", "%b"]' % LEAK,
        "UTF-16": '{"a":1}'.encode("utf-16"), "JSON that broke off": b'{"detail":"%b' % LEAK,
        "two JSON texts": LEAKING_JSON * 2, "a control sign in a string": b'["\x01 %b"]' % LEAK,
        "JavaScript": b"callback(%b)" % LEAKING_JSON, "200,000 times [": b"[" * 200_000,
        "100 arrays in each other": b"[" * 100 + b"]" * 100, "11 MB": b'["%b"]' % (b"x" * (11 * MEGABYTE)),
    }  # fmt: skip
    for name, body in as_text.items():
        yield Fault(name, raw_reply("200 OK", body))
    yield Fault("another charset", raw_reply("200 OK", b'["\xe9 %b"]' % LEAK, "application/json; charset=latin-1"))
    encoded = {
        "gzip": (gzip.compress(ENVELOPE), "gzip"), "JSON that says it is gzip": (ENVELOPE, "gzip"),
        "bad gzip": (b"\x1f\x8b" + LEAK, "gzip"),
        "a zip bomb of 64 MB": (gzip.compress(bytes(64 * MEGABYTE)), "gzip"),
        "deflate": (zlib.compress(ENVELOPE), "deflate"), "br": (LEAK, "br"), "two encodings": (LEAK, "gzip, br"),
    }  # fmt: skip
    for name, (body, coding) in encoded.items():
        yield Fault(name, raw_reply("200 OK", body, extra=f"Content-Encoding: {coding}\r\n"))


def framing() -> Iterator[Fault]:
    """Answers that don't say clearly where they end."""
    yield Fault("longer than what comes, then closed", JSON + b"Content-Length: 999\r\n\r\n" + LEAKING_JSON, Then.CLOSE)
    yield Fault("longer than what comes, then reset", JSON + b"Content-Length: 999\r\n\r\n" + LEAKING_JSON, Then.RESET)
    yield Fault("longer than what comes, then silent", JSON + b"Content-Length: 999\r\n\r\n" + LEAKING_JSON, Then.HANG)
    yield Fault("shorter than what comes", JSON + b"Content-Length: 2\r\n\r\n{}" + LEAK, Then.CLOSE)
    yield Fault("two answers", raw_reply("200 OK", b"[1]") + raw_reply("200 OK", LEAKING_JSON))
    for length in ("x", "-2", "+2", "0x2", "2 2", "9" * 30):
        yield Fault(f"length {length}", JSON + f"Content-Length: {length}\r\n\r\n".encode() + LEAKING_JSON, Then.CLOSE)
    two = JSON + b"Content-Length: 2\r\nContent-Length: 900\r\n\r\n" + LEAKING_JSON
    yield Fault("two lengths", two, Then.CLOSE)
    both = JSON + b"Content-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" + LEAK
    yield Fault("a length and chunks", both, Then.CLOSE)
    yield Fault("a chunk size that is none", CHUNKED + b"zz\r\n" + LEAKING_JSON, Then.CLOSE)
    yield Fault(
        "6 MB of trailers", CHUNKED + b"2\r\n{}\r\n0\r\n" + b"X-A: %b\r\n" % (b"x" * 1000) * (6 * 1024) + b"\r\n"
    )
    yield Fault("chunks that break off", CHUNKED + b"2\r\n{}\r\n", Then.CLOSE)
    yield Fault("chunks that never end", CHUNKED + b"2\r\n{}\r\n", Then.HANG)
    yield Fault("a coding that nobody knows", JSON + b"Transfer-Encoding: smoke\r\n\r\n" + LEAKING_JSON, Then.CLOSE)


def heads() -> Iterator[Fault]:
    """Heads that are none."""
    body = b"Content-Length: 2\r\n\r\n{}"
    yield Fault("6 MB of headers", JSON + b"X-A: %b\r\n" % (b"x" * 1000) * (6 * 1024) + body)
    yield Fault("a header of 1 MB", JSON + b"X-A: %b\r\n" % (b"x" * MEGABYTE) + body)
    yield Fault("100,000 headers", JSON + b"A: 1\r\n" * 100_000 + body)
    yield Fault("interim answers without end", b"HTTP/1.1 100 Continue\r\n\r\n" * 100_000, Then.CLOSE)
    yield Fault("only an interim answer", b"HTTP/1.1 100 Continue\r\n\r\n", Then.CLOSE)
    yield Fault("101", b"HTTP/1.1 101 Switching\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n" + LEAK, Then.CLOSE)
    yield Fault("HTTP/0.9", LEAK, Then.CLOSE)
    yield Fault("HTTP/2", b"\x00\x00\x12\x04\x00\x00\x00\x00\x00" + LEAK, Then.CLOSE)
    yield Fault("another protocol", b"SSH-2.0-OpenSSH_9.2 " + LEAK + b"\r\n", Then.CLOSE)
    yield Fault("status 99", b"HTTP/1.1 99 No\r\n" + body, Then.CLOSE)
    yield Fault("a header without a colon", JSON + LEAK + b"\r\n" + body, Then.CLOSE)
    yield Fault("a NUL in a header", JSON + b'ETag: "\x00%b"\r\n' % LEAK + body, Then.CLOSE)
    yield Fault("a CR in a header", JSON + b'ETag: "\rX-A: %b"\r\n' % LEAK + body, Then.CLOSE)
    yield Fault("a CR and LF in a header", JSON + b'ETag: "\r\nSet-Cookie: %b"\r\n' % LEAK + body)
    yield Fault("letters outside ASCII in headers", JSON + 'ETag: "é"\r\nVary: é\r\nAllow: é\r\n'.encode() + body)
    yield Fault("half a head, then closed", JSON + b"X-A: " + LEAK, Then.CLOSE)
    yield Fault("half a head, then silent", JSON + b"X-A: " + LEAK, Then.HANG)


def silence() -> Iterator[Fault]:
    """Connections that fail."""
    yield Fault("closed before the answer", b"", Then.CLOSE)
    yield Fault("reset before the answer", b"", Then.RESET)
    yield Fault("reset in the head", JSON, Then.RESET)
    yield Fault("a black hole", b"", Then.HANG)
    yield Fault("one byte a second of the head", JSON + b"X-A: ", Then.DRIP)
    yield Fault("one byte a second of the body", JSON + b"Content-Length: 999\r\n\r\n{", Then.DRIP)


KINDS = {
    "What can be passed on": usable, "Answers outside the contract": foreign, "Bodies": bodies,
    "Where an answer ends": framing, "Heads": heads, "Connections": silence,
}  # fmt: skip
REFUSED = Fault("refused", b"")
FAULTS = {fault.name: fault for fault in chain(*(kind() for kind in KINDS.values()))}
