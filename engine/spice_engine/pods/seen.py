"""Which payloads a pod was given within the last day, so that one sent twice counts once.

A payload is known by a 64-bit fingerprint, of its digest or of its idempotency key, each together
with the dataspaces it went to. What was seen is written beside sealed observations as records of
`<dQ` (unix seconds, fingerprint): their frames, which hold the same, are gone by then.
"""

from __future__ import annotations

import hashlib
import struct
from array import array
from bisect import bisect_left
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from typing import Any, Final, cast

import msgpack  # pyright: ignore[reportMissingTypeStubs]

from spice_engine.records import record

RECORD = struct.Struct("<dQ")
DAY: Final = 86_400.0
_GENERATION = 65_536
_GENERATIONS = 64
_HEAD_BYTES = 4096

# msgpack has no type stubs; these three names are all that is used of it here.
_unpacker = cast("Callable[[], Any]", msgpack.Unpacker)  # pyright: ignore[reportUnknownMemberType]
_unpack = cast("Callable[[bytes], Any]", msgpack.unpackb)  # pyright: ignore[reportUnknownMemberType]
_OutOfData = cast("type[Exception]", msgpack.OutOfData)  # pyright: ignore[reportUnknownMemberType]

Record = tuple[float, int]
"""When (unix seconds), and a fingerprint."""


@record
class Head:
    """The beginning of an observation frame: all but its rows. `at` in unix seconds."""

    at: float
    digest: bytes
    key: str
    feed: str
    scope: str

    def fingerprints(self) -> tuple[int, ...]:
        """What to look for; nothing for a feed's frames, which may rightly repeat themselves."""
        if self.feed:
            return ()
        found = (_fingerprint(b"digest", self.scope, self.digest),)
        return (*found, _fingerprint(b"key", self.scope, self.key.encode())) if self.key else found


class Seen:
    """The fingerprints of a day: of the newest 4 million payloads, where there were more.

    Not safe from several threads at once.
    """

    def __init__(self) -> None:
        self._recent: dict[int, float] = {}
        # Sorted and packed: a tenth of the memory that a dict takes.
        self._older: deque[tuple[array[int], array[float]]] = deque(maxlen=_GENERATIONS)

    def __len__(self) -> int:
        return len(self._recent) + sum(len(keys) for keys, _ in self._older)

    def add(self, fingerprint: int, at: float) -> None:
        """Remember it as seen `at` (unix seconds)."""
        self._recent[fingerprint] = at
        if len(self._recent) >= _GENERATION:
            self._pack(at)

    def has(self, fingerprint: int, now: float) -> bool:
        """Whether it was seen within the day before `now`."""
        at = self._recent.get(fingerprint)
        if at is not None:
            return at > now - DAY
        for keys, times in self._older:
            place = bisect_left(keys, fingerprint)
            if place < len(keys) and keys[place] == fingerprint and times[place] > now - DAY:
                return True
        return False

    def _pack(self, now: float) -> None:
        """Drop what is older than a day, and pack the rest if there is still much of it."""
        self._recent = {key: at for key, at in self._recent.items() if at > now - DAY}
        while self._older and max(self._older[0][1]) <= now - DAY:
            self._older.popleft()
        if len(self._recent) > _GENERATION // 2:
            items = sorted(self._recent.items())
            self._older.append(
                (array("Q", (k for k, _ in items)), array("d", (t for _, t in items)))
            )
            self._recent = {}


def head_of(frame: bytes) -> Head:
    """The head of an observation frame, without unpacking its rows where they come last.

    Raises ValueError or KeyError where it is no such frame.
    """
    found: dict[str, Any] = {}
    unpacker = _unpacker()
    unpacker.feed(frame[:_HEAD_BYTES])
    try:
        for _ in range(unpacker.read_map_header()):
            name = unpacker.unpack()
            found[name] = _scope_ahead(unpacker) if name == "b" else unpacker.unpack()
            if "b" in found:
                break
        return _head(found)
    except (_OutOfData, KeyError):
        whole = cast("dict[str, Any]", _unpack(frame))
        blocks = cast("list[dict[str, Any]]", whole["b"])
        return _head({**whole, "b": _scope(len(blocks), blocks[0]["d"] if blocks else "")})


def read_records(data: bytes, after: float) -> Iterator[Record]:
    """The records seen later than `after`; a torn one at the end is left out."""
    whole = len(data) - len(data) % RECORD.size
    return ((at, key) for at, key in RECORD.iter_unpack(data[:whole]) if at > after)


def write_records(records: Iterable[Record]) -> bytes:
    """The records as bytes."""
    return b"".join(RECORD.pack(at, key) for at, key in records)


def _head(found: dict[str, Any]) -> Head:
    return Head(
        float(found["at"]),
        bytes(found["h"]),
        str(found["k"] or ""),
        str(found["f"] or ""),
        str(found["b"]),
    )


def _scope_ahead(unpacker: Any) -> str:
    blocks: int = unpacker.read_array_header()
    if not blocks:
        return _scope(0, "")
    unpacker.read_map_header()
    if unpacker.unpack() != "d":
        raise KeyError("d")
    return _scope(blocks, unpacker.unpack())


def _scope(blocks: int, first: str) -> str:
    # One dataspace goes by its name. Several came to the pod as a whole.
    return first if blocks == 1 else f"{blocks}/"


def _fingerprint(kind: bytes, scope: str, value: bytes) -> int:
    text = b"\0".join((kind, scope.encode(), value))
    return int.from_bytes(hashlib.blake2b(text, digest_size=8).digest(), "little")
