"""`server start`, `stop`, `rm` and `rollback`."""

from __future__ import annotations

from typing import Annotated

import typer

from spice_tui.cli import output, server_follow
from spice_tui.cli.following import FollowingClient
from spice_tui.cli.output import Json
from spice_tui.cli.server_arguments import Background, ServerArgument
from spice_tui.cli.session import session_of

END_SECONDS = 300.0
"""For requests under way to end, and the pods after them."""

Force = Annotated[bool, typer.Option("--force", "-f", help="Do not wait for requests under way.")]


def start(
    ctx: typer.Context, server: ServerArgument, background: Background = False, json: Json = False
) -> None:
    """Start a stopped server, and wait until it runs."""
    with session_of(ctx).connect(FollowingClient) as client:
        if not json:
            output.line(f"Starting server {output.safe(server)}...")
            output.flush()
        request = {"server": server}
        info = server_follow.begin(client, "servers.start", request, background=background)
    if json:
        output.as_json(info)
    elif not background:
        output.line(server_follow.standing(info))


def stop(
    ctx: typer.Context,
    server: ServerArgument,
    force: Force = False,
    background: Background = False,
    json: Json = False,
) -> None:
    """Stop a server: requests under way end, then its pods."""
    with session_of(ctx).connect() as client:
        if not json:
            output.line(f"Stopping server {output.safe(server)}...")
            output.flush()
        request = {"server": server, "force": force, "wait": not background}
        info = client.call("servers.stop", request, timeout=END_SECONDS)
    if json:
        output.as_json(info)
    elif not background:
        output.line(f"Server {output.safe(server)} is stopped.")


def remove(
    ctx: typer.Context,
    server: ServerArgument,
    force: Annotated[
        bool, typer.Option("--force", "-f", help="Stop it first, if it runs.")
    ] = False,
    json: Json = False,
) -> None:
    """Remove a stopped server and its versions."""
    with session_of(ctx).connect() as client:
        request = {"server": server, "force": force, "wait": True}
        answer = client.call("servers.remove", request, timeout=END_SECONDS)
    if json:
        output.as_json(answer)
    else:
        output.line(f"Successfully removed server {output.safe(server)}.")


def rollback(
    ctx: typer.Context,
    server: ServerArgument,
    *,
    to: Annotated[
        int, typer.Option("--to", metavar="VERSION", help="Default: the one before.")
    ] = 0,
    background: Background = False,
    json: Json = False,
) -> None:
    """Roll out an earlier version again."""
    with session_of(ctx).connect(FollowingClient) as client:
        request = {"server": server, "version": to}
        info = server_follow.begin(client, "servers.rollback", request, background=background)
    if json:
        output.as_json(info)
    else:
        output.line(f"Server {output.safe(server)} runs version {info['version']}.")
