"""`observe` and `observations`: give a pod data, and see the rows it has."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, BinaryIO

import typer

from spice_engine.errors import InvalidData, NotFound, SpiceError, TooLarge
from spice_engine.records import record
from spice_tui.cli import output, progress, values
from spice_tui.cli.light import option
from spice_tui.cli.output import Json
from spice_tui.cli.pod_argument import PodArgument
from spice_tui.cli.session import expand, session_of
from spice_tui.client import Client

CHUNK_BYTES = 2**20
MAX_PART_BYTES = 15 * 2**20
"""A message to the engine may have 16 MiB."""
EXAMPLES = 5
PAGE_ROWS = 50_000


def observe(
    ctx: typer.Context,
    pod: PodArgument,
    file: Annotated[str, typer.Argument(metavar="FILE|-", help="The data; -: standard input.")],
    *,
    dataspace: Annotated[
        str,
        typer.Option(
            metavar="FROM/NAME", help="Data of this dataspace, in the form its processor reads."
        ),
    ] = "",
    format: Annotated[  # noqa: A002 - the option's name
        str,
        typer.Option(
            metavar="csv|json", help="Default: by the file's name, else csv. CSV goes in parts."
        ),
    ] = "",
    key: Annotated[
        str, typer.Option(metavar="TEXT", help="Data with the same key count once.")
    ] = "",
    json: Json = False,
) -> None:
    """Give a pod observations: CSV with headers time,from.name.field, or JSON."""
    if format not in {"", "csv", "json"}:
        raise typer.BadParameter("is csv or json.", param_hint="--format")
    form = format or ("json" if file.lower().endswith(".json") else "csv")
    with session_of(ctx).connect() as client, _open(file) as source:
        size = 0 if file == "-" else expand(file).stat().st_size
        # Only CSV can be cut between lines; what a dataspace's processor reads may be anything.
        in_parts = form == "csv" and (not dataspace or format == "csv")
        parts = csv_parts(source) if in_parts else iter([_whole(source)])
        request = {"pod": pod, "format": form, "dataspace": dataspace}
        total = Total()
        with progress.bar(f"Observing {pod}", size, quiet=json, in_bytes=True) as shown:
            done = 0
            for number, part in enumerate(parts):
                keyed = f"{key}-{number}" if key and number else key
                total.add(_send(client, {**request, "data": part.data, "key": keyed}, total), part)
                done += len(part.data)
                shown.advance(done)
    if json:
        output.as_json(total.as_dict())
    else:
        _tell(total)


@record
class Part:
    """A piece of the data; `skipped` lines of them lie between its header and its first row."""

    data: bytes
    skipped: int


@dataclass(slots=True)
class Total:
    """What became of all parts; `known` are the rows of those that the pod had already."""

    rows: int = 0
    bad_rows: int = 0
    bad_cells: dict[str, int] = field(default_factory=dict[str, int])
    examples: list[dict[str, Any]] = field(default_factory=list[dict[str, Any]])
    known: int = 0
    parts: int = 0
    known_parts: int = 0

    def add(self, answer: dict[str, Any], part: Part) -> None:
        """Count one part in; its examples get the lines that they have in the file."""
        self.parts += 1
        self.rows += answer["rows"]
        self.bad_rows += answer["bad_rows"]
        for name, count in answer["bad_cells"].items():
            self.bad_cells[name] = self.bad_cells.get(name, 0) + count
        found = [{**one, "line": one["line"] + part.skipped} for one in answer["examples"]]
        self.examples = [*self.examples, *found][:EXAMPLES]
        if answer["duplicate"]:
            self.known += answer["rows"]
            self.known_parts += 1

    @property
    def duplicate(self) -> bool:
        """Whether nothing of it was new."""
        return self.parts > 0 and self.known_parts == self.parts

    def as_dict(self) -> dict[str, Any]:
        """The form of the engine's own answer."""
        return {
            "rows": self.rows,
            "bad_rows": self.bad_rows,
            "bad_cells": self.bad_cells,
            "examples": self.examples,
            "duplicate": self.duplicate,
            "known_rows": self.known,
        }


