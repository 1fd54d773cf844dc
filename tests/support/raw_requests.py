"""Requests that no client should send, letter by letter."""

from dataclasses import dataclass

HOST = b"Host: x\r\n"
LOGIN = b"POST /v1/auth/login HTTP/1.1\r\n" + HOST + b"Content-Type: application/json\r\n"
LIVE = b"GET /health/live HTTP/1.1\r\n" + HOST
CHUNKED = LOGIN + b"Transfer-Encoding: chunked\r\n\r\n"
# What follows every request: who answers this has not lost its place.
PROBE = LIVE + b"Connection: close\r\n\r\n"
MEGABYTE = 1024 * 1024


@dataclass(frozen=True)
class RawRequest:
    """What is sent, before the probe. `methods` are those of the requests that a server may find in it.

    `in_doubt` says that nobody can know where it ends, so that the connection must end with its answer; `cut_off`
    that nothing follows, because the sender is gone.
    """

    name: str
    sent: bytes
    methods: tuple[str, ...] = ("POST",)
    in_doubt: bool = True
    cut_off: bool = False


def _lengths() -> list[RawRequest]:
    values = {
        "a negative one": b"-1", "with a sign": b"+2", "hexadecimal": b"0x2", "with an exponent": b"2e0", "empty": b"",
        "a list": b"2, 2", "in two words": b"2 2", "with an underscore": b"1_0", "a power of two above": b"\xb2",
        "of 5,000 digits": b"1" * 5000, "in words": b"two", "a fraction": b"2.0",
    }  # fmt: skip
    found = [RawRequest(f"length: {name}", LOGIN + b"Content-Length: %b\r\n\r\n{}" % v) for name, v in values.items()]
    two = b"Content-Length: 2\r\nContent-Length: %b\r\n\r\n{}"
    chunks = b"Transfer-Encoding: chunked\r\n"
    return [
        *found,
        RawRequest("length: twice, different", LOGIN + two % b"3"),
        RawRequest("length: twice, the same", LOGIN + two % b"2"),
        RawRequest("length: more than is taken", LOGIN + b"Content-Length: 9999999999\r\n\r\n{}"),
        RawRequest("length: of 30 digits", LOGIN + b"Content-Length: %b\r\n\r\n{}" % (b"9" * 30)),
        RawRequest("length and chunks", LOGIN + b"Content-Length: 5\r\n" + chunks + b"\r\n0\r\n\r\n"),
        RawRequest("chunks and length", LOGIN + chunks + b"Content-Length: 5\r\n\r\n0\r\n\r\n"),
        RawRequest("length, and chunks in a name with an underscore",
                   LOGIN + b"Content-Length: 2\r\nTransfer_Encoding: chunked\r\n\r\n{}", in_doubt=False),
    ]  # fmt: skip


def _codings() -> list[RawRequest]:
    values = {
        "chunked twice": b"chunked, chunked", "gzip, chunked": b"gzip, chunked", "gzip": b"gzip",
        "identity": b"identity", "one that nobody knows": b"xchunked", "behind a control sign": b"\x0bchunked",
        "chunked, identity": b"chunked, identity", "empty": b"",
    }  # fmt: skip
    ending = b"\r\n\r\n2\r\n{}\r\n0\r\n\r\n"
    found = [RawRequest(f"coding: {name}", LOGIN + b"Transfer-Encoding: " + v + ending) for name, v in values.items()]
    two = b"Transfer-Encoding: chunked\r\nTransfer-Encoding: identity"
    return [
        *found,
        RawRequest("coding: in two headers", LOGIN + two + ending),
        RawRequest("coding: before a space and the colon", LOGIN + b"Transfer-Encoding : chunked" + ending),
        RawRequest("coding: with HTTP/1.0", CHUNKED.replace(b"HTTP/1.1", b"HTTP/1.0") + b"0\r\n\r\n"),
    ]


