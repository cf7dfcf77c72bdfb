"""`workflow run`, `check`, `resume`: the steps that a file declares."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from spice_tui.cli import completion, inside, output, values
from spice_tui.cli.creating import created
from spice_tui.cli.exit_codes import ExitCode
from spice_tui.cli.follow_workflow import WorkflowFollower
from spice_tui.cli.following import FollowingClient
from spice_tui.cli.light import option
from spice_tui.cli.output import Json
from spice_tui.cli.session import Session, session_of

File = Annotated[
    str,
    typer.Argument(metavar="FILE", help="A YAML file, or the name of one in workflows/."),
]
Param = Annotated[
    list[str] | None,
    typer.Option("--param", metavar="NAME=VALUE", help="Replaces a param of the file; repeat."),
]
Background = Annotated[bool, typer.Option("--background", "-b", help="Print its number and leave.")]
Number = Annotated[
    str,
    typer.Argument(
        metavar="WORKFLOW", help="Number of the workflow.", autocompletion=completion.workflows
    ),
]


def run(
    ctx: typer.Context,
    file: File,
    *,
    param: Param = None,
    fresh: Annotated[
        bool, typer.Option("--fresh", help="Carry everything out, whatever was done before.")
    ] = False,
    background: Background = False,
    json: Json = False,
) -> None:
    """Carry out the steps of a workflow's file; ends with 1 if one failed.

    A step that is the same as one that succeeded before is taken from there.
    """
    session = session_of(ctx)
    request = {"file": _place(session, file), "params": _params(param or []), "fresh": fresh}
    request |= inside.workflow()
    client = session.connect(FollowingClient, make=True)
    client, begun = created(session, client, "workflows.run", request)
    _see_to_end(session, client, begun, background=background, json=json)


def resume(
    ctx: typer.Context, workflow: Number, *, background: Background = False, json: Json = False
) -> None:
    """Go on with a declared workflow from what failed, was skipped or stopped.

    What succeeded stays; the folder and the file are taken as they are now.
    """
    number = option(workflow, values.run_number, "WORKFLOW")
    session = session_of(ctx)
    client = session.connect(FollowingClient)
    begun = client.call("workflows.resume", {"id": number})
    _see_to_end(session, client, begun, background=background, json=json)


def check(ctx: typer.Context, file: File, *, param: Param = None, json: Json = False) -> None:
    """Check a workflow's file, and list its steps in their order."""
    session = session_of(ctx)
    with session.connect(make=True) as client:
        plan = client.call(
            "workflows.check", {"file": _place(session, file), "params": _params(param or [])}
        )
    if json:
        output.as_json(plan)
        return
    rows = [[step["name"], step["count"], ", ".join(step["needs"])] for step in plan["steps"]]
    output.table(["STEP", "RUNS", "NEEDS"], rows, right=["RUNS"])


def _place(session: Session, file: str) -> str:
    """A path from here on as one in the app folder; a bare name stays."""
    path = (Path.cwd() / Path(file).expanduser()).resolve()
    if path.is_file() and (inner := inside.folder(str(path))) != str(path):
        return inner
    root = session.location.root.resolve()
    return str(path.relative_to(root)) if path.is_file() and path.is_relative_to(root) else file


def _params(texts: list[str]) -> dict[str, str]:
    found: dict[str, str] = {}
    for text in texts:
        name, equals, value = text.partition("=")
        if not name or not equals:
            raise typer.BadParameter(f"{text!r} is not NAME=VALUE.", param_hint="--param")
        if name in found:
            raise typer.BadParameter(f"{name} is given twice.", param_hint="--param")
        found[name] = value
    return found


def _see_to_end(
    session: Session,
    client: FollowingClient,
    begun: dict[str, Any],
    *,
    background: bool,
    json: bool,
) -> None:
    """Tell of each step until the workflow is over.

    Raises:
        typer.Exit: with 1 if it did not end well, 130 at Control-C.
    """
    number = begun["id"]
    if background:
        client.close()
        if json:
            output.as_json(begun)
        else:
            output.line(str(number))
        return
    output.note(f"Workflow {number} ({begun['name']}) begins.")
    try:
        ended = WorkflowFollower(session, number, quiet=json).follow(client)
    except KeyboardInterrupt:
        output.error_line(
            f"\nWorkflow {number} goes on. Look again: spice-tui workflow describe {number}   "
            f"Stop it: spice-tui workflow stop {number}"
        )
        raise typer.Exit(ExitCode.INTERRUPTED) from None
    if json:
        output.as_json(ended)
    else:
        output.line(f"Workflow {number} is {ended['state']}. {ended['message']}".rstrip())
        if ended["state"] != "complete":
            output.error_line(f"Go on with it: spice-tui workflow resume {number}")
    raise typer.Exit(0 if ended["state"] == "complete" else 1)
