"""Tables of any cells read from files: CSV, JSON, and Parquet where polars is. Blocking; for a
child.

Every row goes into a file of lines, `[place, {column: cell}]`, which its caller reads piece by
piece; `place` names the file and the line, or the row.
"""

from __future__ import annotations

import csv
import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, cast

import orjson

from spice_engine.errors import InvalidRequest, TooLarge
from spice_engine.store.disk import storage_error

MOST_BYTES = 256 * 2**20
LONGEST_CELL = 16 * 2**20
Row = tuple[str, dict[str, Any]]


def rows_of(params: Mapping[str, Any]) -> int:
    """Write the rows of the table `path` (`format`: csv, json, parquet) to `out`; how many.

    Raises:
        InvalidRequest: it is no such table; with the line where one is to blame.
        TooLarge: it has over `most` rows, or too many bytes.
        StorageError: it cannot be read, or the lines cannot be written.
    """
    path, count = Path(params["path"]), 0
    try:
        if path.stat().st_size > MOST_BYTES:
            raise TooLarge(f"{path.name} has over {MOST_BYTES} bytes.", hint="Take it in parts.")
        with Path(params["out"]).open("wb") as out:
            for row in _READERS[params["format"]](path):
                count += 1
                if count > params["most"]:
                    raise TooLarge(f"{path.name} has over {params['most']} rows.")
                out.write(orjson.dumps(row, default=str) + b"\n")
    except OSError as error:
        raise storage_error(error, "read the table", path) from error
    return count


def _csv(path: Path) -> Iterator[Row]:
    csv.field_size_limit(LONGEST_CELL)
    with path.open(encoding="utf-8-sig", newline="") as lines:
        reader = csv.reader(lines, strict=True)
        try:
            columns = next(reader, list[str]())
            if len(set(columns)) != len(columns):
                raise InvalidRequest(f"{path.name}:1: two columns have the same name.")
            for cells in reader:
                if not cells:
                    continue
                place = f"{path.name}:{reader.line_num}"
                if len(cells) != len(columns):
                    raise InvalidRequest(
                        f"{place}: {len(cells)} cells, where there are {len(columns)} columns."
                    )
                yield place, dict(zip(columns, cells, strict=True))
        except UnicodeDecodeError as error:
            raise InvalidRequest(f"{path.name}:{reader.line_num + 1}: no UTF-8.") from error
        except csv.Error as error:
            raise InvalidRequest(f"{path.name}:{reader.line_num}: {error}.") from error


def _json(path: Path) -> Iterator[Row]:
    data = path.read_bytes()
    try:
        found = orjson.loads(data)
    except orjson.JSONDecodeError as error:
        raise InvalidRequest(f"{path.name}:{error.lineno}: {error.msg}.") from error
    if not isinstance(found, list):
        raise InvalidRequest(f"{path.name}:1: no list of objects.")
    rows = cast("list[Any]", found)
    # As `export` writes it, a row is a line, the first of them the second of the file.
    a_line_each = data.startswith(b"[\n") and data.rstrip().count(b"\n") == len(rows) + 1
    for number, row in enumerate(rows, 1):
        place = f"{path.name}:{number + 1}" if a_line_each else f"{path.name}: row {number}"
        if not isinstance(row, dict):
            raise InvalidRequest(f"{place}: no object.")
        yield place, cast("dict[str, Any]", row)


def _parquet(path: Path) -> Iterator[Row]:
    import polars as pl

    try:
        frame = pl.read_parquet(path, memory_map=False)
    except (pl.exceptions.PolarsError, ValueError) as error:
        raise InvalidRequest(f"{path.name} is no Parquet file that can be read: {error}.") from None
    for number, row in enumerate(frame.iter_rows(named=True), 1):
        told = {name: _told(cell) for name, cell in row.items()}
        yield f"{path.name}: row {number}", told


def _told(cell: Any) -> Any:
    """Lines are JSON, which has no form for NaN and infinities: they are texts."""
    return repr(cell) if isinstance(cell, float) and not math.isfinite(cell) else cell


_READERS = {"csv": _csv, "json": _json, "parquet": _parquet}
