"""TensorBoard's event files, read without TensorFlow: the records, and numbers and texts in each.

The formats are those that `spice_engine.learning.event_file` writes, and the tensors of the new
form of scalars (tensorflow/core/framework/tensor.proto). Everything here is pure.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Iterator
from dataclasses import dataclass, field

from spice_engine.learning.event_file import checksum

HEADER_BYTES, FOOTER_BYTES = 12, 4
CHECKED_BYTES = 4096
"""Records up to this size have their data checked, too; for larger ones (pictures) it takes long,
and their length was checked."""
_NUMBERS = {1: "<f", 2: "<d", 3: "<i", 9: "<q"}
"""How the types of tensors of numbers are packed: DT_FLOAT, DT_DOUBLE, DT_INT32, DT_INT64."""


class Damaged(ValueError):
    """The bytes are no record, or no message."""


@dataclass(slots=True)
class Event:
    """A step's values by their tags; `time` in Unix seconds."""

    time: float = 0.0
    step: int = 0
    values: list[tuple[str, float | str]] = field(default_factory=list[tuple[str, float | str]])


def record_size(header: bytes) -> int:
    """How many bytes a record takes, from its first twelve.

    Raises:
        Damaged: they are not the beginning of a record.
    """
    if checksum(header[:8]) != header[8:HEADER_BYTES]:
        raise Damaged("the length of a record is damaged")
    return int.from_bytes(header[:8], "little") + HEADER_BYTES + FOOTER_BYTES


def data_of(record: bytes) -> bytes:
    """What a whole record holds.

    Raises:
        Damaged: it is not what was written.
    """
    data = record[HEADER_BYTES:-FOOTER_BYTES]
    if len(data) <= CHECKED_BYTES and checksum(data) != record[-FOOTER_BYTES:]:
        raise Damaged("a record is damaged")
    return data


def event_of(data: bytes) -> Event:
    """The numbers and texts of an `Event` message; what else it holds is passed over.

    Raises:
        Damaged: it is no such message.
    """
    event = Event()
    for number, value in _fields(data):
        if number == 1 and isinstance(value, bytes):
            (event.time,) = struct.unpack("<d", _sized(value, 8))
        elif number == 2 and isinstance(value, int):
            event.step = value - 2**64 if value >= 2**63 else value
        elif number == 5 and isinstance(value, bytes):
            for inner, part in _fields(value):
                if inner == 1 and isinstance(part, bytes):
                    _add_value(event, part)
    return event


def _add_value(event: Event, data: bytes) -> None:
    tag, found, tensor, is_text = "", None, b"", False
    for number, value in _fields(data):
        if number == 1 and isinstance(value, bytes):
            tag = value.decode("utf-8", "replace")
        elif number == 2 and isinstance(value, bytes):
            (found,) = struct.unpack("<f", _sized(value, 4))
        elif number == 8 and isinstance(value, bytes):
            found, tensor = _number_in(value), value
        elif number == 9 and isinstance(value, bytes):
            is_text = _inside(value, 1, 1) == b"text"
    if tag and found is not None:
        event.values.append((tag, found))
    elif tag and is_text:  # other tensors of texts are pictures, and what plugins keep
        event.values.append((tag, _text_in(tensor)))


def _text_in(tensor: bytes) -> str:
    """The texts that a tensor holds, a line each."""
    texts = [value for number, value in _fields(tensor) if number == 8 and isinstance(value, bytes)]
    return b"\n".join(texts).decode("utf-8", "replace")


def _inside(data: bytes, *numbers: int) -> bytes:
    """What a message holds at a field of a field; nothing where it has none."""
    for wanted in numbers:
        found = (value for number, value in _fields(data) if number == wanted)
        data = next((value for value in found if isinstance(value, bytes)), b"")
    return data


def _number_in(tensor: bytes) -> float | None:
    """The one number that a tensor holds; None where it holds none, or several."""
    kind, content, numbers = 0, b"", list[float]()
    for number, value in _fields(tensor):
        if number == 1 and isinstance(value, int):
            kind = value
        elif number == 2 and isinstance(value, bytes):
            if any(_size_of(part) != 1 for inner, part in _fields(value) if inner == 2):
                return None
        elif number == 4 and isinstance(value, bytes):
            content = value
        elif number in {5, 6} and isinstance(value, bytes):
            form = "<f" if number == 5 else "<d"
            if len(value) == struct.calcsize(form):
                numbers += struct.unpack(form, value)
            else:
                return None
        elif number in {7, 10}:
            whole = value if isinstance(value, int) else _varint(value, 0)[0]
            numbers.append(float(whole - 2**64 if whole >= 2**63 else whole))
    form = _NUMBERS.get(kind)
    if form is not None and len(content) == struct.calcsize(form):
        numbers = [float(struct.unpack(form, content)[0])]
    return numbers[0] if len(numbers) == 1 and form is not None else None


def _size_of(dimension: int | bytes) -> int:
    if isinstance(dimension, int):
        return -1
    return next((v for n, v in _fields(dimension) if n == 1 and isinstance(v, int)), 0)


def _fields(data: bytes) -> Iterator[tuple[int, int | bytes]]:
    """The fields of a message: whole numbers, or the bytes of what is longer."""
    at = 0
    while at < len(data):
        key, at = _varint(data, at)
        number, kind = key >> 3, key & 7
        if kind == 0:
            value, at = _varint(data, at)
            yield number, value
            continue
        if kind == 2:
            size, at = _varint(data, at)
        elif kind in {1, 5}:
            size = 8 if kind == 1 else 4
        else:
            raise Damaged("a message has a field of an unknown kind")
        if at + size > len(data):
            raise Damaged("a message is cut off")
        yield number, data[at : at + size]
        at += size


def _varint(data: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while at < len(data) and shift < 70:
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
        shift += 7
    raise Damaged("a message is cut off")


def _sized(value: bytes, size: int) -> bytes:
    if len(value) != size:
        raise Damaged("a field has another size")
    return value


def is_kept(event: Event) -> bool:
    """Whether the event's step and time can be a point's."""
    return 0 <= event.step <= 2**53 and math.isfinite(event.time)
