"""Reads the lines of points that a run's processes write; see `spice_runtime.run_metrics`.

Everything here blocks; a chunk is bounded, so that a thread that parses does not keep the loop
from its turns.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

from spice_engine.records import record
from spice_engine.store.metrics import Row
from spice_runtime.run_metrics import LARGEST_INDEX, LONGEST_NAME

CHUNK_BYTES = 256 * 1024
"""Some five thousand points."""
_SPECIAL = {None: math.nan, True: math.inf, False: -math.inf}


@record
class Chunk:
    """Points of a file up to byte `end`; `bad` lines were none."""

    rows: list[Row]
    end: int
    bad: int


def read_chunk(path: Path, offset: int, *, whole: bool) -> Chunk | None:
    """The points from a byte on, as far as the last line is complete; with `whole` a line that
    was never ended counts as one. None where there is nothing.

    Raises:
        OSError: the file cannot be read.
    """
    try:
        with path.open("rb") as file:
            file.seek(offset)
            data = file.read(CHUNK_BYTES)
    except FileNotFoundError:
        return None
    full = len(data) == CHUNK_BYTES
    cut = data.rfind(b"\n") + 1
    if not cut and full:
        # No line of ours is so long: what is here is skipped, up to the next end of a line.
        cut = len(data)
    elif whole and not full:
        cut = len(data)
    if not cut:
        return None
    rows, bad = parse(data[:cut])
    return Chunk(rows, offset + cut, bad)


def parse(data: bytes) -> tuple[list[Row], int]:
    """The points in some whole lines, and how many lines were none."""
    import orjson  # not before a run sends something: the engine's start would wait for it

    try:
        return _checked(orjson.loads(b"[" + data.strip(b"\n").replace(b"\n", b",") + b"]")), 0
    except (ValueError, TypeError):
        pass  # one of them is torn, or was written by somebody else
    rows: list[Row] = []
    bad = 0
    for line in filter(None, data.split(b"\n")):
        try:
            rows += _checked([orjson.loads(line)])
        except (ValueError, TypeError):
            bad += 1
    return rows, bad


def _checked(rows: list[Any]) -> list[Row]:
    """Raises ValueError or TypeError where one is no point."""
    for row in rows:
        name, value, index, at = row
        if type(value) is not float and not isinstance(value, str):
            row[1] = _number(value)
        if (
            type(name) is not str
            or not 0 < len(name) <= LONGEST_NAME
            or not (index is None or (type(index) is int and 0 <= index <= LARGEST_INDEX))
            or type(at) is not float
            or at - at != 0
        ):
            raise ValueError(row)
    return rows


def _number(value: object) -> float:
    if value is None or isinstance(value, bool):
        return _SPECIAL[value]
    if not isinstance(value, int):
        raise TypeError(value)
    return float(value)
