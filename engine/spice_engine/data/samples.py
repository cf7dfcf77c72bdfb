"""Tables to the series of the timeline: measurements as they are, categories and tags one-hot."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from spice_engine.data.table import Labels, Table
from spice_engine.data.timeline import Indicator, Series


def series_of(spec: Mapping[str, Any], table: Table) -> list[Series | Indicator]:
    """The samples of each of a dataspace's columns that a table holds.

    A row without a category is no sample of it; a row without tags is one that has none of them.
    """
    found: list[Series | Indicator] = []
    for one in spec["measurements"]:
        values = table.values.get(one["name"])
        if values is not None:
            found.append(Series(one["field"], table.times, values, one["initializer"], one["fill"]))
    for one in spec["categories"]:
        labels = table.categories.get(one["name"])
        if labels is not None:
            found += [
                _indicator(field, table, labels, {value})
                for value, field in zip(one["values"], one["fields"], strict=True)
            ]
    if spec["tags"] and table.tags is not None:
        found += [
            _indicator(field, table, table.tags, {row for row in table.tags.values if tag in row})
            for tag, field in zip(spec["tags"]["values"], spec["tags"]["fields"], strict=True)
        ]
    return found


def declared(spec: Mapping[str, Any]) -> list[Series | Indicator]:
    """Every column of a dataspace without a sample: its name, initializer and fill."""
    times = np.empty(0, dtype=np.int64)
    columns: list[Series | Indicator] = [
        Series(one["field"], times, np.empty(0), one["initializer"], one["fill"])
        for one in spec["measurements"]
    ]
    names = [field for one in spec["categories"] for field in one["fields"]]
    names += spec["tags"]["fields"] if spec["tags"] else []
    codes, hits = np.empty(0, dtype=np.int32), np.empty(0, dtype=np.bool_)
    return columns + [Indicator(name, times, codes, hits) for name in names]


def _indicator(field: str, table: Table, labels: Labels, wanted: set[Any]) -> Indicator:
    hits = np.array([value in wanted for value in labels.values], dtype=np.bool_)
    return Indicator(field, table.times, labels.codes, hits)