def _send(client: Client, request: dict[str, Any], total: Total) -> dict[str, Any]:
    """The engine's answer; an error is told together with what was accepted before it.

    Raises:
        SpiceError: the part was refused.
    """
    try:
        return client.call("pods.observe", request)
    except SpiceError:
        if total.rows:
            output.error_line(f"{_rows(total.rows)} before this were accepted; they stay.")
        raise


def _tell(total: Total) -> None:
    known = ""
    if total.duplicate:
        known = ", known already"
    elif total.known:
        known = f", {total.known} of them known already"
    output.line(f"{_rows(total.rows)} accepted{known}.")
    if total.bad_rows:
        text = f"{_rows(total.bad_rows)} could not be read:"
        output.line(output.paint(text, "yellow"))
    for name, count in total.bad_cells.items():
        cells = "1 cell holds" if count == 1 else f"{count} cells hold"
        output.line(output.safe(f"{name}: {cells} no finite number."))
    for example in total.examples:
        output.line(output.safe(f"  line {example['line']}: {example['reason']}"))


def _rows(count: int) -> str:
    return "1 row" if count == 1 else f"{count} rows"


def _open(file: str) -> BinaryIO:
    if file == "-":
        return sys.stdin.buffer
    path = expand(file)
    if not path.is_file():
        raise NotFound(f"there is no file {file!r}.")
    return Path(path).open("rb")


def _whole(source: BinaryIO) -> Part:
    """All data in one piece.

    Raises:
        InvalidData: they are too much for one.
    """
    data = source.read(MAX_PART_BYTES + 1)
    if len(data) > MAX_PART_BYTES:
        raise InvalidData(
            f"the data are over {MAX_PART_BYTES >> 20} MiB, too much for one piece.",
            hint="Give them in several. CSV goes in parts; that of a dataspace with --format csv.",
        )
    return Part(data, 0)


def csv_parts(source: BinaryIO) -> Iterator[Part]:
    """CSV in parts of about CHUNK_BYTES, the header before each."""
    header = source.readline()
    if not header.strip():
        raise InvalidData("the data have no header.", hint="Begin with: time,from.name.field")
    if not header.endswith(b"\n"):
        header += b"\n"
    skipped = 0
    while lines := source.readlines(CHUNK_BYTES):
        data = b"".join(lines)
        # A line within quotes goes on: the next part must not begin in a cell.
        while data.count(b'"') % 2 and len(data) < MAX_PART_BYTES and (more := source.readline()):
            data += more
        yield Part(header + data, skipped)
        skipped += data.count(b"\n")
    if not skipped:
        yield Part(header, 0)


def observations(
    ctx: typer.Context,
    pod: PodArgument,
    *,
    start: Annotated[
        str, typer.Option(metavar="TIME", help="From this time on (Unix seconds or a date).")
    ] = "",
    end: Annotated[str, typer.Option(metavar="TIME", help="Up to this time.")] = "",
    limit: Annotated[
        int, typer.Option(metavar="N", help="At most so many rows, the newest; 0: all.")
    ] = 0,
    json: Json = False,
) -> None:
    """Print the rows a pod has: as CSV, or as JSON."""
    request = {
        "pod": pod,
        "start": option(start, values.moment, "--start") if start else None,
        "end": option(end, values.moment, "--end") if end else None,
        "limit": limit,
        "format": "json" if json else "csv",
    }
    with session_of(ctx).connect() as client:
        if limit:
            pages = iter([client.call("pods.observations", request)["text"]])
        else:
            pages = _pages(client, request)
        for text in pages:
            output.write(text if text.endswith("\n") or not text else text + "\n")


def _pages(client: Client, request: dict[str, Any]) -> Iterator[str]:
    """All rows, part by part, as one text: each part but the first goes on where one ended."""
    offset, size, first = 0, PAGE_ROWS, True
    as_json = request["format"] == "json"
    while True:
        try:
            part = client.call(
                "pods.observations", {**request, "offset": offset, "limit": size}, timeout=300
            )
        except TooLarge:
            if size == 1:
                raise
            size = max(1, size // 4)
            continue
        offset += part["rows"]
        last = part["rows"] < size
        text = part["text"].strip()
        if as_json:
            inner = text.removeprefix("[").removesuffix("]")
            text = ("[" if first else "," if inner else "") + inner + ("]" if last else "")
        elif not first:
            _, _, text = text.partition("\n")
        yield text
        if last:
            return
        first = False
