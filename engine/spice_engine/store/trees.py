"""Tree manifests: a folder's entries as the bytes of one object. Reads and writes no files."""

from __future__ import annotations

import json
from typing import Any, Literal

from spice_engine.errors import StorageError
from spice_engine.records import record
from spice_engine.store.blobs import HASH

HEADER = b"spice-tree 1\n"

Kind = Literal["file", "folder", "link"]


@record
class Entry:
    """One name in a folder.

    `content` is the hash of a file's object or a folder's manifest, or a symbolic link's target.
    `mode` holds permission bits, `size` a file's bytes.
    """

    name: str
    kind: Kind
    mode: int
    content: str
    size: int = 0


def encode(entries: list[Entry]) -> bytes:
    """The manifest's bytes; the same entries in any order give the same."""
    rows = [
        [entry.name, entry.kind, entry.mode, entry.content, entry.size]
        for entry in sorted(entries, key=lambda entry: entry.name)
    ]
    return HEADER + json.dumps(rows, separators=(",", ":")).encode("ascii")


def is_tree(start: bytes) -> bool:
    """Whether an object that begins with these bytes is a manifest."""
    return start.startswith(HEADER)


def decode(data: bytes) -> tuple[Entry, ...]:
    """The entries of a manifest; names are safe to join to a folder.

    Raises:
        StorageError: it is not a manifest, or holds a name that leads out of the folder.
    """
    if not is_tree(data):
        raise StorageError("an object is not a folder's manifest.", hint="Name another object.")
    try:
        rows = json.loads(data[len(HEADER) :])
        entries = tuple(_entry(row) for row in rows)
    except (ValueError, TypeError, RecursionError) as error:
        raise StorageError(
            f"a folder's manifest is damaged: {error}.", hint="Take the snapshot again."
        ) from error
    if len({entry.name for entry in entries}) != len(entries):
        raise StorageError("a folder's manifest names a file twice.")
    return entries


def _entry(row: list[Any]) -> Entry:
    name, kind, mode, content, size = row
    if not isinstance(name, str) or name in {"", ".", ".."} or "/" in name or "\0" in name:
        raise ValueError(f"{name!r} is not a file's name")
    if kind not in {"file", "folder", "link"}:
        raise ValueError(f"{kind!r} is not a kind of entry")
    if not isinstance(content, str) or not (kind == "link" or HASH.fullmatch(content)):
        raise ValueError(f"{name!r} has no content hash")
    if not isinstance(mode, int) or not isinstance(size, int) or not 0 <= mode <= 0o777:
        raise ValueError(f"{name!r} has no valid mode or size")
    return Entry(name, kind, mode, content, size)
