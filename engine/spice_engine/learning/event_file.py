"""TensorBoard's event files: scalars over steps, without TensorFlow or its formats' libraries.

A file is a row of TFRecords (tensorflow/core/lib/io/record_writer.h): the length of the data as
uint64, the masked CRC-32C of these eight bytes, the data, their masked CRC-32C, all little-endian.
The data are `Event` messages (tensorflow/core/util/event.proto) with a `Summary`
(tensorflow/core/framework/summary.proto) in the wire format of protocol buffers. The CRC is the
one of RFC 3720, appendix B.4; the mask keeps a CRC of data with CRCs in them from being weak.
"""

from __future__ import annotations

import math
import os
import struct
from collections.abc import Mapping
from pathlib import Path

VERSION = b"brain.Event:2"
"""What the first event of a file says; readers look for it."""

_POLYNOMIAL = 0x82F63B78
"""Castagnoli's, its bits reversed."""
_MASK_DELTA = 0xA282EAD8
_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5


class EventFile:
    """One event file, made anew; every event is on its way to the disk when a call returns."""

    def __init__(self, folder: Path, time: float) -> None:
        """Make the folder, and in it the file of a run that began at `time` (Unix seconds).

        Raises:
            OSError: it cannot be made.
        """
        folder.mkdir(parents=True, exist_ok=True)
        # Readers know event files by this word in their names, and read them in order of names.
        self.path = folder / f"events.out.tfevents.{int(time):010d}.spice.{os.getpid()}"
        self._file = self.path.open("wb", buffering=0)
        self.size = 0
        """Bytes written so far."""
        self._write(_number(1, time) + _text(3, VERSION))

    def scalars(self, step: int, time: float, values: Mapping[str, float]) -> None:
        """Add the values of some curves, by their tags, at a step; `time` in Unix seconds.

        What is no finite number is left out: a curve has a gap there.

        Raises:
            OSError: they cannot be written.
        """
        summary = b"".join(
            _text(1, _text(1, tag.encode("utf-8", "replace")) + _key(2, _FIXED32) + _float(value))
            for tag, value in values.items()
            if math.isfinite(value)
        )
        self._write(_number(1, time) + _key(2, _VARINT) + _varint(step) + _text(5, summary))

    def close(self) -> None:
        """Write no more."""
        self._file.close()

    def _write(self, event: bytes) -> None:
        length = struct.pack("<Q", len(event))
        record = length + checksum(length) + event + checksum(event)
        self._file.write(record)
        self.size += len(record)


def _table() -> tuple[int, ...]:
    found: list[int] = []
    for byte in range(256):
        value = byte
        for _ in range(8):
            value = value >> 1 ^ (_POLYNOMIAL if value & 1 else 0)
        found.append(value)
    return tuple(found)


_TABLE = _table()


def crc32c(data: bytes) -> int:
    """The CRC-32C of the data."""
    crc = 0xFFFFFFFF
    for byte in data:
        crc = _TABLE[(crc ^ byte) & 0xFF] ^ crc >> 8
    return crc ^ 0xFFFFFFFF


def checksum(data: bytes) -> bytes:
    """The masked CRC-32C of the data, as it stands in a record."""
    crc = crc32c(data)
    return struct.pack("<I", ((crc >> 15 | crc << 17) + _MASK_DELTA) & 0xFFFFFFFF)


def _varint(value: int) -> bytes:
    """A whole number of at least 0."""
    parts = bytearray()
    while value > 0x7F:
        parts.append(value & 0x7F | 0x80)
        value >>= 7
    parts.append(value)
    return bytes(parts)


def _key(field: int, kind: int) -> bytes:
    return _varint(field << 3 | kind)


def _number(field: int, value: float) -> bytes:
    return _key(field, _FIXED64) + struct.pack("<d", value)


def _float(value: float) -> bytes:
    try:
        return struct.pack("<f", value)
    except OverflowError:  # a curve's numbers are of single precision
        return struct.pack("<f", math.copysign(math.inf, value))


def _text(field: int, value: bytes) -> bytes:
    return _key(field, _BYTES) + _varint(len(value)) + value
