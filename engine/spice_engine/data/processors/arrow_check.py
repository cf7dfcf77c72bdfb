"""Looks over Arrow IPC before polars reads it.

Lengths in damaged bytes may ask for any amount of memory, and polars then aborts the process
instead of raising an error. So the few lengths that it believes are compared with what is there.
"""

from __future__ import annotations

import struct

MAGIC = b"ARROW1"
CONTINUATION = 0xFFFFFFFF
MAX_ROWS = 200_000_000
MAX_UNPACKED_BYTES = 2 << 30
_DICTIONARY, _BATCH = 2, 3


class DamagedArrow(ValueError):
    """A length in the stream that cannot be."""


def check_stream(data: bytes) -> None:
    """Walks through the messages of a stream.

    Raises DamagedArrow where a length cannot be, or the stream ends within a message.
    """
    view = memoryview(data)
    position = 0
    unpacked = 0
    try:
        while 0 <= position < len(view):
            position, size = _check_message(view, position)
            unpacked += size
            _check_total(unpacked)
    except struct.error as error:
        raise DamagedArrow("it ends within a message") from error


def check_file(data: bytes) -> None:
    """Looks at the footer of a file and at every batch that it points to.

    Raises DamagedArrow where a length cannot be, or the file is not whole.
    """
    view = memoryview(data)
    try:
        if not data.endswith(MAGIC):
            raise DamagedArrow("its end is missing")
        (size,) = struct.unpack_from("<I", view, len(view) - 10)
        start = len(view) - 10 - size
        footer = _Table.root(view[_inside(view, start) : start + size])
        unpacked = 0
        for number in (2, 3):  # dictionaries and batches
            for offset, _, body in footer.rows(number, "<qixxxxq"):
                end, more = _check_message(view, _inside(view, offset))
                if not 0 <= body <= len(view) or end < 0:
                    raise DamagedArrow("it ends within a batch")
                unpacked += more
                _check_total(unpacked)
    except struct.error as error:
        raise DamagedArrow("it ends within a message") from error


def _check_message(view: memoryview, position: int) -> tuple[int, int]:
    """Where the message ends (-1 at the end of a stream), and what its batch unpacks to."""
    (size,) = struct.unpack_from("<I", view, position)
    position += 4
    if size == CONTINUATION:
        (size,) = struct.unpack_from("<I", view, position)
        position += 4
    if size == 0:
        return -1, 0
    if size > len(view) - position:
        raise DamagedArrow("it ends within a message")
    message = _Table.root(view[position : position + size])
    position += size
    kind, header, body = message.number(1, "<B"), message.table(2), message.number(3, "<q")
    if not 0 <= body <= len(view) - position:
        raise DamagedArrow("it ends within a batch")
    if kind == _DICTIONARY:
        header = header.table(1)
    unpacked = 0
    if kind in (_DICTIONARY, _BATCH):
        unpacked = _check_batch(header, view[position : position + body])
    return position + body, unpacked


def _check_total(unpacked: int) -> None:
    if unpacked > MAX_UNPACKED_BYTES:
        raise DamagedArrow(f"it unpacks to more than {MAX_UNPACKED_BYTES >> 20} MiB")


class _Table:
    """A table of a flatbuffer: its fields are found by their numbers."""

    def __init__(self, view: memoryview, position: int) -> None:
        self.view = view
        self.position = position
        (back,) = struct.unpack_from("<i", view, position)
        self._fields = _inside(view, position - back)
        (self._size,) = struct.unpack_from("<H", view, self._fields)

    @classmethod
    def root(cls, view: memoryview) -> _Table:
        """The table that a flatbuffer is."""
        return cls(view, _inside(view, struct.unpack_from("<I", view, 0)[0]))

    def place(self, number: int) -> int:
        """Where a field lies; 0 where it is absent."""
        entry = 4 + 2 * number
        if entry + 2 > self._size:
            return 0
        (offset,) = struct.unpack_from("<H", self.view, self._fields + entry)
        return _inside(self.view, self.position + offset) if offset else 0

    def number(self, number: int, form: str) -> int:
        """A field that is a number of a `struct` form; 0 where it is absent."""
        place = self.place(number)
        return int(struct.unpack_from(form, self.view, place)[0]) if place else 0

    def table(self, number: int) -> _Table:
        """A field that is a table."""
        return _Table(self.view, self._target(number))

    def rows(self, number: int, form: str) -> list[tuple[int, ...]]:
        """A field that is a vector of structs of a `struct` form; empty where it is absent."""
        if not self.place(number):
            return []
        start = self._target(number)
        (count,) = struct.unpack_from("<I", self.view, start)
        end = start + 4 + struct.calcsize(form) * count
        if end > len(self.view):
            raise DamagedArrow("a list in it is longer than its message")
        return list(struct.iter_unpack(form, self.view[start + 4 : end]))

    def _target(self, number: int) -> int:
        place = self.place(number)
        if not place:
            raise DamagedArrow("a message lacks a part")
        (offset,) = struct.unpack_from("<I", self.view, place)
        return _inside(self.view, place + offset)


def _inside(view: memoryview, position: int) -> int:
    if not 0 <= position < len(view):
        raise DamagedArrow("a message points outside itself")
    return position


def _check_batch(batch: _Table, body: memoryview) -> int:
    """Checks a batch; gives how many bytes its buffers unpack to."""
    if not 0 <= batch.number(0, "<q") <= MAX_ROWS:
        raise DamagedArrow("a batch has more rows than can be")
    for length, nulls in batch.rows(1, "<qq"):
        if not 0 <= nulls <= length <= MAX_ROWS:
            raise DamagedArrow("a column has more rows than can be")
    packed = bool(batch.place(3))
    total = 0
    for offset, length in batch.rows(2, "<qq"):
        if offset < 0 or length < 0 or offset + length > len(body):
            raise DamagedArrow("a column lies outside its batch")
        total += length
        if packed and length:
            (size,) = struct.unpack_from("<q", body, offset)
            if size < -1:
                raise DamagedArrow("a column has a length that cannot be")
            total += max(size, 0)
    return total
