"""Dataspaces and loader parameters as the engine sends them, for tests of the loader's parts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

PLACE = {"file": "pod.yaml", "line": 3, "column": 5, "end_line": 3, "end_column": 9}


def feed(connector: str | None, processor: str = "csv", **params: str) -> dict[str, Any]:
    """Data of a connector (None for pushed data); `params` beginning with `time_` are the
    processor's."""
    own = {name: value for name, value in params.items() if not name.startswith("time_")}
    others = {name: value for name, value in params.items() if name.startswith("time_")}
    part = None
    if connector is not None:
        part = {"name": connector, "params": own, "place": PLACE, "places": {}}
    processed = {"name": processor, "params": others, "place": PLACE, "places": {}}
    return {"connector": part, "processor": processed}


def dataspace(
    path: str,
    measurements: Sequence[str],
    data: Mapping[str, Any] | None = None,
    *,
    seed: Mapping[str, Any] | None = None,
    categories: Mapping[str, Sequence[str]] | None = None,
    identifiers: Sequence[str] = (),
    tags: Sequence[str] | None = None,
    fill: str = "previous",
    initializer: float = 0.0,
) -> dict[str, Any]:
    """A dataspace `from/name` whose selectors are its names; `tags` are the learned ones."""
    source, _, name = path.partition("/")
    prefix = f"{source}_{name}"
    return {
        "from": source,
        "name": name,
        "seed": seed,
        "data": data,
        "identifiers": [{"name": one, "selector": one} for one in identifiers],
        "measurements": [
            {
                "name": one,
                "field": f"{prefix}_{one}",
                "selector": one,
                "initializer": initializer,
                "fill": fill,
                "place": PLACE,
            }
            for one in measurements
        ],
        "categories": [
            {
                "name": one,
                "selector": one,
                "values": sorted(values),
                "fields": [f"{prefix}_{one}-{value}" for value in sorted(values)],
            }
            for one, values in (categories or {}).items()
        ],
        "tags": None
        if tags is None
        else {
            "selectors": ["_tags"],
            "values": list(tags),
            "fields": [f"{prefix}_{tag}" for tag in tags],
        },
    }


def loader_params(
    folder: Path, dataspaces: Sequence[Mapping[str, Any]], **changes: Any
) -> dict[str, Any]:
    """What `load` takes: epoch 0, a period of 1000 s in buckets of 10 s, long ago."""
    return {
        "app_folder": str(folder),
        "out_folder": str(folder / "out"),
        "epoch": 0,
        "period": 1000,
        "granularity": 10,
        "now": 1e9,
        "interpolation": True,
        "time_categories": [],
        "dataspaces": list(dataspaces),
        "observations": [],
        **changes,
    }


def body(
    spaces: Sequence[Mapping[str, Any]], data: bytes | str, only: str = "", **changes: Any
) -> dict[str, Any]:
    """What `ingest` takes for one payload: CSV, of a dataspace where `only` names it."""
    return {
        "format": "csv",
        "params": {},
        "data": data.encode() if isinstance(data, str) else data,
        "mode": "dataspace" if only else "observations",
        "dataspaces": list(spaces),
        "only": only,
        "feed": "",
        "replace": None,
        "key": "",
        **changes,
    }
