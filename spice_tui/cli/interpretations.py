"""`interpretations`: what people say about stretches of a pod's data."""

from __future__ import annotations

import json as json_module
from collections.abc import Mapping
from typing import Annotated, Any, cast

import typer

from spice_engine.errors import InvalidRequest, NotFound
from spice_tui.cli import output, values
from spice_tui.cli.groups import group
from spice_tui.cli.light import option
from spice_tui.cli.output import Json
from spice_tui.cli.pod_argument import PodArgument
from spice_tui.cli.session import expand, session_of

app = group("List and add interpretations of a pod's data.")


@app.command("list")
def list_all(
    ctx: typer.Context,
    pod: PodArgument,
    *,
    start: Annotated[
        str, typer.Option(metavar="TIME", help="Those that reach beyond this time.")
    ] = "",
    end: Annotated[str, typer.Option(metavar="TIME", help="Those that begin before it.")] = "",
    json: Json = False,
) -> None:
    """List what was said about a pod's data."""
    request = {
        "pod": pod,
        "start": option(start, values.moment, "--start") if start else None,
        "end": option(end, values.moment, "--end") if end else None,
    }
    with session_of(ctx).connect() as client:
        found = client.call("pods.interpretations", request)["interpretations"]
    if json:
        output.as_json(found)
        return
    output.table(
        ["START", "END", "NAME", "ACTIONS", "TAGS"],
        [
            [
                values.clock(one["start"]),
                values.clock(one["end"]),
                one["name"],
                ", ".join(one["actions"]),
                ", ".join(one["tags"]),
            ]
            for one in found
        ],
    )


@app.command()
def add(
    ctx: typer.Context,
    pod: PodArgument,
    file: Annotated[
        str, typer.Argument(metavar="FILE", help="JSON: a list of interpretations.")
    ] = "",
    *,
    start: Annotated[str, typer.Option(metavar="TIME", help="Unix seconds or a date.")] = "",
    end: Annotated[str, typer.Option(metavar="TIME", help="Not included.")] = "",
    name: Annotated[str, typer.Option(metavar="TEXT", help="What it is called.")] = "",
    action: Annotated[
        list[str] | None, typer.Option(metavar="NAME", help="An action it is about; repeatable.")
    ] = None,
    tag: Annotated[list[str] | None, typer.Option(metavar="TAG", help="Repeatable.")] = None,
    json: Json = False,
) -> None:
    """Say something about a stretch of a pod's data, or many things by a file."""
    if file and (start or end or name or action or tag):
        raise typer.BadParameter("FILE says all; give it alone.", ctx=ctx)
    if file:
        given = _read(file)
    elif start and end:
        given = [
            {
                "start": option(start, values.moment, "--start"),
                "end": option(end, values.moment, "--end"),
                "name": name,
                "actions": list(action or ()),
                "tags": list(tag or ()),
            }
        ]
    else:
        raise typer.BadParameter("give FILE, or --start and --end.", ctx=ctx)
    with session_of(ctx).connect() as client:
        client.call("pods.interpret", {"pod": pod, "interpretations": given})
    if json:
        output.as_json(given)
    else:
        output.line(f"{len(given)} added to {output.safe(pod)}.")


def _read(file: str) -> list[dict[str, Any]]:
    """Interpretations of a file; keys in any case, as the original wrote them capitalised.

    It wrote lists without items as null, too.
    """
    path = expand(file)
    if not path.is_file():
        raise NotFound(f"there is no file {file!r}.")
    try:
        items = json_module.loads(path.read_bytes())
    except ValueError as error:
        raise InvalidRequest(f"{file} is no JSON: {error}.") from error
    if not isinstance(items, list) or not all(isinstance(item, dict) for item in items):
        raise InvalidRequest(f"{file} holds no list of objects with Start, End, Name, …")
    objects = cast("list[Mapping[str, Any]]", items)
    return [
        {key.lower(): value for key, value in one.items() if value is not None} for one in objects
    ]
