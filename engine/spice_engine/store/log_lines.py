"""Where the lines of a log begin, found in bulk. Blocking; large logs belong into a child.

Logs are read in pieces and not mapped: a file that is emptied while it is mapped kills whoever
reads it. A line ends with its `\\n`; a last one without is torn, as more of it may come.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from spice_engine.records import record
from spice_engine.store.appendlog import unreadable

STRIDE = 256
MAX_OFFSETS = 200_000
"""Offsets in one answer: 51 million lines, less than 2 MiB on the wire."""

PIECE = 2**20
LONGEST = 64 * 2**20
"""Bytes of a line that are looked at; what follows in a longer one is passed over."""


@record
class Lines:
    """`offsets[i]` is the start of line `line + i * STRIDE`; see `protocol.views.LineIndex`."""

    line: int
    offsets: list[int]
    lines: int
    end: int
    size: int


def index_lines(path: Path, line: int, offset: int) -> Lines:
    """Where every `STRIDE`th line begins, from `line` on, which begins at `offset`.

    Stops after MAX_OFFSETS; `size` then is where it stopped. A log that was not begun is empty,
    one that has become shorter than `offset` is looked at from its start, as `line` 0.

    Raises:
        StorageError: it cannot be read.
    """
    import numpy as np

    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return Lines(0, [0], 0, 0, 0)
    except OSError as error:
        raise unreadable(error, path) from error
    try:
        if offset > os.fstat(descriptor).st_size:
            line = offset = 0
        offsets, whole, end = [offset], 0, offset
        position, buffer = offset, bytearray(PIECE)
        while len(offsets) < MAX_OFFSETS and (got := os.preadv(descriptor, [buffer], position)):
            found = np.flatnonzero(np.frombuffer(buffer, np.uint8, got) == 10)
            if len(found):
                # Newline number k of all ends line k, and the next begins behind it.
                first = -(whole + 1) % STRIDE
                offsets += (found[first::STRIDE] + (position + 1)).tolist()
                whole += len(found)
                end = position + int(found[-1]) + 1
            position += got
        return Lines(line, offsets, line + whole, end, position)
    except OSError as error:
        raise unreadable(error, path) from error
    finally:
        os.close(descriptor)


def pieces(path: Path, offset: int) -> Iterator[tuple[int, bytes, int]]:
    """Whole lines from `offset` on: where the piece begins, its bytes, and where the next does.

    The last piece may end with a torn line.

    Raises:
        NotFound, StorageError: there is no such log, or it cannot be read.
    """
    with _Opened(path) as descriptor:
        position, length = offset, PIECE
        while data := _read(descriptor, path, position, length):
            cut = data.rfind(b"\n") + 1
            if not cut and len(data) == length and length < LONGEST:
                length = min(4 * length, LONGEST)
                continue
            after = position + (cut or len(data))
            if not cut and len(data) == LONGEST:
                after = _next_line(descriptor, path, after)
            if len(data) < length:
                cut, after = len(data), position + len(data)
            yield position, data[: cut or len(data)], after
            position, length = after, PIECE


def pieces_before(path: Path, offset: int) -> Iterator[tuple[int, bytes]]:
    """Whole lines before `offset`, the last ones first: where the piece begins, and its bytes.

    Raises:
        NotFound, StorageError: there is no such log, or it cannot be read.
    """
    with _Opened(path) as descriptor:
        position, length = min(offset, os.fstat(descriptor).st_size), PIECE
        while position > 0:
            begin = max(0, position - length)
            data = _read(descriptor, path, begin, position - begin)
            if begin:
                # The newline that ends the last line does not begin another one.
                cut = data.find(b"\n", 0, max(0, len(data) - 1)) + 1
                if not cut and length < LONGEST:
                    length = min(4 * length, LONGEST)
                    continue
                begin, data = begin + cut, data[cut:]
                if not cut:
                    begin = _line_start(descriptor, path, begin)
                    data = _read(descriptor, path, begin, LONGEST)
            yield begin, data
            position, length = begin, PIECE


def _next_line(descriptor: int, path: Path, position: int) -> int:
    """Where the line after the one at `position` begins, or the end."""
    while data := _read(descriptor, path, position, PIECE):
        found = data.find(b"\n")
        if found >= 0:
            return position + found + 1
        position += len(data)
    return position


def _line_start(descriptor: int, path: Path, position: int) -> int:
    """Where the line begins that the byte at `position` is in."""
    while position > 0:
        begin = max(0, position - PIECE)
        found = _read(descriptor, path, begin, position - begin).rfind(b"\n")
        if found >= 0:
            return begin + found + 1
        position = begin
    return 0


def _read(descriptor: int, path: Path, offset: int, length: int) -> bytes:
    try:
        return os.pread(descriptor, length, offset)
    except OSError as error:
        raise unreadable(error, path) from error


class _Opened:
    """A file's descriptor while it is needed."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._descriptor = -1

    def __enter__(self) -> int:
        try:
            self._descriptor = os.open(self._path, os.O_RDONLY | os.O_CLOEXEC)
        except OSError as error:
            raise unreadable(error, self._path) from error
        return self._descriptor

    def __exit__(self, *_: object) -> None:
        os.close(self._descriptor)
