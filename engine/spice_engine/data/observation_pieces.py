"""Accepted observations in memory: what was read of their files, without what was replaced."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from spice_engine.data.observation_frames import Block, Frame
from spice_engine.data.table import Labels, Table
from spice_engine.records import record

Range = tuple[int, int]
"""First and last second, both of it."""


@record
class Piece:
    """Rows of one dataspace (`from/name`) that came together from one feed (`""` for posts).

    They take the place of all earlier rows of that feed and dataspace within `replaces`.
    """

    feed: str
    dataspace: str
    table: Table
    replaces: tuple[Range, ...] = ()


def pieces_of(frame: Frame) -> list[Piece]:
    """A frame's rows, by dataspace."""
    head = frame.head
    replaces = (head.replace,) if head.replace else ()
    return [Piece(head.feed, block.dataspace, _table(block), replaces) for block in frame.blocks]


def block_of(dataspace: str, table: Table) -> Block:
    """A table's rows for a frame."""
    return Block(
        dataspace,
        table.times,
        table.values,
        {name: column.cells() for name, column in table.categories.items()},
        {name: column.cells() for name, column in table.identifiers.items()},
        None if table.tags is None else [list(row or ()) for row in table.tags.cells()],
    )


def without_replaced(pieces: Sequence[Piece]) -> list[Piece]:
    """The pieces (oldest first) without rows that a later piece replaced.

    Pieces that keep no row stay where they replace something: older files may hold it.
    """
    kept: list[Piece] = []
    covered: dict[tuple[str, str], list[Range]] = {}
    # From the newest backwards, so that each piece is looked at once.
    for piece in reversed(pieces):
        feed = (piece.feed, piece.dataspace)
        table = _outside(piece.table, covered.get(feed, ()))
        if piece.replaces:
            covered[feed] = merged([*covered.get(feed, ()), *piece.replaces])
        if len(table) or piece.replaces:
            kept.append(piece if table is piece.table else replace(piece, table=table))
    kept.reverse()
    return kept


def merged(ranges: Iterable[Range]) -> list[Range]:
    """The same seconds in as few ranges as can be, in order."""
    result: list[Range] = []
    for first, last in sorted(ranges):
        if result and first <= result[-1][1] + 1:
            result[-1] = (result[-1][0], max(result[-1][1], last))
        else:
            result.append((first, last))
    return result


def _outside(table: Table, ranges: Iterable[Range]) -> Table:
    hidden: NDArray[np.bool_] | None = None
    for first, last in ranges:
        inside = (table.times >= first) & (table.times <= last)
        hidden = inside if hidden is None else hidden | inside
    return table if hidden is None or not hidden.any() else table.where(~hidden)


def _table(block: Block) -> Table:
    tags = None
    if block.tags is not None:
        tags = Labels.of(tuple(row) for row in block.tags)
    return Table(
        block.times,
        block.measurements,
        categories={name: Labels.of(cells) for name, cells in block.categories.items()},
        identifiers={name: Labels.of(cells) for name, cells in block.identifiers.items()},
        tags=tags,
    )
