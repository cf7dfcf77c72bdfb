"""`dataspace add`: where data come from, written into a manifest."""

from __future__ import annotations

from typing import Annotated

import typer

from spice_tui.cli import edits
from spice_tui.cli.groups import group
from spice_tui.cli.output import Json
from spice_tui.cli.session import session_of

app = group("Add dataspaces to manifests.")
Texts = list[str]


@app.command()
def add(
    ctx: typer.Context,
    path: Annotated[
        str, typer.Argument(metavar="FROM/NAME", help="Its name, as in sensors/garden.")
    ],
    *,
    measurement: Annotated[
        Texts,
        typer.Option(
            "--measurement", "-m", metavar="NAME[=COLUMN]", help="A number to learn from; repeat."
        ),
    ] = [],  # noqa: B006 - typer makes a new one
    category: Annotated[
        Texts,
        typer.Option(metavar="NAME=VALUE,…", help="A word to learn from, with its values; repeat."),
    ] = [],  # noqa: B006
    identifier: Annotated[
        Texts, typer.Option(metavar="NAME", help="A text that is shown only; repeat.")
    ] = [],  # noqa: B006
    file: Annotated[
        str, typer.Option("--file", "-f", metavar="PATH", help="Short for the connector 'file'.")
    ] = "",
    connector: Annotated[
        str, typer.Option(metavar="NAME", help="What fetches the data; none: they are pushed.")
    ] = "",
    param: Annotated[
        Texts, typer.Option(metavar="NAME=VALUE", help="A param of the connector; repeat.")
    ] = [],  # noqa: B006
    processor: Annotated[
        str, typer.Option(metavar="NAME", help="What the data look like; default: by the file.")
    ] = "",
    processor_param: Annotated[
        Texts, typer.Option(metavar="NAME=VALUE", help="A param of the processor; repeat.")
    ] = [],  # noqa: B006
    local: Annotated[
        bool, typer.Option("--local", help="Local state, which actions change: no data.")
    ] = False,
    pod: edits.Pod = "",
    json: Json = False,
) -> None:
    """Add a dataspace to a manifest, which keeps its comments and its form."""
    params = edits.pairs(param, "--param")
    if file:
        if connector not in {"", "file"}:
            raise typer.BadParameter("it goes with the connector 'file'.", param_hint="--file")
        connector, params = "file", {"path": file, **params}
    request = {
        "pod": pod,
        "path": path,
        "measurements": edits.pairs(measurement, "--measurement"),
        "categories": {
            name: [value.strip() for value in values.split(",") if value.strip()]
            for name, values in edits.pairs(category, "--category").items()
        },
        "identifiers": identifier,
        "connector": connector,
        "params": params,
        "processor": processor,
        "processor_params": edits.pairs(processor_param, "--processor-param"),
        "local": local,
    }
    with session_of(ctx).connect() as client:
        answer = client.call("pods.add_dataspace", request)
    edits.tell(answer, f"Dataspace '{path}' added to pod {answer['pod']}.", json=json)
