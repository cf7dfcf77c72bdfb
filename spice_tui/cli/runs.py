"""`ps`, `info`, `label`: what runs there are and what is known about them."""

from __future__ import annotations

import time
from typing import Annotated, Any

import typer

from spice_tui.cli import completion, output, values
from spice_tui.cli.light import option
from spice_tui.cli.output import Json
from spice_tui.cli.session import session_of

RunArgument = Annotated[
    str, typer.Argument(metavar="RUN", help="Number of the run.", autocompletion=completion.runs)
]


def list_runs(
    ctx: typer.Context,
    *,
    number: Annotated[int, typer.Option("--number", "-n", help="At most this many.")] = 50,
    state: Annotated[
        list[str] | None, typer.Option("--state", help="Only runs in this state; repeat.")
    ] = None,
    label: Annotated[
        list[str] | None, typer.Option("--label", "-l", help="Only runs with this label; repeat.")
    ] = None,
    no_trunc: Annotated[bool, typer.Option("--no-trunc", help="Show whole commands.")] = False,
    json: Json = False,
) -> None:
    """List the newest runs, oldest of them first."""
    with session_of(ctx).connect() as client:
        answer = client.call(
            "runs.list", {"number": number, "states": state or [], "labels": label or []}
        )
    if json:
        output.as_json(answer["runs"])
        return
    whole = no_trunc or not output.is_terminal()
    output.table(
        ["ID", "NAME", "COMMAND", "STATUS", "CREATED"],
        [_row(run, whole=whole) for run in answer["runs"]],
    )


def _row(run: dict[str, Any], *, whole: bool) -> list[str]:
    command = values.command_text(run["command"])
    status, color = values.status_text(run), values.status_color(run)
    return [
        str(run["id"]),
        run["name"],
        command if whole else output.shorten(command, 40),
        output.paint(status, color) if color else status,
        values.ago(run["created"]),
    ]


def info(ctx: typer.Context, run: RunArgument, json: Json = False) -> None:
    """Show everything that is known about one run."""
    number = option(run, values.run_number, "RUN")
    with session_of(ctx).connect() as client:
        found = client.call("runs.get", {"id": number})
        ranks = client.call("runs.ranks", {"id": number}) if found.get("distributed") else {}
    if json:
        output.as_json(found)
        return
    started, ended = found.get("started"), found.get("ended")
    output.pairs(
        [
            ("Run", found["id"]),
            ("Name", found.get("name")),
            ("Kind", found.get("kind")),
            ("Project", found.get("project")),
            ("Status", values.status_text(found)),
            ("Outcome", found.get("outcome")),
            ("Machine Type", found.get("machine_type")),
            ("Message", found.get("message")),
            ("Command", values.command_text(found["command"])),
            ("Directory", found.get("cwd")),
            ("Created", values.clock(found.get("created"))),
            ("Start Time", values.clock(started)),
            ("End Time", values.clock(ended)),
            ("Duration", values.elapsed(ended - started) if started and ended else ""),
            ("Stages", _stages(found.get("stages", {}))),
            ("Labels", ", ".join(found.get("labels", []))),
            ("Description", found.get("description")),
            ("Mounts", "; ".join(map(_mount, found.get("mounts", [])))),
            *_dependencies(found.get("dependencies") or {}),
            ("Environment", found.get("environment")),
            ("Outputs", _outputs(found)),
            ("Ranks", found.get("distributed") or ""),
            *(_rank(one) for one in ranks.get("ranks", [])),
        ]
    )


def _rank(rank: dict[str, Any]) -> tuple[str, str]:
    running = f"running, process {rank['pid']}"
    state = running if rank["exit_code"] is None else rank["message"]
    lasted = (rank["ended"] or time.time()) - rank["started"]
    return f"Rank {rank['rank']}", f"{state}, {values.elapsed(lasted)}"


def _mount(text: str) -> str:
    resource, _, path = text.rpartition(":")
    return f"{resource} at {path}"


def _stages(stages: dict[str, float]) -> str:
    order = ("snapshot", "environment", "files", "running", "saving")
    found = [(name, stages[name]) for name in order if name in stages]
    return ", ".join(f"{name} {values.number(seconds, 3)} s" for name, seconds in found)


def _dependencies(needs: dict[str, Any]) -> list[tuple[str, object]]:
    return [
        ("Python", needs.get("python")),
        ("Pip Packages", ", ".join(needs.get("pip", []))),
        ("Requirements", f"{len(needs.get('requirements', '').splitlines()) or ''}"),
        ("Setup", "; ".join(needs.get("setup", []))),
    ]


def _outputs(run: dict[str, Any]) -> str:
    if not run.get("output_files"):
        return ""
    files = run["output_files"]
    size = values.size_text(run["output_bytes"])
    return f"{files} file{'' if files == 1 else 's'}, {size}: spice-tui ls runs/{run['id']}"


def label(
    ctx: typer.Context,
    run: RunArgument,
    name: Annotated[str, typer.Argument(help="The label.")],
    remove: Annotated[bool, typer.Option("--remove", help="Take it away instead.")] = False,
    json: Json = False,
) -> None:
    """Add a label to a run, or remove it."""
    number = option(run, values.run_number, "RUN")
    change = {"id": number, "remove" if remove else "add": [name]}
    with session_of(ctx).connect() as client:
        changed = client.call("runs.label", change)
    if json:
        output.as_json(changed)
        return
    word = "removed label {} from" if remove else "added label {} to"
    output.line(f"Successfully {word.format(output.safe(name))} run {number}.")
