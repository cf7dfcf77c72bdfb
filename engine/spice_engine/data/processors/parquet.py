"""The `parquet` processor: a Parquet file to a table."""

from __future__ import annotations

import io
from io import BufferedIOBase

import polars as pl

from spice_engine.data.columns import table_of
from spice_engine.data.selection import Selection
from spice_engine.data.sources import read_whole
from spice_engine.data.table import Table
from spice_engine.errors import InvalidData

MAX_CELLS = 200_000_000
"""A file of a few bytes may say that it holds billions."""


def parse(source: BufferedIOBase, selection: Selection, *, name: str) -> Table:
    """The rows of a Parquet file; `name` is its name, for messages.

    Only the columns that are wanted are unpacked. Times are whole numbers (unix seconds),
    timestamps or text.

    Raises InvalidData where it is no Parquet, not whole or too large, and where a column that is
    needed is missing.
    """
    data = read_whole(source, name, selection.place)
    try:
        lazy = pl.scan_parquet(io.BytesIO(data))
        headers = lazy.collect_schema().names()
        rows = int(lazy.select(pl.len()).collect().item())
        selection.require(headers, name)
        present = [column for column in selection.selectors if column in headers]
        if rows * len(present) > MAX_CELLS:
            raise InvalidData(
                f"'{name}' holds {rows} rows of {len(present)} columns, which is too much.",
                hint="Cut the data down to the pod's period.",
                place=selection.place,
            )
        frame = lazy.select(present).collect()
    except (pl.exceptions.PolarsError, pl.exceptions.PanicException, OSError, ValueError) as error:
        raise InvalidData(
            f"'{name}' is no Parquet file, or not a whole one: {str(error)[:200]}.",
            hint="Write it again.",
            place=selection.place,
        ) from error
    return table_of(frame, selection, split_tags=False)
