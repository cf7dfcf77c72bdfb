"""Reads the heads of requests that are quite ordinary predictions, and turns down all others.

What is turned down goes to aiohttp, which answers it in every detail; so this reader takes only
what cannot be understood in two ways. A head has to pass a strict pattern first, then llhttp
(RFC 9112 without any leniency). Heads that came before are known: a client on a kept connection
sends the same one again and again.
"""

from __future__ import annotations

import math
import re

import httptools

from spice_engine.api.security import PROXY_HEADERS, split_host
from spice_engine.api.server_paths import INFER, ServerPaths
from spice_runtime import wire

MOST_BODY = 256 * 1024
MOST_HEAD = 8190
MOST_HEADERS = 100
_KEPT_HEADS = 512
_KEPT_LENGTH = 2048

ID = re.compile(r"[A-Za-z0-9._:-]{1,64}")
"""The form of a request id that a client may give."""
_HEAD = re.compile(
    rb"POST (/[!-~]*) HTTP/1\.1\r\n(?:[!#$%&'*+\-.^_`|~0-9A-Za-z]+:[\t -~]*\r\n)+\r\n"
)
_LENGTH = re.compile(rb"[0-9]{1,7}")
_SECONDS = re.compile(rb"[0-9]{1,9}(?:\.[0-9]{1,9})?")

_UNUSUAL = frozenset(
    {
        b"content-encoding",
        b"expect",
        b"http2-settings",
        b"origin",
        b"sec-fetch-site",
        b"te",
        b"trailer",
        b"transfer-encoding",
        b"upgrade",
    }
)
"""Headers that ask for more than reading a body of a known length."""
_PROXIES = frozenset(name.lower().encode() for name in PROXY_HEADERS)
_ASKED = frozenset(
    {
        b"authorization",
        b"connection",
        b"content-length",
        b"content-type",
        b"host",
        b"x-request-deadline",
        b"x-request-id",
    }
)

_CODECS = {
    b"application/json": wire.JSON,
    b"text/json": wire.JSON,
    b"text/plain": wire.JSON,
    b"application/x-www-form-urlencoded": wire.JSON,
    b"application/msgpack": wire.MSGPACK,
    b"application/x-msgpack": wire.MSGPACK,
    b"application/vnd.msgpack": wire.MSGPACK,
    b"application/x-npy": wire.NPY,
    b"application/npy": wire.NPY,
}


def codec_of(content_type: bytes) -> int:
    """The request codec of a content type.

    None at all, and what `curl -d` sends, count as JSON: so they did in Spell, which never looked.
    """
    kind = content_type.partition(b";")[0].strip().lower()
    if not kind:
        return wire.JSON
    found = _CODECS.get(kind)
    if found is not None:
        return found
    return wire.JSON if kind.endswith(b"+json") else wire.RAW


def deadline_of(text: bytes) -> float | None:
    """The seconds of an `X-Request-Deadline` header; None where it is no positive number."""
    if not _SECONDS.fullmatch(text):
        return None
    seconds = float(text)
    return seconds if math.isfinite(seconds) and seconds > 0 else None


class Head:
    """One request's head, read. Sizes are bytes, `deadline` seconds (0: none given)."""

    __slots__ = (
        "authorization",
        "codec",
        "deadline",
        "host",
        "is_last",
        "length",
        "proxied",
        "raw",
        "request_id",
        "route",
        "server",
    )

    def __init__(self, raw: bytes, server: str, route: str) -> None:
        self.raw = raw
        self.server = server
        self.route = route
        self.length = 0
        self.codec = wire.INFER if route == INFER else wire.JSON
        self.host = ""
        self.authorization: str | None = None
        self.request_id = ""
        self.deadline = 0.0
        self.proxied = False
        self.is_last = False


class _Lines:
    """What llhttp finds."""

    __slots__ = ("complete", "lines")

    def __init__(self) -> None:
        self.lines: list[tuple[bytes, bytes]] = []
        self.complete = False

    def on_header(self, name: bytes, value: bytes) -> None:
        self.lines.append((name.lower(), value))

    def on_headers_complete(self) -> None:
        self.complete = True


class HeadReader:
    """Reads heads for all connections of a door."""

    def __init__(self, paths: ServerPaths) -> None:
        self._paths = paths
        # Two generations: when the young one is full it becomes the old one, whose heads go
        # unless they come again.
        self._young: dict[bytes, Head] = {}
        self._old: dict[bytes, Head] = {}

    def read(self, raw: bytes) -> Head | None:
        """The head (with the empty line that ends it), or None where it is not ordinary."""
        known = self._young.get(raw)
        if known is not None:
            return known
        found = self._old.get(raw) or self._parse(raw)
        if found is not None and len(raw) <= _KEPT_LENGTH and not found.request_id:
            if len(self._young) >= _KEPT_HEADS:
                self._old, self._young = self._young, {}
            self._young[raw] = found
        return found

    def _parse(self, raw: bytes) -> Head | None:
        matched = _HEAD.fullmatch(raw)
        target = self._paths.predict(matched[1]) if matched else None
        if target is None:
            return None
        lines = _Lines()
        parser = httptools.HttpRequestParser(lines)
        try:
            parser.feed_data(raw)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade):
            return None
        if not lines.complete or parser.should_upgrade() or len(lines.lines) > MOST_HEADERS:
            return None
        head = Head(raw, *target)
        return head if _fill(head, lines.lines) else None


def _fill(head: Head, lines: list[tuple[bytes, bytes]]) -> bool:
    """Put the values of the lines into the head; False where one is not ordinary."""
    asked: dict[bytes, bytes] = {}
    for name, value in lines:
        if name in _ASKED:
            if name in asked:
                return False
            asked[name] = value
        elif name in _UNUSUAL:
            return False
        elif name in _PROXIES:
            head.proxied = True
    length = asked.get(b"content-length", b"")
    if not _LENGTH.fullmatch(length):
        return False
    head.length = int(length)
    head.host, _ = split_host(asked.get(b"host", b"").decode())
    kept = asked.get(b"connection", b"keep-alive").lower()
    if head.length > MOST_BODY or not head.host or kept not in {b"keep-alive", b"close"}:
        return False
    head.is_last = kept == b"close"
    if head.codec != wire.INFER:
        head.codec = codec_of(asked.get(b"content-type", b""))
    given = asked.get(b"authorization")
    head.authorization = given.decode() if given is not None else None
    given = asked.get(b"x-request-deadline")
    if given is not None:
        seconds = deadline_of(given)
        if seconds is None:
            return False
        head.deadline = seconds
    given = asked.get(b"x-request-id", b"")
    if ID.fullmatch(given.decode()):
        head.request_id = given.decode()
    return True
