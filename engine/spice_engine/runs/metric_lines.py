"""Reads the lines of points that a run's processes write; see `spice_runtime.run_metrics`.

Everything here blocks; a chunk is bounded, so that a thread that parses does not keep the loop
from its turns.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from spice_engine.store.metrics import Row
from spice_runtime.run_metrics import LARGEST_INDEX, LONGEST_NAME

CHUNK_BYTES = 256 * 1024
"""Some five thousand points."""
_SPECIAL = {None: math.nan, True: math.inf, False: -math.inf}


@dataclass(frozen=True, slots=True)
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

    lines = data.split(b"\n")
    lines = [line for line in lines if line]
    try:
        return _points(orjson.loads(b"[" + b",".join(lines) + b"]")), 0
    except (ValueError, TypeError):
        pass  # one of them is torn, or was written by somebody else
    points: list[Row] = []
    bad = 0
    for line in lines:
        try:
            points += _points([orjson.loads(line)])
        except (ValueError, TypeError):
            bad += 1
    return points, bad


def _points(rows: Iterable[Any]) -> list[Row]:
    """Raises ValueError or TypeError for what is no point."""
    found: list[Row] = []
    for row in rows:
        name, told, index, at = cast("list[Any]", row)
        if isinstance(told, bool) or told is None:
            value = _SPECIAL[told]
        elif isinstance(told, int | float):
            value = float(told)
        elif isinstance(told, str):
            value = told
        else:
            raise TypeError(row)
        if (
            type(name) is not str
            or not 0 < len(name) <= LONGEST_NAME
            or not (index is None or (type(index) is int and 0 <= index <= LARGEST_INDEX))
            or type(at) is not float
            or at - at != 0
        ):
            raise ValueError(row)
        found.append((name, index, at, value))
    return found
