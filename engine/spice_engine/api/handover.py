"""Open connections that go from one process image to the next, at a restart of the engine.

Their descriptors stay open over `exec`. Bytes that were read from them and not used are in a
file: requests in full, tokens included, so it belongs to the user alone and is read once.
"""

from __future__ import annotations

import logging
import os
import struct
from collections.abc import Iterable, Sequence
from pathlib import Path

from spice_engine.records import record

log = logging.getLogger(__name__)

FILE_NAME = "handover-bytes"
_ENTRY = struct.Struct("<II")


@record
class HandedOver:
    """One connection: its descriptor, and bytes that it has to use before it reads."""

    descriptor: int
    unused: bytes


def leave(folder: Path, connections: Sequence[HandedOver]) -> list[int]:
    """Keep connections open over `exec`, and write what they have not used to a file in
    `folder`. Gives their descriptors; those that cannot be handed on are closed."""
    try:
        _write(folder / FILE_NAME, [it for it in connections if it.unused])
    except OSError as error:
        log.warning("requests of %d connections are lost: %s", len(connections), error)
        close(it for it in connections if it.unused)
        connections = [it for it in connections if not it.unused]
    for connection in connections:
        os.set_inheritable(connection.descriptor, True)
    return [connection.descriptor for connection in connections]


def take(folder: Path, descriptors: Sequence[int]) -> list[HandedOver]:
    """What `leave` left; its file is removed."""
    path = folder / FILE_NAME
    unused: dict[int, bytes] = {}
    if path.exists():
        unused = _read(path.read_bytes())
        path.unlink()
    for descriptor in descriptors:
        os.set_inheritable(descriptor, False)
    return [HandedOver(descriptor, unused.get(descriptor, b"")) for descriptor in descriptors]


def close(connections: Iterable[HandedOver]) -> None:
    """Give connections up."""
    for connection in connections:
        os.close(connection.descriptor)


def _write(path: Path, connections: Sequence[HandedOver]) -> None:
    path.unlink(missing_ok=True)
    if not connections:
        return
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with open(descriptor, "wb") as file:
        for connection in connections:
            file.write(_ENTRY.pack(connection.descriptor, len(connection.unused)))
            file.write(connection.unused)


def _read(data: bytes) -> dict[int, bytes]:
    found: dict[int, bytes] = {}
    place = 0
    while place + _ENTRY.size <= len(data):
        descriptor, length = _ENTRY.unpack_from(data, place)
        place += _ENTRY.size
        found[descriptor] = data[place : place + length]
        place += length
    return found
