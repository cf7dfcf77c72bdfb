"""Sealed observations: pieces to a Parquet file and back.

A row per observation: `feed`, `dataspace`, `time`, and a column for each thing that a dataspace
has: `m:from/name:x` for a measurement, `c:` a category, `i:` an identifier, `g:from/name:` the
tags. Rows with `replace_first` and `replace_last` hold no observation, but what their feed
replaces in older files.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray

from spice_engine.data.columns import labels_of, tag_sets_of
from spice_engine.data.observation_pieces import Piece, Range, merged
from spice_engine.data.table import Labels, Table, joined
from spice_engine.errors import InvalidData, StorageError

_HEAD: dict[str, type[pl.DataType]] = {
    "feed": pl.String,
    "dataspace": pl.String,
    "time": pl.Int64,
    "replace_first": pl.Int64,
    "replace_last": pl.Int64,
}


def write(path: Path, pieces: Sequence[Piece]) -> int:
    """Writes pieces (without what was replaced among them); gives the number of observations.

    Raises StorageError where the file cannot be written.
    """
    grouped: dict[tuple[str, str], list[Piece]] = {}
    for piece in pieces:
        grouped.setdefault((piece.feed, piece.dataspace), []).append(piece)
    frames = [_frame(group) for group in grouped.values()]
    frame = pl.concat(frames, how="diagonal") if frames else pl.DataFrame(schema=_HEAD)
    try:
        frame.write_parquet(path, compression="zstd")
    except OSError as error:
        raise StorageError(
            f"sealed observations cannot be written to {path}: {error}.",
            hint="Free some space, or check that the folder can be written.",
        ) from error
    return frame.height - int(frame["replace_first"].is_not_null().sum())


def read(path: Path) -> list[Piece]:
    """The pieces of a file, one for each feed and dataspace.

    Raises InvalidData where it is no such file.
    """
    try:
        frame = pl.read_parquet(path, memory_map=False)
        groups = frame.partition_by("feed", "dataspace", maintain_order=True)
        return [_piece(group) for group in groups]
    except (pl.exceptions.PolarsError, pl.exceptions.PanicException, OSError) as error:
        raise InvalidData(
            f"The accepted observations in {path} cannot be read: {str(error)[:200]}.",
            hint="The file was altered or is damaged; take it from a backup, or remove it.",
        ) from error


def _frame(pieces: Sequence[Piece]) -> pl.DataFrame:
    table = joined([piece.table for piece in pieces])
    own = pieces[0].dataspace
    columns: dict[str, pl.Series] = {"time": pl.Series(table.times)}
    for name, values in table.values.items():
        columns[f"m:{own}:{name}"] = pl.Series(values).fill_nan(None)
    for mark, texts in (("c", table.categories), ("i", table.identifiers)):
        for name, labels in texts.items():
            columns[f"{mark}:{own}:{name}"] = _texts(labels)
    if table.tags is not None:
        sets = pl.Series([list(row or ()) for row in table.tags.values], dtype=pl.List(pl.String))
        columns[f"g:{own}:"] = _gathered(sets, table.tags.codes)
    ranges = merged(one for piece in pieces for one in piece.replaces)
    frame = pl.concat(
        [
            pl.DataFrame(columns),
            pl.DataFrame(
                {
                    "replace_first": pl.Series([one[0] for one in ranges], dtype=pl.Int64),
                    "replace_last": pl.Series([one[1] for one in ranges], dtype=pl.Int64),
                }
            ),
        ],
        how="diagonal",
    )
    return frame.with_columns(feed=pl.lit(pieces[0].feed), dataspace=pl.lit(own))


def _texts(labels: Labels) -> pl.Series:
    return _gathered(pl.Series(labels.values, dtype=pl.String), labels.codes)


def _gathered(values: pl.Series, codes: NDArray[np.int32]) -> pl.Series:
    indices = pl.Series(codes)
    if not len(values):
        return values.extend_constant(None, len(codes))
    return values.gather(indices.set(indices < 0, None))


def _piece(frame: pl.DataFrame) -> Piece:
    feed, dataspace = str(frame["feed"][0]), str(frame["dataspace"][0])
    marks = frame["replace_first"].is_not_null()
    ranges: list[Range] = [
        (int(first), int(last))
        for first, last in frame.filter(marks).select("replace_first", "replace_last").iter_rows()
    ]
    rows = frame.filter(~marks)
    values: dict[str, NDArray[np.float64]] = {}
    texts: dict[str, dict[str, Labels]] = {"c": {}, "i": {}}
    tags: Labels | None = None
    for header in rows.columns:
        mark, _, rest = header.partition(":")
        own, _, name = rest.rpartition(":")
        if own != dataspace:
            continue
        if mark == "m":
            values[name] = rows[header].to_numpy()
        elif mark == "g":
            tags = tag_sets_of(rows[header], split=False)
        else:
            texts[mark][name] = labels_of(rows[header])
    table = Table(
        rows["time"].to_numpy(), values, categories=texts["c"], identifiers=texts["i"], tags=tags
    )
    return Piece(feed, dataspace, table, tuple(ranges))
