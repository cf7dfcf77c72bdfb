"""`import`: take in a trained pod from a `.spicepod` file, or runs from an archive, a table, or a
folder of MLflow's or of TensorBoard's."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from spice_engine.errors import InvalidRequest, NotFound, StorageError, TooLarge
from spice_tui.cli import output, values
from spice_tui.cli.output import Json
from spice_tui.cli.resources import LONG
from spice_tui.cli.session import Session, expand, session_of

TABLES = (".csv", ".json", ".parquet")
LARGEST_SENT = 15 * 2**20
"""Bytes of a file from elsewhere that go to the engine in one message."""


def import_pod(
    ctx: typer.Context,
    file: Annotated[
        str,
        typer.Argument(metavar="FILE", help="The .spicepod file, the mlruns folder or mlflow.db."),
    ],
    folder: Annotated[
        str,
        typer.Argument(
            metavar="[FOLDER]",
            help="After mlflow, tensorboard: its folder; after runs: an archive or a table; after "
            "metrics: a table.",
        ),
    ] = "",
    tag: Annotated[
        str, typer.Option("--tag", metavar="ALIAS", help="Another name for the version.")
    ] = "latest",
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace a pod of that name.")
    ] = False,
    json: Json = False,
) -> None:
    """Take a trained pod in from a file, or experiments and runs from a folder that MLflow wrote.

    Runs that are here already are left alone.
    """
    session = session_of(ctx)
    source = expand(folder or file).absolute()
    if folder and file in {"run", "runs"}:
        take_in = _import_table if source.suffix.lower() in TABLES else _import_run
        take_in(session, source.resolve(), json=json)
        return
    if folder and file == "tensorboard":
        _import_events(session, source, json=json)
        return
    if folder and file == "metrics":
        _import_metrics(session, source.resolve(), json=json)
        return
    if folder and file != "mlflow":
        raise InvalidRequest(
            f"there is nothing to import as {file!r}.",
            hint="Such as: import mlflow mlruns/, import tensorboard logs/, import runs FILE, "
            "import runs TABLE.csv, import metrics TABLE.csv.",
        )
    if folder or source.is_dir() or source.name == "mlflow.db":
        _import_runs(session, source, json=json)
        return
    params = {**_source(source, session.location.root)}
    with session.connect(make=True) as client:
        imported = client.call("pods.import", {**params, "alias": tag, "overwrite": overwrite})
    if json:
        output.as_json(imported)
        return
    for name in imported["files"]:
        output.line(f"Added {output.safe(name)}")
    for note in imported["notes"]:
        output.line(output.safe(note))
    if imported["trust_reset"]:
        output.line("It brought code: look at it, then run spice-tui trust.")
    if imported["policy_version"] is not None:
        output.line("Imported trained model!")


def _take(
    session: Session, operation: str, request: dict[str, Any], *, json: bool
) -> dict[str, Any] | None:
    """What the engine took in; None where that was printed as JSON."""
    with session.connect(make=True) as client:
        taken = client.call(operation, request, timeout=LONG)
    if json:
        output.as_json(taken)
        return None
    return taken


def _import_run(session: Session, file: Path, *, json: bool) -> None:
    taken = _take(session, "runs.import", {"path": str(file)}, json=json)
    if taken is None:
        return
    output.line(_said(taken))
    for kind in ("searches", "workflows"):
        word = "search" if kind == "searches" else "workflow"
        for was, number in taken[kind].items():
            output.line(f"{word.capitalize()} {was} is {word} {number} here")
    if taken["projects"]:
        output.line(f"In {', '.join(output.safe(name) for name in taken['projects'])}")


def _said(taken: dict[str, Any]) -> str:
    known = taken["known"]
    if len(taken["runs"]) > 1:
        new = len(taken["runs"]) - known
        return f"Imported {values.counted(new, 'run')}; {known} were here already."
    number = taken["run"]["id"]
    if known:
        return f"Run {taken['was']} is here already, as run {number}"
    return f"Imported run {taken['was']} as run {number}"


def _import_metrics(session: Session, file: Path, *, json: bool) -> None:
    taken = _take(session, "runs.import_metrics", {"path": str(file)}, json=json)
    if taken is None:
        return
    points, runs = taken["points"], taken["runs"]
    output.line(
        f"Imported {values.counted(points, 'point')} of "
        f"{values.counted(runs, 'run')}; {taken['own']} are this engine's own."
    )
    if taken["missing"]:
        output.line(f"{taken['missing']} runs are not here: import their table first.")


def _import_table(session: Session, file: Path, *, json: bool) -> None:
    taken = _take(session, "runs.import_table", {"path": str(file)}, json=json)
    if taken is None:
        return
    new, left = taken["new"], taken["unfinished"]
    output.line(f"Imported {values.counted(new, 'run')}; {taken['known']} were here already.")
    if left:
        output.line(f"{left} that had not ended when the table was written were left out.")


def _import_events(session: Session, folder: Path, *, json: bool) -> None:
    if not folder.is_dir():
        raise NotFound(f"there is no folder {str(folder)!r}.")
    run = _take(session, "runs.import_events", {"path": str(folder)}, json=json)
    if run is None:
        return
    output.line(f"Imported run {run['id']}: spice-tui metrics {run['id']}")


def _import_runs(session: Session, folder: Path, *, json: bool) -> None:
    if not folder.exists():
        raise NotFound(f"there is no folder {str(folder)!r}.")
    taken = _take(session, "tracking.import", {"folder": str(folder)}, json=json)
    if taken is None:
        return
    experiments, new = taken["experiments"], taken["new"]
    output.line(
        f"Imported {values.counted(new, 'run')} of {values.counted(experiments, 'experiment')}; "
        f"{taken['known']} were here already."
    )
    for note in taken["notes"]:
        output.line(output.safe(note))


def _source(path: Path, root: Path) -> dict[str, Any]:
    """The file by its place in the app folder, or else by its bytes."""
    if not path.is_file():
        raise NotFound(f"there is no file {str(path)!r}.")
    real = path.resolve()
    if real.is_relative_to(root.resolve()):
        return {"path": str(real.relative_to(root.resolve()))}
    try:
        with path.open("rb") as source:
            data = source.read(LARGEST_SENT + 1)
    except OSError as error:
        raise StorageError(f"{path} cannot be read: {error.strerror}.") from error
    if len(data) > LARGEST_SENT:
        raise TooLarge(
            f"{path.name} has over {LARGEST_SENT} bytes.", hint="Copy it into the app folder first."
        )
    return {"data": data}
