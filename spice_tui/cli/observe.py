"""`observe` and `observations`: give a pod data, and see the rows it has."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, BinaryIO

import typer

from spice_engine.errors import InvalidData, NotFound
from spice_tui.cli import output, progress, values
from spice_tui.cli.light import option
from spice_tui.cli.output import Json
from spice_tui.cli.pod_argument import PodArgument
from spice_tui.cli.session import expand, session_of

CHUNK_BYTES = 2**20
EXAMPLES = 5


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
        str, typer.Option(metavar="csv|json", help="Default: by the file's name, else csv.")
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
    total: dict[str, Any] = {"rows": 0, "bad_rows": 0, "bad_cells": {}, "examples": []}
    with session_of(ctx).connect() as client, _open(file) as source:
        size = 0 if file == "-" else expand(file).stat().st_size
        # Only CSV can be cut anywhere between lines; everything else goes in one piece.
        whole = form != "csv" or bool(dataspace)
        parts = iter([source.read()]) if whole else _chunks(source)
        with progress.bar(f"Observing {pod}", size, quiet=json) as shown:
            done = 0
            for number, part in enumerate(parts):
                request = {
                    "pod": pod,
                    "data": part,
                    "format": form,
                    "dataspace": dataspace,
                    "key": f"{key}-{number}" if key and number else key,
                }
                _add(total, client.call("pods.observe", request))
                done += len(part)
                shown.advance(done)
    if json:
        output.as_json(total)
        return
    duplicate = ", known already" if total.get("duplicate") else ""
    output.line(f"{total['rows']} rows accepted{duplicate}.")
    if total["bad_rows"]:
        output.line(output.paint(f"{total['bad_rows']} rows could not be read:", "yellow"))
    for name, count in total["bad_cells"].items():
        output.line(output.safe(f"{name}: {count} cells hold no finite number."))
    for example in total["examples"]:
        output.line(output.safe(f"  line {example['line']}: {example['reason']}"))


def _open(file: str) -> BinaryIO:
    if file == "-":
        return sys.stdin.buffer
    path = expand(file)
    if not path.is_file():
        raise NotFound(f"there is no file {file!r}.")
    return Path(path).open("rb")


def _chunks(source: BinaryIO) -> Iterator[bytes]:
    """CSV in parts of about CHUNK_BYTES, the header before each."""
    header = source.readline()
    if not header.strip():
        raise InvalidData("the data have no header.", hint="Begin with: time,from.name.field")
    if not header.endswith(b"\n"):
        header += b"\n"
    sent = False
    while lines := source.readlines(CHUNK_BYTES):
        sent = True
        yield header + b"".join(lines)
    if not sent:
        yield header


def _add(total: dict[str, Any], part: dict[str, Any]) -> None:
    total["rows"] += part["rows"]
    total["bad_rows"] += part["bad_rows"]
    for name, count in part["bad_cells"].items():
        total["bad_cells"][name] = total["bad_cells"].get(name, 0) + count
    total["examples"] = [*total["examples"], *part["examples"]][:EXAMPLES]
    if part["duplicate"]:
        total["duplicate"] = True


def observations(
    ctx: typer.Context,
    pod: PodArgument,
    *,
    start: Annotated[
        str, typer.Option(metavar="TIME", help="From this time on (Unix seconds or a date).")
    ] = "",
    end: Annotated[str, typer.Option(metavar="TIME", help="Before this time.")] = "",
    limit: Annotated[int, typer.Option(metavar="N", help="At most so many rows; 0: all.")] = 0,
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
        text = client.call("pods.observations", request)["text"]
    output.write(text if text.endswith("\n") or not text else text + "\n")
