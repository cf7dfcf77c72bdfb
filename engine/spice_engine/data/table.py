"""What a processor makes of a payload: rows with a time, and what was wrong with it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import field
from itertools import chain
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spice_engine.errors import Place
from spice_engine.records import record

MAX_EXAMPLES = 5
MAX_VALUE = 1e150
"""Numbers beyond it count as infinite: their squares would be."""


@record
class Column:
    """Something to be taken: its name in the manifest, and the column it is read from."""

    name: str
    selector: str
    place: Place | None = None


@record
class BadRow:
    """An example of a row or cell that was kept out: line of the payload (from 1), and why."""

    line: int
    reason: str

    def as_dict(self) -> dict[str, Any]:
        """Plain data for a frame."""
        return {"line": self.line, "reason": self.reason}


@record
class Labels:
    """A column of texts (or of tuples of tags) by number.

    `codes` [N] int32 are indices into `values`, -1 where there is none.
    """

    codes: NDArray[np.int32]
    values: tuple[Any, ...]

    @classmethod
    def of(cls, cells: Iterable[Any]) -> Labels:
        """The column of some cells, each hashable or None."""
        numbers: dict[Any, int] = {}
        codes = [-1 if cell is None else numbers.setdefault(cell, len(numbers)) for cell in cells]
        return cls(np.array(codes, dtype=np.int32), tuple(numbers))

    @classmethod
    def missing(cls, rows: int) -> Labels:
        """A column in which there is nothing."""
        return cls(np.full(rows, -1, dtype=np.int32), ())

    def cells(self) -> list[Any]:
        """The cells themselves, None where there is none."""
        every = (*self.values, None)  # so that -1 finds the None
        return [every[code] for code in self.codes.tolist()]

    def where(self, rows: NDArray[Any]) -> Labels:
        """Some of the rows, by a mask or by indices."""
        return Labels(self.codes[rows], self.values)

    @property
    def nbytes(self) -> int:
        """About how much memory it takes."""
        return self.codes.nbytes + sum(100 + len(value) for value in self.values)


@record
class Table:
    """Rows of one dataspace, in the order of the payload.

    `times` [N] are unix seconds; `values` holds one float64 array [N] per measurement, NaN where
    there is no datum. `bad_rows` were kept out; `bad_cells` counts cells that held something that
    is no finite number, by measurement. `examples` are the first few of both. `tags` holds a tuple
    of tags for each row, or is None where the dataspace reads none.
    """

    times: NDArray[np.int64]
    values: Mapping[str, NDArray[np.float64]]
    bad_rows: int = 0
    bad_cells: Mapping[str, int] = field(default_factory=dict[str, int])
    examples: tuple[BadRow, ...] = ()
    categories: Mapping[str, Labels] = field(default_factory=dict[str, Labels])
    identifiers: Mapping[str, Labels] = field(default_factory=dict[str, Labels])
    tags: Labels | None = None

    def __len__(self) -> int:
        return len(self.times)

    def where(self, rows: NDArray[Any]) -> Table:
        """Some of the rows, by a mask or by indices; what was bad is told of all."""
        return Table(
            self.times[rows],
            {name: column[rows] for name, column in self.values.items()},
            self.bad_rows,
            self.bad_cells,
            self.examples,
            {name: column.where(rows) for name, column in self.categories.items()},
            {name: column.where(rows) for name, column in self.identifiers.items()},
            self.tags.where(rows) if self.tags else None,
        )

    @property
    def nbytes(self) -> int:
        """About how much memory it takes."""
        numbers = [self.times, *self.values.values()]
        texts = [*self.categories.values(), *self.identifiers.values()]
        if self.tags:
            texts.append(self.tags)
        return sum(column.nbytes for column in numbers) + sum(column.nbytes for column in texts)


def joined(tables: Sequence[Table]) -> Table:
    """The rows of several tables one after the other; columns that one lacks are missing there."""
    if len(tables) == 1:
        return tables[0]
    lengths = [len(table) for table in tables]
    bad_cells: dict[str, int] = {}
    for table in tables:
        for name, count in table.bad_cells.items():
            bad_cells[name] = bad_cells.get(name, 0) + count
    values: dict[str, NDArray[np.float64]] = {}
    for name in dict.fromkeys(chain.from_iterable(table.values for table in tables)):
        parts = [
            table.values[name] if name in table.values else np.full(len(table), np.nan)
            for table in tables
        ]
        values[name] = np.concatenate(parts)
    nothing = np.empty(0, dtype=np.int64)
    return Table(
        np.concatenate([nothing, *(table.times for table in tables)]),
        values,
        sum(table.bad_rows for table in tables),
        bad_cells,
        tuple(chain.from_iterable(table.examples for table in tables))[:MAX_EXAMPLES],
        _joined_texts([table.categories for table in tables], lengths),
        _joined_texts([table.identifiers for table in tables], lengths),
        _joined_tags(tables),
    )


def _joined_tags(tables: Sequence[Table]) -> Labels | None:
    if all(table.tags is None for table in tables):
        return None
    return _joined_labels([table.tags or Labels.missing(len(table)) for table in tables])


def _joined_texts(
    tables: Sequence[Mapping[str, Labels]], lengths: Sequence[int]
) -> dict[str, Labels]:
    names = dict.fromkeys(chain.from_iterable(tables))
    return {
        name: _joined_labels(
            [
                columns[name] if name in columns else Labels.missing(length)
                for columns, length in zip(tables, lengths, strict=True)
            ]
        )
        for name in names
    }


def _joined_labels(parts: Sequence[Labels]) -> Labels:
    numbers: dict[Any, int] = {}
    codes: list[NDArray[np.int32]] = []
    for part in parts:
        own = [numbers.setdefault(value, len(numbers)) for value in part.values]
        codes.append(np.array([*own, -1], dtype=np.int32)[part.codes])
    empty = np.empty(0, dtype=np.int32)
    return Labels(np.concatenate([empty, *codes]), tuple(numbers))
