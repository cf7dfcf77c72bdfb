"""`export` of what runs left: tables of their values or of their metrics' points, and archives."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import typer

from spice_engine.errors import NotFound
from spice_tui.cli import hyper_show, output, values
from spice_tui.cli.light import option
from spice_tui.cli.resources import LONG
from spice_tui.cli.session import Session, expand
from spice_tui.cli.which_run import numbers_of
from spice_tui.client import Client

FORMATS = ("csv", "json", "parquet")
ARCHIVE = "spicerun"
MOST_RUNS = 10_000
"""Of one search or workflow that go into a table."""
FORMS = (
    "give `runs FILE.spicerun`, `runs/N... FILE`, `project NAME FILE`, `search N FILE` or "
    "`workflow N FILE`; with a FILE that ends in .csv, .json or .parquet they are tables, and so "
    "are `runs FILE` and `metrics [RUN...] FILE`."
)


def export_runs(
    session: Session,
    words: Sequence[str],
    *,
    project: str,
    code: bool,
    overwrite: bool,
    json: bool,
) -> None:
    """Write what all words but the last name to the file that is the last; how, says its name.

    Raises:
        typer.BadParameter: they do not go together.
    """
    *what, file = words
    if not what:
        raise typer.BadParameter(FORMS, param_hint="FILE")
    place = expand(file).absolute()
    path = place.parent.resolve() / place.name  # the engine takes no ..
    with session.connect() as client:
        operation, params = _request(client, what, path, project)
        if operation == "runs.export_archive":
            params["code"] = code
        params |= {"path": str(path), "replace": overwrite}
        done = client.call(operation, params, timeout=LONG)
    if json:
        output.as_json(done)
    else:
        output.line(_said(done))


def _request(
    client: Client, what: list[str], path: Path, project: str
) -> tuple[str, dict[str, Any]]:
    form = path.suffix.removeprefix(".").lower()
    chosen: dict[str, Any] = {"project": project} if project else {}
    match what:
        case ["runs"] if form in FORMATS:
            return "runs.export", {"format": form, **chosen}
        case ["runs"] if form == ARCHIVE:
            return "runs.export_archive", chosen or {"everything": True}
        case ["metrics", *runs] if form in FORMATS and not (runs and project):
            numbers = numbers_of(client, runs)
            return "runs.export_all_metrics", {"format": form, "runs": numbers, **chosen}
        case ["project", name] if form in FORMATS and not project:
            return "runs.export", {"format": form, "project": name}
        case ["search" | "workflow" as kind, number] if form in FORMATS and not project:
            mark = f"{kind}:{option(number, hyper_show.number_of, kind)}"
            made = client.call("runs.list", {"made_by": mark, "number": MOST_RUNS})["runs"]
            if not made:
                raise NotFound(f"there is no run of {kind} {number}.")
            return "runs.export", {"format": form, "runs": [run["id"] for run in made]}
        case [*runs] if runs and not project and all(one.startswith("runs/") for one in runs):
            numbers = [option(one, values.run_number, "runs/N") for one in runs]
            if form in FORMATS:
                return "runs.export", {"format": form, "runs": numbers}
            return "runs.export_archive", {"runs": numbers}
        case _ if form in FORMATS or project:
            pass
        case ["project", name]:
            return "runs.export_archive", {"project": name}
        case ["search" | "workflow" as kind, number]:
            return "runs.export_archive", {kind: option(number, hyper_show.number_of, kind)}
        case _:
            pass
    raise typer.BadParameter(FORMS, param_hint="FILE")


def _said(done: dict[str, Any]) -> str:
    parts = [values.counted(done["runs"], "run")]
    if "points" in done:
        parts = [f"{values.counted(done['points'], 'point')} of {parts[0]}"]
    if done.get("searches"):
        parts.append(values.counted(done["searches"], "search", "searches"))
    if done.get("workflows"):
        parts.append(values.counted(done["workflows"], "workflow"))
    size = f" ({values.size_text(done['bytes'])})" if "bytes" in done else ""
    text = f"Exported {', '.join(parts)} to {output.safe(done['path'])}{size}"
    if done.get("left_out"):
        text += f"; {values.counted(done['left_out'], 'run')} that had not ended left out"
    return text
