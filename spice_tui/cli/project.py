"""`project`: named groups of runs, and what their runs came to."""

from __future__ import annotations

import sys
from typing import Annotated, Any

import typer

from spice_engine.errors import InvalidRequest, NotFound
from spice_tui.cli import completion, output, values
from spice_tui.cli.groups import group
from spice_tui.cli.light import option
from spice_tui.cli.output import Json
from spice_tui.cli.session import session_of
from spice_tui.client import Client

DESCRIPTION_SHOWN = 35

app = group("Name groups of runs, and compare what their runs came to.")

Name = Annotated[
    str,
    typer.Argument(
        metavar="NAME",
        help="The project; upper and lower case are the same.",
        autocompletion=completion.projects,
    ),
]
Runs = Annotated[
    list[str],
    typer.Argument(metavar="RUN...", help="Numbers of runs.", autocompletion=completion.runs),
]
Description = Annotated[
    str | None, typer.Option("--description", "-d", metavar="TEXT", help="What it is about.")
]


@app.command()
def create(
    ctx: typer.Context,
    name: Annotated[str, typer.Argument(metavar="[NAME]", help="The new project.")] = "",
    *,
    named: Annotated[
        str, typer.Option("--name", "-n", metavar="NAME", help="The same, as an option.")
    ] = "",
    description: Description = None,
    run: Annotated[
        list[str] | None,
        typer.Option("--run-id", "-r", metavar="RUN", help="A run to put into it; repeat."),
    ] = None,
    json: Json = False,
) -> None:
    """Make a project."""
    if bool(name) == bool(named):
        raise typer.BadParameter("give the name once.", ctx=ctx, param_hint="NAME")
    params = {
        "name": name or named,
        "description": description or "",
        "runs": [option(text, values.run_number, "--run-id") for text in run or ()],
    }
    with session_of(ctx).connect(make=True) as client:
        made = client.call("projects.create", params)
    _tell(made, f"Created project '{output.safe(made['name'])}'", json=json)


@app.command("list")
def list_projects(
    ctx: typer.Context,
    archived: Annotated[bool, typer.Option("--archived", help="Those that are archived.")] = False,
    json: Json = False,
) -> None:
    """List the projects."""
    with session_of(ctx).connect() as client:
        found = client.call("projects.list", {"archived": archived})["projects"]
    if json:
        output.as_json(found)
        return
    whole = not output.is_terminal()
    rows = [
        [
            one["name"],
            one["description"] if whole else output.shorten(one["description"], DESCRIPTION_SHOWN),
            one["creator"],
            one["runs"],
            values.ago(one["created"]),
            *([values.ago(one["archived"])] if archived else []),
        ]
        for one in found
    ]
    columns = ["NAME", "DESCRIPTION", "CREATOR", "TOTAL RUNS", "CREATED AT"]
    output.table(columns + (["ARCHIVED AT"] if archived else []), rows)


@app.command()
def get(
    ctx: typer.Context,
    name: Name,
    number: Annotated[int, typer.Option("--number", "-n", help="At most this many runs.")] = 50,
    json: Json = False,
) -> None:
    """Show a project: its runs by state, where each metric is best, and its newest runs."""
    with session_of(ctx).connect() as client:
        found = client.call("projects.get", {"name": name, "number": number})
    if json:
        output.as_json(found)
        return
    one = found["project"]
    output.pairs(
        [
            ("Project", one["name"]),
            ("Description", one["description"]),
            ("Creator", one["creator"]),
            ("Created At", values.clock(one["created"])),
            ("Archived At", values.clock(one["archived"])),
            ("Runs", one["runs"]),
            ("States", ", ".join(f"{count} {state}" for state, count in found["states"].items())),
        ]
    )
    if found["best"]:
        output.line("")
        rows = [
            [
                best["metric"],
                values.number(best["value"], 6),
                "lowest" if best["smallest"] else "highest",
                best["run"],
                best["runs"],
            ]
            for best in found["best"]
        ]
        output.table(["METRIC", "BEST", "WHICH IS", "RUN", "RUNS"], rows)
    if found["runs"]:
        output.line("")
        output.table(["ID", "NAME", "COMMAND", "STATUS", "CREATED"], [*map(_run, found["runs"])])


