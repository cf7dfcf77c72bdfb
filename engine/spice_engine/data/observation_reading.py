"""The files of a pod's accepted observations: read for the timeline, merged when sealed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from spice_engine.data import observation_parquet
from spice_engine.data.observation_frames import decode
from spice_engine.data.observation_pieces import Piece, pieces_of, without_replaced
from spice_engine.data.table import Table, joined
from spice_engine.errors import NotFound
from spice_engine.store.framedlog import read_frames


def read_accepted(files: Sequence[Mapping[str, Any]]) -> dict[str, Table]:
    """The rows that count, by dataspace (`from/name`); `files` are oldest first, each with its
    `path`, its `format` (`frames` or `parquet`) and how many `bytes` of it to read.

    Raises:
        InvalidData: a file is none of ours, or damaged.
        StorageError: one cannot be read.
        NotFound: one is gone.
    """
    pieces: list[Piece] = []
    for file in files:
        path = Path(file["path"])
        if file["format"] == "parquet":
            pieces += _sealed(path)
        else:
            pieces += _frames(path, int(file["bytes"]))
    tables: dict[str, list[Table]] = {}
    for piece in without_replaced(pieces):
        tables.setdefault(piece.dataspace, []).append(piece.table)
    return {name: joined(found) for name, found in tables.items()}


def seal(params: Mapping[str, Any]) -> dict[str, Any]:
    """Merges `files` (paths, oldest first, frames or Parquet) into one Parquet file at `out`.

    Rows that a later payload of the same feed replaced are left out. The file is not flushed to
    the disk, nor are those it was made of removed. Returns `rows`.

    Raises as `read_accepted` does.
    """
    pieces: list[Piece] = []
    for name in params["files"]:
        path = Path(name)
        pieces += _sealed(path) if path.suffix == ".parquet" else _frames(path, None)
    rows = observation_parquet.write(Path(params["out"]), without_replaced(pieces))
    return {"rows": rows}


def _frames(path: Path, limit: int | None) -> list[Piece]:
    pieces: list[Piece] = []
    if limit == 0:
        return pieces
    for end, payload in read_frames(path):
        if limit is not None and end > limit:
            break
        pieces += pieces_of(decode(payload))
    return pieces


def _sealed(path: Path) -> list[Piece]:
    if not path.exists():
        raise NotFound(f"there is no file {path}.")
    return observation_parquet.read(path)
