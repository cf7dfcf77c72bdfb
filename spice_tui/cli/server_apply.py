"""`server render` and `server apply`: definitions of servers as files, and plans of changes."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from spice_engine.errors import InvalidRequest
from spice_tui.cli import output
from spice_tui.cli.output import Json
from spice_tui.cli.server_arguments import ServerArgument
from spice_tui.cli.session import expand, session_of

APPLY_SECONDS = 3600.0
_SIGNS = {"create": ("+", "green"), "update": ("~", "yellow"), "delete": ("-", "red")}


def render(
    ctx: typer.Context,
    server: ServerArgument,
    *,
    version: Annotated[
        int, typer.Option("--version", metavar="N", help="An earlier version; default: this one.")
    ] = 0,
    json: Json = False,
) -> None:
    """Print a server's definition as YAML, as `apply` reads it."""
    with session_of(ctx).connect() as client:
        found = client.call("servers.get", {"server": server})
    definition = found["definition"]
    if version:
        numbered = {one["number"]: one["definition"] for one in found["versions"]}
        if version not in numbered:
            known = ", ".join(map(str, sorted(numbered)))
            raise InvalidRequest(f"server {server} has no version {version}; it has {known}.")
        definition = numbered[version]
    if json:
        output.as_json(definition)
        return
    from spice_tui.cli import definition_yaml

    output.write(definition_yaml.render(definition))


def apply(
    ctx: typer.Context,
    files: Annotated[
        list[str], typer.Argument(metavar="FILE", help="YAML files with servers; -: stdin.")
    ],
    *,
    delete: Annotated[
        bool, typer.Option("--delete", help="Remove servers that no file names.")
    ] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only show the plan.")] = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    json: Json = False,
) -> None:
    """Make the servers what files say: show what would be done, ask, and do it."""
    from spice_tui.cli import definition_yaml

    definitions: list[dict[str, Any]] = []
    for file in files:
        definitions += (
            definition_yaml.parse(sys.stdin.read(), "<stdin>")
            if file == "-"
            else definition_yaml.read(expand(file))
        )
    names = [one["name"] for one in definitions]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise InvalidRequest(f"the files name {', '.join(twice)} more than once.")
    session = session_of(ctx)
    request = {
        "definitions": definitions,
        "delete": delete,
        "files": _inside(session.location.root, files),
    }
    with session.connect(make=True) as client:
        plan = client.call("servers.plan", request)
        if dry_run or not (json and yes):
            show_plan(plan, as_json=json)
        if dry_run or not _is_work(plan):
            if json and not dry_run and yes:
                output.as_json(plan)
            return
        if not yes:
            _confirm(json=json)
        done = client.call("servers.apply", request, timeout=APPLY_SECONDS)
    if json:
        output.as_json(done)
    else:
        output.line(f"Done: {_counted(done)}.")


def _inside(root: Path, files: list[str]) -> list[str]:
    """The files of these that lie in the app folder, relative to it: they are part of the code."""
    paths = [expand(file).resolve() for file in files if file != "-"]
    real = root.resolve()
    return [path.relative_to(real).as_posix() for path in paths if path.is_relative_to(real)]


def show_plan(plan: dict[str, Any], *, as_json: bool) -> None:
    """Print what a plan would do."""
    if as_json:
        output.as_json(plan)
        return
    for change in plan["changes"]:
        if change["action"] == "nothing":
            continue
        sign, color = _SIGNS[change["action"]]
        output.line(output.paint(f"{sign} {change['action']} server {change['server']}", color))
        for name, old, new in change["differences"]:
            text = f"{old} → {new}" if old and new else new or f"{old} → (default)"
            output.line(output.safe(f"    {name}: {text}"))
    output.line(f"Plan: {_counted(plan)}." if _is_work(plan) else "Nothing to change.")


def _is_work(plan: dict[str, Any]) -> bool:
    return any(change["action"] != "nothing" for change in plan["changes"])


def _counted(plan: dict[str, Any]) -> str:
    actions = [change["action"] for change in plan["changes"]]
    counts = {name: actions.count(name) for name in _SIGNS}
    return ", ".join(f"{name} {count}" for name, count in counts.items() if count) or "nothing"


def _confirm(*, json: bool) -> None:
    """Ask, where somebody can answer.

    Raises:
        InvalidRequest: nobody can.
        typer.Abort: the answer is no.
    """
    if json or not sys.stdin.isatty():
        raise InvalidRequest("nothing was done: nobody can be asked.", hint="Say yes with -y.")
    typer.confirm("Do this?", abort=True)
