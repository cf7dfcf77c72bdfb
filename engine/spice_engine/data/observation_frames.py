"""What was accepted of one payload, as one frame of bytes (msgpack); the engine reads them too.

Needs msgpack and NumPy only, and NumPy not to look at a frame's head. The frames lie in files of
`spice_engine.store.framedlog`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import field
from typing import TYPE_CHECKING, Any, cast

import msgpack  # pyright: ignore[reportMissingTypeStubs]

from spice_engine.errors import IncompatibleVersion, InvalidData
from spice_engine.records import record

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_pack = cast("Callable[[Any], bytes]", msgpack.packb)  # pyright: ignore[reportUnknownMemberType]
_unpack = cast("Callable[[bytes], Any]", msgpack.unpackb)  # pyright: ignore[reportUnknownMemberType]
VERSION = 1
DIGEST_BYTES = 16


@record
class Block:
    """Rows of one dataspace (`from/name`).

    `times` [N] are unix seconds; `measurements` hold float64 [N] each with NaN for no datum, the
    texts None. `tags` has a list of tags for each row, or is None where the dataspace reads none.
    """

    dataspace: str
    times: NDArray[np.int64]
    measurements: Mapping[str, NDArray[np.float64]]
    categories: Mapping[str, Sequence[str | None]] = field(
        default_factory=dict[str, "Sequence[str | None]"]
    )
    identifiers: Mapping[str, Sequence[str | None]] = field(
        default_factory=dict[str, "Sequence[str | None]"]
    )
    tags: Sequence[Sequence[str]] | None = None


@record
class Head:
    """What a frame says of itself without its rows.

    `accepted` in unix seconds; `digest` is `payload_digest` of what was posted, `key` its
    idempotency key or "", `feed` the connector that brought it or "" for a post. With `replace`
    (first and last second, inclusive) it takes the place of earlier rows of the same feed.
    `dataspaces` are those it has rows of.
    """

    accepted: float
    digest: bytes
    key: str = ""
    feed: str = ""
    replace: tuple[int, int] | None = None
    dataspaces: tuple[str, ...] = ()


@record
class Frame:
    """A frame with its rows."""

    head: Head
    blocks: tuple[Block, ...]


def payload_digest(data: bytes) -> bytes:
    """What tells a payload from any other: 16 bytes (BLAKE2b)."""
    return hashlib.blake2b(data, digest_size=DIGEST_BYTES).digest()


def encode(frame: Frame) -> bytes:
    """The bytes of a frame; `head.dataspaces` is taken from the blocks."""
    head = frame.head
    content = {
        "v": VERSION,
        "at": head.accepted,
        "h": head.digest,
        "k": head.key,
        "f": head.feed,
        "r": list(head.replace) if head.replace else None,
        "b": [
            {
                "d": block.dataspace,
                "t": block.times.astype("<i8", copy=False).tobytes(),
                "m": {
                    name: column.astype("<f8", copy=False).tobytes()
                    for name, column in block.measurements.items()
                },
                "c": {name: list(column) for name, column in block.categories.items()},
                "i": {name: list(column) for name, column in block.identifiers.items()},
                "g": None if block.tags is None else [list(row) for row in block.tags],
            }
            for block in frame.blocks
        ],
    }
    return _pack(content)


def decode_head(data: bytes) -> Head:
    """A frame's head; its rows are not looked at.

    Raises as `decode` does.
    """
    return _head(_content(data))


def decode(data: bytes) -> Frame:
    """The frame that `encode` made; its arrays cannot be written to.

    Raises:
        InvalidData: it is no frame.
        IncompatibleVersion: it is of a later version.
    """
    import numpy as np

    content = _content(data)
    head = _head(content)
    try:
        blocks = tuple(
            Block(
                block["d"],
                np.frombuffer(block["t"], dtype="<i8"),
                {name: np.frombuffer(raw, dtype="<f8") for name, raw in block["m"].items()},
                block["c"],
                block["i"],
                block["g"],
            )
            for block in content["b"]
        )
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise _no_frame() from error
    for block in blocks:
        count = len(block.times)
        columns = (*block.measurements.values(), *block.categories.values())
        others = (*block.identifiers.values(), *([] if block.tags is None else [block.tags]))
        if any(len(column) != count for column in (*columns, *others)):
            raise _no_frame()
    return Frame(head, blocks)


def _content(data: bytes) -> dict[str, Any]:
    try:
        content = _unpack(data)
    except (ValueError, msgpack.UnpackException) as error:
        raise _no_frame() from error
    if not isinstance(content, dict):
        raise _no_frame()
    found = cast("dict[str, Any]", content)
    version = found.get("v")
    if isinstance(version, int) and version > VERSION:
        raise IncompatibleVersion(
            f"Accepted observations are of version {version}; this engine knows {VERSION}.",
            hint="Use the engine that wrote them, or a newer one.",
        )
    return found


def _head(content: Mapping[str, Any]) -> Head:
    try:
        replace = content["r"]
        return Head(
            float(content["at"]),
            bytes(content["h"]),
            str(content["k"]),
            str(content["f"]),
            (int(replace[0]), int(replace[1])) if replace else None,
            tuple(str(block["d"]) for block in content["b"]),
        )
    except (KeyError, TypeError, ValueError, IndexError) as error:
        raise _no_frame() from error


def _no_frame() -> InvalidData:
    return InvalidData(
        "This is no frame of accepted observations.",
        hint="The file was altered or is damaged; take it from a backup, or remove it.",
    )
