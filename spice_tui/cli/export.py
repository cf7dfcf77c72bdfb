"""`export`: write a trained pod into a `.spicepod` file, or runs into a table or an archive."""

from __future__ import annotations

from typing import Annotated

import typer

from spice_tui.cli import completion, output, values
from spice_tui.cli.light import option
from spice_tui.cli.loading import await_pod
from spice_tui.cli.output import Json
from spice_tui.cli.resources import LONG
from spice_tui.cli.session import expand, session_of

SUFFIX = ".spicepod"
FORMATS = ("csv", "json", "parquet")


def export(
    ctx: typer.Context,
    pod: Annotated[
        str,
        typer.Argument(
            metavar="POD|runs|runs/N",
            help="Name of the pod; with a FILE also: runs, or one run.",
            autocompletion=completion.pods,
        ),
    ],
    file: Annotated[
        str,
        typer.Argument(
            metavar="[FILE]", help="Of runs a .csv, .json or .parquet; of one run any other."
        ),
    ] = "",
    *,
    project: Annotated[
        str,
        typer.Option(
            "--project",
            "-p",
            metavar="NAME",
            help="Only runs of this project.",
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
    json: Json = False,
) -> None:
    """Write a trained pod into a file, enough to recommend without its data.

    With a FILE: a table of all runs, or one run with its log, metrics and outputs.
    """
    if file:
        export_runs(ctx, pod, file, project=project, overwrite=overwrite, json=json)
        return
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


def export_runs(
    ctx: typer.Context, what: str, file: str, *, project: str, overwrite: bool, json: bool
) -> None:
    """Write a table of runs, or an archive of one; the name of the file says which.

    Raises:
        typer.BadParameter: the two do not go together.
    """
    place = expand(file).absolute()
    path = place.parent.resolve() / place.name  # the engine takes no ..
    form = path.suffix.removeprefix(".").lower()
    params: dict[str, object] = {"path": str(path)}
    if what == "runs" and form in FORMATS:
        operation = "runs.export"
        params |= {"format": form, "project": project, "replace": overwrite}
    elif what.startswith("runs/") and form not in FORMATS and not project:
        operation = "runs.export_run"
        number = option(what, values.run_number, "runs/N")
        params |= {"id": number, "replace": overwrite}
    else:
        raise typer.BadParameter(
            "give `runs` and a .csv, .json or .parquet file, or `runs/N` and any other.",
            param_hint="FILE",
        )
    with session_of(ctx).connect() as client:
        done = client.call(operation, params, timeout=LONG)
    if json:
        output.as_json(done)
        return
    count, size = done["runs"], values.size_text(done["bytes"])
    runs = f"{count} run{'' if count == 1 else 's'}"
    output.line(f"Exported {runs} to {output.safe(done['path'])} ({size})")
