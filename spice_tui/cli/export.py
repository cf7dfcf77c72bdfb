"""`export`: write a trained pod into a `.spicepod` file, or runs into a table or an archive."""

from __future__ import annotations

from typing import Annotated

import typer

from spice_tui.cli import completion, output
from spice_tui.cli.export_runs import export_runs
from spice_tui.cli.loading import await_pod
from spice_tui.cli.output import Json
from spice_tui.cli.session import expand, session_of

SUFFIX = ".spicepod"


def export(
    ctx: typer.Context,
    what: Annotated[
        list[str],
        typer.Argument(
            metavar="POD | WHAT... FILE",
            help="Name of a pod. Or a file after: runs; metrics [RUN...]; runs/N...; project NAME; "
            "search N; workflow N.",
            autocompletion=completion.pods,
        ),
    ],
    *,
    project: Annotated[
        str,
        typer.Option(
            "--project",
            "-p",
            metavar="NAME",
            help="With runs and metrics: only those of this project.",
            autocompletion=completion.projects,
        ),
    ] = "",
    place: Annotated[
        str,
        typer.Option(
            "--output",
            "-o",
            metavar="PATH",
            help="Directory, or file that ends with .spicepod, inside the app folder.",
        ),
    ] = ".",
    tag: Annotated[
        str, typer.Option("--tag", metavar="ALIAS", help="Which version of the policy.")
    ] = "latest",
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace the file if it is there.")
    ] = False,
    without_code: Annotated[
        bool,
        typer.Option("--without-code", help="Of runs: without the folders that they began with."),
    ] = False,
    json: Json = False,
) -> None:
    """Write a trained pod into a file, enough to recommend without its data.

    With a FILE that ends in .csv, .json or .parquet: a table of runs, or of their metrics' points.
    With any other: an archive of runs with their logs, metrics and outputs, and the searches,
    workflows and projects they belong to.
    """
    if len(what) > 1 or what[0].startswith("runs/"):
        export_runs(
            session_of(ctx),
            what,
            project=project,
            code=not without_code,
            overwrite=overwrite,
            json=json,
        )
        return
    (pod,) = what
    path = expand(place).absolute()
    directory, filename = path, f"{pod}{SUFFIX}"
    if not path.is_dir():
        directory, filename = path.parent, path.name
    params = {
        "pod": pod,
        "directory": str(directory),
        "filename": filename,
        "alias": tag,
        "overwrite": overwrite,
    }
    with session_of(ctx).connect() as client:
        await_pod(client, pod)  # its newest window goes with it
        exported = client.call("pods.export", params)
    if json:
        output.as_json(exported)
        return
    version = exported["policy_version"]
    output.line(f"Exported v{version} of {output.safe(pod)} to {output.safe(exported['path'])}")
    for note in exported["notes"]:
        output.line(output.safe(note))
