"""A pushed payload to one frame of accepted observations."""

from __future__ import annotations

import io
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spice_engine.data import feeds
from spice_engine.data.observation_frames import Frame, Head, encode, payload_digest
from spice_engine.data.observation_pieces import block_of
from spice_engine.data.processors import csv, json
from spice_engine.data.selection import Selection
from spice_engine.data.table import Column, Table
from spice_engine.errors import InvalidData, NotFound, SpiceError, TooLarge
from spice_engine.store.framedlog import LARGEST_PAYLOAD

_NAME = "the posted data"


def ingest_one(body: Mapping[str, Any]) -> dict[str, Any]:
    """The frame of a payload.

    `body` holds `data` (or the `path` of a file with it), its `format` (a processor's name) and
    `params`, `mode` and `dataspaces` (specs as in `load`); `feed`, `replace` and `key` go into the
    frame. In the mode `dataspace` it is read as data of the dataspace `only` (`from/name`), by its
    selectors. In the mode `observations` it holds the columns that the pod's observations have
    (`time`, `from.name.field`), as CSV or JSON; others are ignored.

    Returns `frame`, `rows`, `bad_rows`, `bad_cells`, `examples`; or `error` where it cannot be
    read at all.
    """
    try:
        data = body["data"] if body.get("data") is not None else _content(body["path"])
        if body["mode"] == "dataspace":
            tables, table = _dataspace(body, data)
        else:
            tables, table = _observations(body, data)
        replace = body.get("replace")
        head = Head(
            time.time(),
            payload_digest(data),
            body.get("key") or "",
            body.get("feed") or "",
            (int(replace[0]), int(replace[1])) if replace else None,
        )
        frame = encode(Frame(head, tuple(block_of(name, rows) for name, rows in tables)))
        if len(frame) > LARGEST_PAYLOAD:
            raise TooLarge(
                f"The posted data are {len(frame) >> 20} MiB of observations; "
                f"{LARGEST_PAYLOAD >> 20} MiB are the most at once.",
                hint="Post them in several parts, or give the pod a file.",
            )
    except SpiceError as error:
        return {"error": error.as_dict()}
    return {
        "frame": frame,
        "rows": len(table),
        "bad_rows": table.bad_rows,
        "bad_cells": dict(table.bad_cells),
        "examples": [example.as_dict() for example in table.examples],
    }


def _content(path: str) -> bytes:
    try:
        return Path(path).read_bytes()
    except OSError as error:
        raise InvalidData(
            f"The posted data could not be read again: {error.strerror}.", hint="Post them again."
        ) from error


def _dataspace(body: Mapping[str, Any], data: bytes) -> tuple[list[tuple[str, Table]], Table]:
    only = body["only"]
    spec = next((s for s in body["dataspaces"] if f"{s['from']}/{s['name']}" == only), None)
    if spec is None:
        raise NotFound(f"The pod has no dataspace '{only}'.")
    processor: dict[str, Any] = {"name": body["format"], "params": body.get("params") or {}}
    selection = Selection.of(spec, processor, partial=True)
    table = feeds.parse(processor, io.BytesIO(data), selection, _NAME)
    return [(only, table)], table


def _observations(body: Mapping[str, Any], data: bytes) -> tuple[list[tuple[str, Table]], Table]:
    specs: Sequence[Mapping[str, Any]] = body["dataspaces"]
    selection = Selection(
        measurements=_named(specs, "measurements"),
        categories=_named(specs, "categories"),
        identifiers=_named(specs, "identifiers"),
        partial=True,
    )
    if body["format"] == "csv":
        table = csv.parse(io.BytesIO(data), selection, name=_NAME)
    elif body["format"] == "json":
        table = json.parse(io.BytesIO(data), selection, name=_NAME, flatten=_flat)
    else:
        raise InvalidData(
            f"Observations cannot be posted as '{body['format']}'.",
            hint="Post CSV or JSON, or post to a dataspace, which has a processor of its own.",
        )
    return _by_dataspace(specs, table), table


def _named(specs: Sequence[Mapping[str, Any]], kind: str) -> tuple[Column, ...]:
    names = [f"{s['from']}.{s['name']}.{one['name']}" for s in specs for one in s.get(kind) or ()]
    return tuple(Column(name, name) for name in names)


def _flat(item: dict[str, Any]) -> dict[str, Any]:
    """An item as observations are served: its groups beside the time."""
    flat = {name: cell for name, cell in item.items() if not isinstance(cell, dict)}
    for group in ("measurements", "categories", "identifiers"):
        cells: Any = item.get(group)
        if isinstance(cells, dict):
            flat.update(cells)  # pyright: ignore[reportUnknownArgumentType]
    return flat


def _by_dataspace(specs: Sequence[Mapping[str, Any]], table: Table) -> list[tuple[str, Table]]:
    """Each dataspace's rows: those that hold anything of it."""
    found: list[tuple[str, Table]] = []
    for spec in specs:
        prefix = f"{spec['from']}.{spec['name']}."
        values = {one["name"]: table.values[prefix + one["name"]] for one in spec["measurements"]}
        texts = [
            {one["name"]: columns[prefix + one["name"]] for one in spec.get(kind) or ()}
            for kind, columns in (
                ("categories", table.categories),
                ("identifiers", table.identifiers),
            )
        ]
        filled: NDArray[np.bool_] = np.zeros(len(table), dtype=np.bool_)
        for column in values.values():
            filled |= ~np.isnan(column)
        for group in texts:
            for labels in group.values():
                filled |= labels.codes >= 0
        if filled.any():
            own = Table(table.times, values, categories=texts[0], identifiers=texts[1])
            rows = own if filled.all() else own.where(filled)
            found.append((f"{spec['from']}/{spec['name']}", rows))
    return found
