"""`ps`: the runs there are, by what is known of them."""

from __future__ import annotations

import time
from typing import Annotated, Any

import typer

from spice_tui.cli import completion, output, values
from spice_tui.cli.light import option
from spice_tui.cli.output import Json
from spice_tui.cli.run_states import BEFORE
from spice_tui.cli.session import session_of

Texts = list[str] | None


def list_runs(
    ctx: typer.Context,
    *,
    number: Annotated[int, typer.Option("--number", "-n", help="At most this many.")] = 50,
    state: Annotated[
        Texts, typer.Option("--state", metavar="STATE", help="Only in this state; repeat.")
    ] = None,
    label: Annotated[
        Texts, typer.Option("--label", "-l", help="Only with this label; repeat.")
    ] = None,
    project: Annotated[
        str,
        typer.Option(
            "--project",
            "-p",
            metavar="NAME",
            help="Only of this project; - for those of none.",
            autocompletion=completion.projects,
        ),
    ] = "",
    repository: Annotated[
        str,
        typer.Option(
            "--repository",
            "-r",
            metavar="NAME",
            help="Only on that repository, or on a folder of that name.",
        ),
    ] = "",
    kind: Annotated[
        Texts,
        typer.Option(
            "--kind", metavar="KIND", help="Only run, trial, workflow, workspace, external; repeat."
        ),
    ] = None,
    name: Annotated[str, typer.Option(metavar="PATTERN", help="Only of a name: try*.")] = "",
    param: Annotated[
        Texts,
        typer.Option(metavar="CONDITION", help="Only where a parameter is so: lr<0.1; repeat."),
    ] = None,
    metric: Annotated[
        Texts,
        typer.Option(
            metavar="CONDITION",
            help="Only where the last value of a metric is so: acc>0.9; repeat.",
        ),
    ] = None,
    since: Annotated[
        str, typer.Option(metavar="TIME", help="Only made since: 2h, 2026-05-01, Unix seconds.")
    ] = "",
    until: Annotated[str, typer.Option(metavar="TIME", help="Only made before.")] = "",
    archived: Annotated[bool, typer.Option("--archived", help="Those that are archived.")] = False,
    sort: Annotated[
        str,
        typer.Option(
            metavar="KEY",
            help="By id, created, started, ended, duration, name, state, project, priority, "
            "param:NAME or metric:NAME.",
        ),
    ] = "",
    desc: Annotated[bool, typer.Option("--desc", help="Sort the largest first.")] = False,
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="More columns.")] = False,
    trunc: Annotated[
        bool | None,
        typer.Option(
            "--trunc/--no-trunc", help="Cut long commands, or not. Default: cut on a terminal."
        ),
    ] = None,
    raw: Annotated[bool, typer.Option("--raw", hidden=True)] = False,
    json: Json = False,
) -> None:
    """List the newest runs, oldest of them first; or the first of an order."""
    request = {
        "number": number,
        "states": [one.lower().replace(" ", "_") for one in state or []],
        "labels": label or [],
        "kinds": kind or [],
        "name": name,
        "project": project,
        "repository": repository.rstrip("/"),
        "params": param or [],
        "metrics": metric or [],
        "since": option(since, _moment, "--since") if since else None,
        "until": option(until, _moment, "--until") if until else None,
        "archived": archived,
        "sort": sort or ("id" if desc else ""),
        "descending": desc,
    }
    with session_of(ctx).connect() as client:
        runs = client.call("runs.list", request)["runs"]
    if json:
        output.as_json(runs)
        return
    whole = not (output.is_terminal() and not raw if trunc is None else trunc)
    heads = ["ID", "NAME", "COMMAND", "STATUS", "CREATED"]
    kinds = verbose or any(run["kind"] != "run" for run in runs)
    if kinds:
        heads.insert(1, "KIND")
    if verbose:
        heads[heads.index("COMMAND") : heads.index("STATUS")] = ["REPOSITORY", "COMMAND", "COMMIT"]
        heads += ["PROJECT", "LABELS", "MACHINE", "DESCRIPTION"]
    if any(run["distributed"] for run in runs):
        heads.append("DISTRIBUTED")
    folder = session_of(ctx).location.root.name
    rows = [_row(run, heads, folder, whole=whole, verbose=verbose) for run in runs]
    if raw:
        output.raw(rows)
    else:
        output.table(heads, rows)


def _moment(text: str) -> float:
    """A time, or a duration before now."""
    try:
        return (
            time.time() - values.duration(text) if text[-1:] in set("smhd") else values.moment(text)
        )
    except ValueError:
        raise ValueError(f"{text!r} is no time; give 2h, 3d, or YYYY-MM-DD HH:MM:SS.") from None


def _row(
    run: dict[str, Any], heads: list[str], folder: str, *, whole: bool, verbose: bool
) -> list[str]:
    params = [f"{name}={value}" for name, value in run["params"].items()]
    command = values.command_text(run["command"]) or ", ".join(params)
    status, color = values.status_text(run), values.status_color(run)
    if verbose:
        status += _elapsed(run)
    repository, commit = _origin(run, folder)
    cells = {
        "ID": str(run["id"]),
        "REPOSITORY": repository,
        "COMMIT": commit if whole else commit[:8],
        "KIND": run["kind"],
        "NAME": run["name"],
        "COMMAND": command if whole else output.shorten(command, 40),
        "STATUS": output.paint(status, color) if color else status,
        "CREATED": values.ago(run["created"]),
        "PROJECT": run["project"],
        "LABELS": ",".join(run["labels"]),
        "MACHINE": run["machine_type"],
        "DESCRIPTION": run["description"],
        "DISTRIBUTED": str(run["distributed"] or ""),
    }
    return [cells[head] for head in heads]


def _origin(run: dict[str, Any], folder: str) -> tuple[str, str]:
    """The name of the repository, or of the folder, that a run was on, and the commit."""
    address, found, commit = run["source"].rpartition("@")
    if found and commit.isalnum():
        return address.rpartition("/")[2].removesuffix(".git"), commit
    return "" if run["kind"] == "external" else folder, ""


def _elapsed(run: dict[str, Any]) -> str:
    """How long it took, or takes so far; of one that waits what for."""
    if run["started"] is None:
        return f" -- {run['message']}" if run["state"] in BEFORE and run["message"] else ""
    return f" [{values.elapsed((run['ended'] or time.time()) - run['started'])}]"