def _chunks() -> list[RawRequest]:
    bodies = {
        "a size that is none": b"zz\r\n{}\r\n0\r\n\r\n", "a negative size": b"-2\r\n{}\r\n0\r\n\r\n",
        "a size with 0x": b"0x2\r\n{}\r\n0\r\n\r\n", "a size behind a space": b" 2\r\n{}\r\n0\r\n\r\n",
        "no size": b"\r\n{}\r\n0\r\n\r\n", "a size of 100,000 digits": b"0" * 100_000 + b"2\r\n{}\r\n0\r\n\r\n",
        "an LF in an extension": b"2;a\n=b\r\n{}\r\n0\r\n\r\n", "a CR in an extension": b"2;a\rb\r\n{}\r\n0\r\n\r\n",
        "an extension of 1 MB": b"2;a=" + b"x" * MEGABYTE + b"\r\n{}\r\n0\r\n\r\n",
        "more than the size says": b"2\r\n{}XX\r\n0\r\n\r\n", "LF for a line's end": b"2\n{}\n0\n\n",
        "a length as a trailer": b"2\r\n{}\r\n0\r\nContent-Length: 5\r\n\r\n",
        "a trailer without a colon": b"2\r\n{}\r\n0\r\nnonsense\r\n\r\n",
        "a trailer of 1 MB": b"2\r\n{}\r\n0\r\nX-A: " + b"x" * MEGABYTE + b"\r\n\r\n",
        "more than is taken": b"20000\r\n" + b" " * 0x20000 + b"\r\n0\r\n\r\n",
    }  # fmt: skip
    good = {
        "an extension": b'2;a="b"\r\n{}\r\n0\r\n\r\n', "a trailer": b"2\r\n{}\r\n0\r\nX-A: b\r\n\r\n",
        "a size in capitals with zeros": b"0002\r\n{}\r\n000\r\n\r\n",
    }  # fmt: skip
    cut = {
        "then nothing": b"2\r\n{", "without the last": b"2\r\n{}\r\n", "then half a trailer": b"2\r\n{}\r\n0\r\nX-A",
        "of 75 exabytes": b"FFFFFFFFFFFFFFFFF\r\n{}",
    }  # fmt: skip
    return [
        *(RawRequest(f"chunks: {name}", CHUNKED + body) for name, body in bodies.items()),
        *(RawRequest(f"chunks: {name}", CHUNKED + body, in_doubt=False) for name, body in good.items()),
        *(RawRequest(f"chunks: {name}", CHUNKED + body, cut_off=True) for name, body in cut.items()),
    ]


def _lines() -> list[RawRequest]:
    headers = {
        "a folded line": b"X-A: 1\r\n 2\r\n", "a first line that is folded": b" X-A: 1\r\n", "no colon": b"X-A\r\n",
        "no name": b": 1\r\n", "a space in a name": b"X A: 1\r\n", "a space before the colon": b"X-A : 1\r\n",
        "a tab in a name": b"X\tA: 1\r\n", "letters outside ASCII in a name": b"X-\xc3\xa9: 1\r\n",
        "NUL": b"X-A: \x00\r\n", "a control sign": b"X-A: \x01\r\n", "DEL": b"X-A: \x7f\r\n",
        "a bare CR": b"X-A: a\rb\r\n",
        "a bare LF": b"X-A: 1\nX-B: 2\r\n", "one of 1 MB": b"X-A: %b\r\n" % (b"x" * MEGABYTE),
        "1,000 of them": b"X-A: 1\r\n" * 1000, "two hosts": HOST, "a host with a space": b"host: a b\r\n",
        "two content types": b"Content-Type: a/b\r\ncontent-type: c/d\r\n",
        "Expect, and not 100-continue": b"Expect: 1\r\n",
    }  # fmt: skip
    good = {
        "letters outside ASCII in a value": b"X-A: \xc3\xa9\r\n",
        "Upgrade to HTTP/2": b"Connection: Upgrade, HTTP2-Settings\r\n"
        b"Upgrade: h2c\r\nHTTP2-Settings: AAMAAABkAARAAAAAAAIAAAAA\r\n",
        "Upgrade to WebSocket": b"Connection: Upgrade\r\n"
        b"Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n",
        "Expect: 100-continue": b"Expect: 100-continue\r\n", "an empty value": b"X-A:\r\n",
    }  # fmt: skip
    return [
        *(RawRequest(f"header: {name}", LIVE + lines + b"\r\n", ("GET",)) for name, lines in headers.items()),
        *(RawRequest(f"header: {name}", LIVE + v + b"\r\n", ("GET",), in_doubt=False) for name, v in good.items()),
        RawRequest("header: no host", b"GET /health/live HTTP/1.1\r\n\r\n", ("GET",)),
        RawRequest("header: a host that is a path", LIVE.replace(b"Host: x", b"Host: x/y") + b"\r\n", ("GET",)),
        RawRequest("header: a host with a name before it", LIVE.replace(b"Host: x", b"Host: a@x") + b"\r\n", ("GET",)),
        RawRequest("lines: LF for every end", LIVE.replace(b"\r\n", b"\n") + b"\n", ("GET",)),
        RawRequest("lines: CR for every end", LIVE.replace(b"\r\n", b"\r") + b"\r", ("GET",)),
        RawRequest("lines: empty ones first", b"\r\n\r\n\r\n" + LIVE + b"\r\n", ("GET",)),
    ]


