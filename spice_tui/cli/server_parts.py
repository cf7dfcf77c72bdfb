"""`server models add|rm` and `server mounts add|rm`: parts of a definition, one by one."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from spice_engine.errors import Conflict, InvalidSettings, NotFound
from spice_tui.cli import completion, server_flags, server_follow
from spice_tui.cli.command_file import FileCommand
from spice_tui.cli.following import FollowingClient
from spice_tui.cli.groups import group
from spice_tui.cli.output import Json
from spice_tui.cli.server_arguments import Background, ServerArgument
from spice_tui.cli.session import session_of

models = group("Add models to a server, and take them away.")
mounts = group("Add mounts to a server, and take them away.")

ModelArguments = Annotated[
    list[str],
    typer.Argument(metavar="MODEL:VERSION", help="Models.", autocompletion=completion.models),
]
MountArguments = Annotated[
    list[str], typer.Argument(metavar="RESOURCE[:PATH]", help="Resources, below /mounts.")
]


@models.command("add", cls=FileCommand)
def add_models(
    ctx: typer.Context,
    server: ServerArgument,
    model: ModelArguments,
    background: Background = False,
    json: Json = False,
) -> None:
    """Add models to a server."""

    def change(definition: dict[str, Any]) -> dict[str, Any]:
        attached = list(definition["models"])
        for item in model:
            name, _, version = item.partition(":")
            if not name or not version:
                raise InvalidSettings(
                    f"{item!r}: A model tag must be specified in the form model_name:version"
                )
            if name in {one.partition(":")[0] for one in attached}:
                raise Conflict(
                    f"server {server} has a version of model {name!r} already.",
                    hint=f"Change it: spice-tui server update {server} --model {item}.",
                )
            attached.append(item)
        return {"models": attached}

    _update(ctx, server, change, background=background, json=json)


@models.command("rm", cls=FileCommand)
def remove_models(
    ctx: typer.Context,
    server: ServerArgument,
    model: Annotated[list[str], typer.Argument(metavar="MODEL[:VERSION]", help="Models.")],
    background: Background = False,
    json: Json = False,
) -> None:
    """Take models away from a server."""

    def change(definition: dict[str, Any]) -> dict[str, Any]:
        left = list(definition["models"])
        for item in model:
            found = [one for one in left if item in {one, one.partition(":")[0]}]
            if not found:
                raise NotFound(
                    f"server {server} has no model {item!r}.",
                    hint=f"It has: {', '.join(left) or 'none'}.",
                )
            left = [one for one in left if one not in found]
        return {"models": left}

    _update(ctx, server, change, background=background, json=json)


@mounts.command("add", cls=FileCommand)
def add_mounts(
    ctx: typer.Context,
    server: ServerArgument,
    mount: MountArguments,
    background: Background = False,
    json: Json = False,
) -> None:
    """Add mounts to a server."""

    def change(definition: dict[str, Any]) -> dict[str, Any]:
        return {"mounts": definition["mounts"] | dict(server_flags.mount(item) for item in mount)}

    _update(ctx, server, change, background=background, json=json)


@mounts.command("rm", cls=FileCommand)
def remove_mounts(
    ctx: typer.Context,
    server: ServerArgument,
    mount: Annotated[
        list[str], typer.Argument(metavar="RESOURCE|PATH", help="Resources, or their places.")
    ],
    background: Background = False,
    json: Json = False,
) -> None:
    """Take mounts away from a server."""

    def change(definition: dict[str, Any]) -> dict[str, Any]:
        left = dict(definition["mounts"])
        for item in mount:
            place = item.removeprefix("/mounts/").rstrip("/")
            found = [one for one, at in left.items() if item == one or place == at]
            if not found:
                raise NotFound(
                    f"server {server} has no mount {item!r}.",
                    hint=f"It has: {', '.join(left) or 'none'}.",
                )
            for one in found:
                del left[one]
        return {"mounts": left}

    _update(ctx, server, change, background=background, json=json)


def _update(ctx: typer.Context, server: str, change: Any, *, background: bool, json: bool) -> None:
    with session_of(ctx).connect(FollowingClient) as client:
        definition = client.call("servers.get", {"server": server})["definition"]
        request = {"server": server, "changes": change(definition)}
        server_follow.update(client, request, background=background, as_json=json)
