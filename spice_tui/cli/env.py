"""`env`: environments that are kept, what is in them, and how those of two runs differ."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from spice_tui.cli import output, values
from spice_tui.cli.groups import group
from spice_tui.cli.light import option
from spice_tui.cli.output import Json
from spice_tui.cli.session import session_of

COLUMNS = ("KEY", "KIND", "SIZE", "OWN", "MADE-IN", "USED", "IN-USE", "HOLDS")
_HOLDS = ("image", "apt", "python", "conda", "pip", "setup")
_TEXTS = {"conda_file": "conda file", "requirements": "requirements", "lock": "lock"}

app = group("List environments that are kept, compare and remove them.")

Name = Annotated[
    str, typer.Argument(metavar="RUN|KEY", help="A run, by number or name, or an environment.")
]


@app.command("list")
def list_environments(ctx: typer.Context, json: Json = False) -> None:
    """List the environments that are kept, the one that was used last at the end.

    OWN is what removing it frees: uv shares the files of a package among environments.
    """
    with session_of(ctx).connect() as client:
        answer = client.call("environments.list")
    if json:
        output.as_json(answer)
        return
    rows = [
        [
            one["key"],
            one["kind"],
            values.size_text(one["size"]),
            values.size_text(one["own"]),
            f"{values.number(one['seconds'], 3)} s",
            values.ago(one["used"]),
            "yes" if one["in_use"] else "",
            output.shorten(_holds(one["asked"]), 60),
        ]
        for one in answer["environments"]
    ]
    output.table(COLUMNS, rows, right=COLUMNS[2:5])
    for key in answer["building"]:
        output.note(f"{key} is being made.")


def _holds(asked: dict[str, Any]) -> str:
    found: list[str] = []
    for name in _HOLDS:
        value = asked.get(name)
        found += value if isinstance(value, list) else [str(value)] if value else []
    found += [text for name, text in _TEXTS.items() if asked.get(name)]
    return output.safe(" ".join(found))


@app.command()
def show(ctx: typer.Context, name: Name, json: Json = False) -> None:
    """Show the exact version of all that is in the environment of a run, or of a key."""
    with session_of(ctx).connect() as client:
        found = client.call("environments.show", {"name": name})
    if json:
        output.as_json(found)
        return
    cached = f"from the cache in {values.number(found['waited'], 3)} s"
    fresh = f"waited {values.number(found['waited'], 3)} s for it"
    output.pairs(
        [
            ("Environment", found["key"]),
            ("Run", found["run"] or ""),
            ("Cache", (cached if found["cached"] else fresh) if found["run"] else ""),
            ("Made In", f"{values.number(found['seconds'], 3)} s" if found["seconds"] else ""),
        ]
    )
    rows = [[one["kind"], one["name"], one["version"]] for one in found["packages"]]
    output.table(("KIND", "NAME", "VERSION"), rows)


@app.command()
def lock(ctx: typer.Context, name: Name) -> None:
    """Write the lock of a run's environment: `--env-lock FILE` makes the same again."""
    with session_of(ctx).connect() as client:
        output.line(client.call("environments.show", {"name": name})["lock"])


@app.command()
def diff(
    ctx: typer.Context,
    one: Name,
    other: Annotated[str, typer.Argument(metavar="RUN|KEY", help="What it is compared with.")],
    json: Json = False,
) -> None:
    """Show what differs between the environments of two runs."""
    with session_of(ctx).connect() as client:
        changes = client.call("environments.diff", {"one": one, "other": other})["changes"]
    if json:
        output.as_json(changes)
        return
    if not changes:
        output.note("They are the same.")
    for change in changes:
        sign = "+" if not change["before"] else "-" if not change["after"] else "~"
        versions = " -> ".join(filter(None, (change["before"], change["after"])))
        output.line(output.safe(f"{sign} {change['kind']} {change['name']} {versions}"))


@app.command()
def rm(
    ctx: typer.Context,
    keys: Annotated[list[str], typer.Argument(metavar="KEY...", help="Environments.")],
    json: Json = False,
) -> None:
    """Remove environments that nobody uses; who asks for one again has it made again."""
    _remove(ctx, {"keys": keys}, json=json)


@app.command()
def prune(
    ctx: typer.Context,
    *,
    unused: Annotated[
        str, typer.Option(metavar="TIME", help="Not used for so long: 12h, 30d. Default: 30d.")
    ] = "30d",
    every: Annotated[
        bool, typer.Option("--all", help="All that nobody uses now, however fresh.")
    ] = False,
    json: Json = False,
) -> None:
    """Remove the environments that nobody used for long."""
    seconds = 0.0 if every else option(unused, values.duration, "--unused")
    _remove(ctx, {"unused": seconds}, json=json)


def _remove(ctx: typer.Context, request: dict[str, Any], *, json: bool) -> None:
    with session_of(ctx).connect() as client:
        answer = client.call("environments.remove", request)
    if json:
        output.as_json(answer)
        return
    count = len(answer["keys"])
    output.line(
        f"Removed {values.counted(count, 'environment')}: "
        f"{values.size_text(answer['bytes'])} are free for it."
    )
