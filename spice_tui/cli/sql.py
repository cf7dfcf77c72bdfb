"""`sql`: a read-only query over the engine's store."""

from __future__ import annotations

import sys
from typing import Annotated, Any

import typer

from spice_tui.cli import output, values
from spice_tui.cli.output import Json
from spice_tui.cli.session import session_of


def sql(
    ctx: typer.Context,
    query: Annotated[str, typer.Argument(help="The query; - reads it from standard input.")],
    csv: Annotated[bool, typer.Option("--csv", help="Print CSV.")] = False,
    limit: Annotated[int, typer.Option(help="At most this many rows.")] = 1000,
    json: Json = False,
) -> None:
    """Ask the engine's store a question in SQL; it cannot be changed this way."""
    if csv and json:
        raise typer.BadParameter("goes not with --json.", param_hint="--csv")
    if limit < 1:
        raise typer.BadParameter("must be 1 or more.", param_hint="--limit")
    text = sys.stdin.read() if query == "-" else query
    with session_of(ctx).connect() as client:
        answer = client.call("store.query", {"sql": text, "limit": limit})
    if json:
        output.as_json(answer)
        return
    if csv:
        _csv(answer["columns"], answer["rows"])
    else:
        output.table(answer["columns"], [[_cell(cell) for cell in row] for row in answer["rows"]])
    if answer.get("truncated"):
        output.error_line(f"Only the first {limit} rows are shown; --limit N shows more.")


def _cell(value: Any) -> str:
    if value is None:
        return "NULL"
    if isinstance(value, bytes):
        return f"x'{value.hex()}'"
    return values.number(value, 10) if isinstance(value, float) else str(value)


def _csv(columns: list[str], rows: list[list[Any]]) -> None:
    import csv
    import io

    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(columns)
    for row in rows:
        writer.writerow([cell.hex() if isinstance(cell, bytes) else cell for cell in row])
    output.write(text.getvalue())