def _starts() -> list[RawRequest]:
    starts = {
        "HTTP/0.9": b"GET /health/live", "HTTP/3.0": b"GET /health/live HTTP/3.0", "HTTP/1.10": b"GET / HTTP/1.10",
        "http in small letters": b"GET /health/live http/1.1", "no version": b"GET /health/live ",
        "no method": b" /health/live HTTP/1.1", "a method in small letters": b"get /health/live HTTP/1.1",
        "a method of 1,000 letters": b"G" * 1000 + b" /health/live HTTP/1.1", "NUL in the method": b"G\x00T / HTTP/1.1",
        "two spaces": b"GET  /health/live HTTP/1.1", "tabs for spaces": b"GET\t/health/live\tHTTP/1.1",
        "no target": b"GET HTTP/1.1", "a fourth word": b"GET /health/live HTTP/1.1 x", "one word": b"GET",
        "NUL in the target": b"GET /health/\x00live HTTP/1.1", "a target outside ASCII": b"GET /\xc3\xa9 HTTP/1.1",
        "a target of 10 KB": b"GET /" + b"x" * 10_000 + b" HTTP/1.1", "GET *": b"GET * HTTP/1.1",
        "a target that is a host": b"GET x:80 HTTP/1.1", "a target without a slash": b"GET health/live HTTP/1.1",
        "HTTP/2's preface": b"PRI * HTTP/2.0\r\n\r\nSM\r\n", "SMTP": b"HELO x", "an answer": b"HTTP/1.1 200 OK",
        "a proxy's line": b"PROXY TCP4 10.0.0.1 10.0.0.2 1 2\r\n" + LIVE[:-2],
        "a fragment": b"GET /health/live#x HTTP/1.1", "CONNECT": b"CONNECT x:443 HTTP/1.1",
        "an IPv6 host that is none": b"GET http://[::1/health/live HTTP/1.1",
    }  # fmt: skip
    good = {
        "a whole URL": b"GET http://x/health/live HTTP/1.1", "OPTIONS *": b"OPTIONS * HTTP/1.1",
        "TRACE": b"TRACE /health/live HTTP/1.1", "a method that nobody knows": b"FETCH /health/live HTTP/1.1",
        "a whole URL of the inside": b"GET http://users:8000/internal/profiles HTTP/1.1",
        "a whole URL without a path": b"GET http://users:8000 HTTP/1.1",
        "PUT where nobody puts": b"PUT /health/live HTTP/1.1",
        "HEAD": b"HEAD /v1/errors HTTP/1.1",
    }  # fmt: skip
    return [
        *(RawRequest(f"start: {name}", line + b"\r\n" + HOST + b"\r\n", ("GET",)) for name, line in starts.items()),
        *(
            RawRequest(f"start: {name}", line + b"\r\n" + HOST + b"\r\n", (line.split()[0].decode(),), in_doubt=False)
            for name, line in good.items()
        ),
    ]


def _pipelines() -> list[RawRequest]:
    doubt = LOGIN + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"
    post = LOGIN + b"Content-Length: 2\r\n\r\n{}"
    get = LIVE + b"\r\n"
    return [
        RawRequest("pipeline: ten", get * 5 + post * 5, ("GET",) * 5 + ("POST",) * 5, in_doubt=False),
        RawRequest("pipeline: behind one in doubt", doubt + get * 3, ("POST", *("GET",) * 3)),
        RawRequest("pipeline: one in doubt behind a good one", get + doubt + get, ("GET", "POST", "GET")),
        RawRequest("pipeline: behind a GET with a body", get.replace(b"\r\n\r\n", b"\r\nContent-Length: 2\r\n\r\n{}"),
                   ("GET",), in_doubt=False),
        RawRequest("pipeline: behind a HEAD with a body", b"HEAD /v1/errors HTTP/1.1\r\n" + HOST +
                   b"Content-Length: 2\r\n\r\n{}", ("HEAD",), in_doubt=False),
        RawRequest("pipeline: behind a body that is too large", LOGIN + b"Content-Length: 99999\r\n\r\n" + get),
        RawRequest("pipeline: behind a path that is refused", b"GET /v1//x HTTP/1.1\r\n" + HOST + b"\r\n", ("GET",)),
        RawRequest("pipeline: behind HTTP/1.0", LIVE.replace(b"1.1", b"1.0") + b"\r\n", ("GET",)),
        RawRequest("pipeline: behind Connection: close", LIVE + b"Connection: close\r\n\r\n", ("GET",)),
    ]  # fmt: skip


def _others() -> list[RawRequest]:
    tls = b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(range(256)) * 2
    proxy = b"\r\n\r\n\x00\r\nQUIT\n\x21\x11\x00\x0c\x0a\x00\x00\x01\x0a\x00\x00\x02\x00\x01\x00\x02"
    sent = {
        "TLS": tls, "a proxy's lines in binary": proxy + LIVE + b"\r\n", "SSH": b"SSH-2.0-OpenSSH_9.2\r\n",
        "64 KB of A": b"A" * 65_536, "64 KB of NUL": bytes(65_536), "Redis": b"*1\r\n$4\r\nPING\r\n",
    }  # fmt: skip
    cut = {
        "nothing": b"", "an empty line": b"\r\n", "a word": b"GET", "half a target": b"GET /health",
        "half a head": LIVE,
        "half a header": LIVE + b"X-A: 1", "half a body": LOGIN + b'Content-Length: 100\r\n\r\n{"email":',
        "a head before its body": LOGIN + b"Content-Length: 100\r\n\r\n", "a NUL": b"\x00",
        "100-continue, and no body": LOGIN + b"Expect: 100-continue\r\nContent-Length: 100\r\n\r\n",
    }  # fmt: skip
    return [
        *(RawRequest(f"no HTTP: {name}", text, ("GET",)) for name, text in sent.items()),
        *(RawRequest(f"cut off: {name}", text, ("GET",), cut_off=True) for name, text in cut.items()),
    ]


RAW_REQUESTS = [*_lengths(), *_codings(), *_chunks(), *_lines(), *_starts(), *_pipelines(), *_others()]
