"""The heads of predictions' answers: what the replica says, and what this door always says.

A replica runs a user's code: what it says about the connection and the length of the body is
not passed on.
"""

from __future__ import annotations

import re
from email.utils import formatdate
from http import HTTPStatus

from spice_engine.api.security import ALWAYS, UNLESS_GIVEN
from spice_engine.serving.directory import CONTENT_TYPES

Field = tuple[str, str]

_LINE = re.compile(rb"([!#$%&'*+\-.^_`|~0-9A-Za-z]+):[ \t]*([\t -~\x80-\xff]*)")
_OURS = frozenset(
    {
        "connection",
        "content-length",
        "date",
        "keep-alive",
        "proxy-connection",
        "referrer-policy",
        "server",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
        "x-content-type-options",
        "x-request-id",
    }
)
_KEPT = 256
_REASONS = {int(status): status.phrase for status in HTTPStatus}
BODILESS = frozenset({204, 304})


def fields_of(codec: int, head: bytes) -> list[Field]:
    """The header fields that a replica's answer brings: its content type, and lines of its own."""
    fields: list[Field] = []
    typed = False
    for line in head.split(b"\r\n"):
        found = _LINE.fullmatch(line)
        if found is None:
            continue
        name = found[1].decode()
        if name.lower() in _OURS:
            continue
        typed = typed or name.lower() == "content-type"
        fields.append((name, found[2].decode("utf-8", "replace").strip()))
    if not typed and codec in CONTENT_TYPES:
        fields.insert(0, ("Content-Type", CONTENT_TYPES[codec]))
    return fields


def status_of(status: int) -> int:
    """The status that may be sent for a replica's; what is no final status of HTTP is a 502."""
    return status if 200 <= status <= 599 else 502


class AnswerHeads:
    """Makes heads as bytes, for one door, and keeps them for a second. `is_varied`: answers
    depend on the page's origin."""

    def __init__(self, *, is_varied: bool) -> None:
        self._is_varied = is_varied
        self._kept: dict[tuple[int, int, bool], bytes] = {}
        self._special: dict[tuple[int, int, bool, bytes], bytes] = {}
        self._date = b""
        self.refresh()

    def refresh(self) -> None:
        """A new second: `Date` changes."""
        date = formatdate(usegmt=True).encode()
        if date != self._date:
            self._date = date
            self._kept.clear()
            self._special.clear()

    def get(self, status: int, codec: int, head: bytes, *, varied: bool) -> bytes:
        """The head up to and without the lines about length, connection and request id."""
        if not head:
            found = self._kept.get((status, codec, varied))
            if found is None:
                found = self._kept[status, codec, varied] = self._make(status, codec, head, varied)
            return found
        key = (status, codec, varied, head)
        found = self._special.get(key)
        if found is None:
            found = self._make(status, codec, head, varied)
            if len(self._special) < _KEPT:
                self._special[key] = found
        return found

    def _make(self, status: int, codec: int, head: bytes, varied: bool) -> bytes:
        status = status_of(status)
        fields = fields_of(codec, head)
        given = {name.lower() for name, _ in fields}
        fields += ALWAYS
        fields += [field for field in UNLESS_GIVEN if field[0].lower() not in given]
        if varied or self._is_varied:
            fields.append(("Vary", "Origin"))
        lines = "".join(f"{name}: {value}\r\n" for name, value in fields)
        start = f"HTTP/1.1 {status} {_REASONS.get(status, 'Unknown')}\r\n"
        return start.encode() + b"Date: " + self._date + b"\r\n" + lines.encode()
