"""The `csv` processor: text with a header row to a table, block by block.

Rows whose time cannot be read, or that have more cells than the header, are counted and kept out.
Cells that are no finite number are missing data, and counted. However large a file is, only a few
MiB of its text are in memory at a time.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator
from io import BufferedIOBase

from spice_engine.data.processors.csv_block import parse_block
from spice_engine.data.processors.csv_lines import Header, parse_lines
from spice_engine.data.selection import Selection
from spice_engine.data.table import Table, joined
from spice_engine.errors import InvalidData

BLOCK_BYTES = 8 << 20
_SMALL_BYTES = 32 << 10
"""Up to here plain Python is faster than polars."""
_MAX_COLUMNS = 10_000


def parse(source: BufferedIOBase, selection: Selection, *, name: str) -> Table:
    """The rows of a CSV text; `name` is the payload's, for messages.

    Raises InvalidData where there is no header, where it lacks a column that is needed, and where
    the time format is not known.
    """
    blocks = _blocks(source)
    first = next(blocks, b"").removeprefix(b"\xef\xbb\xbf")
    header, line, rest = _header(first, selection, name)
    tables: list[Table] = []
    for block in _chain(rest, blocks):
        if len(block) <= _SMALL_BYTES and b'"' not in block:
            tables.append(parse_lines(block, header, selection, line))
        else:
            tables.append(parse_block(block, header, selection, line))
        line += block.count(b"\n")
    return joined(tables or [parse_lines(b"", header, selection, line)])


def _blocks(source: BufferedIOBase) -> Iterator[bytes]:
    """The text in pieces that end where a line ends, and not within quotes if that can be seen."""
    left = b""
    while part := source.read(BLOCK_BYTES):
        block = left + part
        cut = _cut(block)
        left = block[cut:]
        if cut:
            yield block[:cut]
    if left:
        yield left


def _cut(block: bytes) -> int:
    """Where the last whole line ends; 0 where there is none yet."""
    last = block.rfind(b"\n") + 1
    if not block.count(b'"', 0, last) % 2:
        return last
    # Within a cell of several lines: cut before it. A cell over half a block is a stray quote.
    cut = last
    while cut > len(block) // 2:
        quote = block.rfind(b'"', 0, cut)
        cut = block.rfind(b"\n", 0, quote) + 1 if quote >= 0 else 0
        if cut and not block.count(b'"', 0, cut) % 2:
            return cut
    return last


def _header(block: bytes, selection: Selection, name: str) -> tuple[Header, int, bytes]:
    """The header, the line (from 1) of what follows it, and what follows."""
    position, line = 0, 1
    while position < len(block):
        end = block.find(b"\n", position) + 1 or len(block)
        text = block[position:end].decode("utf-8", errors="replace").strip("\r\n")
        position, line = end, line + 1
        if text.strip():
            return _columns(text, selection, name), line, block[position:]
    hint = "The first line names the columns, as in: time,cpu,memory"
    raise InvalidData(f"'{name}' is empty.", hint=hint, place=selection.place)


def _columns(text: str, selection: Selection, name: str) -> Header:
    try:
        cells = next(csv.reader([text]))
    except csv.Error as error:
        hint = "The first line names the columns, as in: time,cpu,memory"
        raise InvalidData(
            f"The first line of '{name}' is no header: {error}.", hint=hint, place=selection.place
        ) from error
    if len(cells) > _MAX_COLUMNS:
        raise InvalidData(
            f"'{name}' has {len(cells)} columns; {_MAX_COLUMNS} are the most.",
            place=selection.place,
        )
    first: dict[str, int] = {}
    for index, cell in enumerate(cells):
        first.setdefault(cell.strip(), index)
    selection.require(first, name, separators=True)
    wanted = {selector: first[selector] for selector in selection.selectors if selector in first}
    return Header(len(cells), wanted)


def _chain(first: bytes, others: Iterator[bytes]) -> Iterator[bytes]:
    if first:
        yield first
    yield from others