def _run(run: dict[str, Any]) -> list[str]:
    command = values.command_text(run["command"])
    shown = output.shorten(command, 40) if output.is_terminal() else command
    return [str(run["id"]), run["name"], shown, values.status_text(run), values.ago(run["created"])]


@app.command()
def archive(ctx: typer.Context, name: Name, json: Json = False) -> None:
    """Put a project out of sight; its runs stay as they are."""
    _archive(ctx, name, archived=True, json=json)


@app.command()
def unarchive(ctx: typer.Context, name: Name, json: Json = False) -> None:
    """Take an archived project back."""
    _archive(ctx, name, archived=False, json=json)


def _archive(ctx: typer.Context, name: str, *, archived: bool, json: bool) -> None:
    with session_of(ctx).connect() as client:
        done = client.call("projects.archive", {"name": name, "archived": archived})
    word = "Archived" if archived else "Unarchived"
    _tell(done, f"{word} project '{output.safe(done['name'])}'", json=json)


@app.command()
def edit(
    ctx: typer.Context,
    name: Name,
    *,
    new_name: Annotated[
        str | None, typer.Option("--name", "-n", metavar="NAME", help="Its new name.")
    ] = None,
    description: Description = None,
    json: Json = False,
) -> None:
    """Rename a project, or describe it."""
    params = {"name": name, "new_name": new_name, "description": description}
    with session_of(ctx).connect() as client:
        done = client.call("projects.edit", params)
    _tell(done, f"Edited project '{output.safe(done['name'])}'", json=json)


@app.command("add-runs")
def add_runs(ctx: typer.Context, name: Name, runs: Runs, json: Json = False) -> None:
    """Put runs into a project that are in none: all of them, or none."""
    _move(ctx, "projects.add_runs", name, runs, "Added {} to", json=json)


@app.command("remove-runs")
def remove_runs(ctx: typer.Context, name: Name, runs: Runs, json: Json = False) -> None:
    """Take runs out of a project: all of them, or none."""
    _move(ctx, "projects.remove_runs", name, runs, "Removed {} from", json=json)


def _move(
    ctx: typer.Context, operation: str, name: str, runs: list[str], said: str, *, json: bool
) -> None:
    numbers = [option(text, values.run_number, "RUN") for text in runs]
    with session_of(ctx).connect() as client:
        done = client.call(operation, {"name": name, "runs": numbers})
    what = f"run{'' if len(numbers) == 1 else 's'} {', '.join(map(str, numbers))}"
    _tell(done, f"{said.format(what)} project '{output.safe(done['name'])}'", json=json)


def _tell(done: dict[str, Any], text: str, *, json: bool) -> None:
    if json:
        output.as_json(done)
    else:
        output.line(text)


def chosen(client: Client, name: str, *, force: bool) -> str:
    """The project that a new run is to be in; one that is missing is made when a person says yes,
    or with `force`.

    Raises:
        InvalidRequest: it is missing, and nobody can be asked.
        typer.Abort: they said no.
    """
    try:
        return str(client.call("projects.get", {"name": name, "number": 0})["project"]["name"])
    except NotFound:
        question = f"A project named '{output.safe(name)}' could not be found."
        if not force:
            if not sys.stdin.isatty() or output.json_wanted():
                raise InvalidRequest(
                    question, hint="Make it with --force, or: spice-tui project create NAME."
                ) from None
            typer.confirm(f"{question} Would you like to create a new one?", abort=True, err=True)
    return str(client.call("projects.create", {"name": name})["name"])
