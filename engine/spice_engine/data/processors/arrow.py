"""The `arrow` processor: an Arrow IPC stream or file to a table."""

from __future__ import annotations

import io
from io import BufferedIOBase

import polars as pl

from spice_engine.data.columns import table_of
from spice_engine.data.processors.arrow_check import MAGIC, check_file, check_stream
from spice_engine.data.selection import Selection
from spice_engine.data.sources import read_whole
from spice_engine.data.table import Table
from spice_engine.errors import InvalidData


def parse(source: BufferedIOBase, selection: Selection, *, name: str) -> Table:
    """The rows of an Arrow IPC payload; `name` is its name, for messages.

    Times are whole numbers (unix seconds), timestamps or text.

    Raises InvalidData where it is no Arrow or not whole, and where a column that is needed is
    missing.
    """
    data = read_whole(source, name, selection.place)
    try:
        if data.startswith(MAGIC):
            check_file(data)
            frame = pl.read_ipc(io.BytesIO(data))
        else:
            check_stream(data)
            frame = pl.read_ipc_stream(io.BytesIO(data))
    except (pl.exceptions.PolarsError, pl.exceptions.PanicException, OSError, ValueError) as error:
        raise InvalidData(
            f"'{name}' is no Arrow stream or file, or not a whole one: {str(error)[:200]}.",
            hint="Write it again; compression with lz4 or zstd is understood.",
            place=selection.place,
        ) from error
    del data
    selection.require(frame.columns, name)
    present = [column for column in selection.selectors if column in frame.columns]
    return table_of(frame.select(present), selection, split_tags=False)
