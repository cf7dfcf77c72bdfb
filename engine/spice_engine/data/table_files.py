"""Tables of any cells written to files: CSV, JSON, and Parquet where polars is. Blocking."""

from __future__ import annotations

import csv
import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, cast

import orjson

from spice_engine.errors import Conflict, SpiceError
from spice_engine.store.disk import storage_error

Rows = Sequence[Sequence[Any]]


def write_csv(path: Path, columns: Sequence[str], rows: Rows) -> None:
    """Write a table with a line of headers; what is no text or number is written as JSON."""
    with path.open("w", encoding="utf-8", errors="replace", newline="") as out:
        writer = csv.writer(out, lineterminator="\n")
        writer.writerow(columns)
        writer.writerows([_text(cell) for cell in row] for row in rows)


def write_json(path: Path, columns: Sequence[str], rows: Rows) -> None:
    """Write a list of objects, one a line; numbers that are not finite become null."""
    lines = [
        orjson.dumps(
            dict(zip(columns, row, strict=True)), default=str, option=orjson.OPT_NON_STR_KEYS
        )
        for row in rows
    ]
    with path.open("wb") as out:
        out.write(b"[\n" + b",\n".join(lines) + b"\n]\n" if lines else b"[]\n")


def write_parquet(path: Path, columns: Sequence[str], rows: Rows) -> None:
    """Write typed columns; a column of several kinds becomes one of texts. Needs polars."""
    import polars as pl

    series: list[pl.Series] = []
    for index, name in enumerate(columns):
        cells = [row[index] for row in rows]
        kinds: set[type[Any]] = {type(cell) for cell in cells if cell is not None}
        if kinds <= {int, float} and float in kinds:
            series.append(pl.Series(name, cells, dtype=pl.Float64, strict=False))
        elif kinds in ({int}, {bool}) and all(_is_small(cell) for cell in cells):
            series.append(pl.Series(name, cells))
        else:
            texts = [None if cell is None else str(_text(cell)) for cell in cells]
            series.append(pl.Series(name, texts, dtype=pl.String))
    pl.DataFrame(series).write_parquet(path)


def _is_small(cell: Any) -> bool:
    return cell is None or -(2**63) <= cell < 2**63


def _text(cell: Any) -> Any:
    if isinstance(cell, str | int | float) or cell is None:
        return cell
    if isinstance(cell, bytes):
        return cell.hex()
    return orjson.dumps(cell, default=str, option=orjson.OPT_NON_STR_KEYS).decode()


def put(path: Path, write: Callable[[Path], None], *, replace: bool) -> int:
    """Have `write` make a file beside `path` and move it there in one go; how large it is.

    Raises:
        Conflict: there is something already, and `replace` is not set.
        StorageError: it cannot be written; what was there is untouched.
    """
    beside = path.with_name(f".{path.name}.{os.getpid()}.new")
    try:
        if not replace and os.path.lexists(path):
            raise _exists(path)
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            write(beside)
            size = beside.stat().st_size
            _move(beside, path, replace=replace)
        finally:
            beside.unlink(missing_ok=True)
    except OSError as error:
        raise storage_error(error, "write the table", path) from error
    return size


def _move(beside: Path, path: Path, *, replace: bool) -> None:
    if not replace:
        try:
            os.link(beside, path)
        except FileExistsError as error:
            raise _exists(path) from error
        except OSError:
            pass  # a file system without links
        else:
            return
    beside.replace(path)


def _exists(path: Path) -> SpiceError:
    return Conflict(f"{path.name} is there already.", hint="Take another name, or replace it.")


def parquet(params: Mapping[str, Any]) -> int:
    """Write `columns` and `rows` to the Parquet file `out`; how many bytes it has."""
    columns = cast("list[str]", params["columns"])
    return put(
        Path(params["out"]),
        lambda path: write_parquet(path, columns, params["rows"]),
        replace=params["replace"],
    )
