"""Ask for a server, or a new version of one, and wait until it runs or has failed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import typer

from spice_engine.errors import ChildFailed, EngineUnavailable
from spice_tui.cli import output
from spice_tui.cli.exit_codes import ExitCode
from spice_tui.cli.following import FollowingClient

TOPIC = "servers"
SECONDS = 120.0
"""For the engine's answer: what is to be served is checked, copied and stored before it."""


def serve(
    client: FollowingClient, definition: Mapping[str, Any], *, background: bool, as_json: bool
) -> None:
    """Stand a server up.

    Raises:
        SpiceError: it is refused, or does not get ready; the message says why.
        typer.Exit: with 130, at Control-C.
    """
    if not as_json:
        output.line(f"Starting server {output.safe(definition['name'])}...")
        output.flush()
    _ask(client, "servers.serve", {"definition": dict(definition)}, background, as_json)


def update(
    client: FollowingClient, request: Mapping[str, Any], *, background: bool, as_json: bool
) -> None:
    """Roll out a new version.

    Raises:
        SpiceError: it is refused, or was rolled back; the message says why.
        typer.Exit: with 130, at Control-C.
    """
    if not as_json:
        output.line(f"Updating server {output.safe(request['server'])}...")
        output.flush()
    _ask(client, "servers.update", request, background, as_json)


def begin(
    client: FollowingClient, operation: str, request: Mapping[str, Any], *, background: bool
) -> dict[str, Any]:
    """Ask for something that ends in a running server; gives the server as it is then.

    Raises:
        SpiceError: it is refused, or does not get ready.
        typer.Exit: with 130, at Control-C.
    """
    client.subscribe(TOPIC)
    asked = client.call(operation, request, timeout=SECONDS)
    if background:
        return asked
    name = asked["name"]
    try:
        return Waiting(client, name, asked["version"]).until_ready(asked)
    except KeyboardInterrupt:
        output.error_line(
            f"\nServer {name} goes on. Look again: spice-tui server status {name}   "
            f"Its logs: spice-tui server logs -f {name}"
        )
        raise typer.Exit(ExitCode.INTERRUPTED) from None


def _ask(
    client: FollowingClient,
    operation: str,
    request: Mapping[str, Any],
    background: bool,
    as_json: bool,
) -> None:
    info = begin(client, operation, request, background=background)
    if as_json:
        output.as_json(info)
    elif not background:
        pods = f"{info['pods_ready']}/{info['pods_wanted']}"
        output.line(f"Server {output.safe(info['name'])} runs ({pods} pods): {info['url']}")


class Waiting:
    """Waits for one version of one server."""

    def __init__(self, client: FollowingClient, name: str, version: int) -> None:
        self._client = client
        self._name = name
        self._version = version
        self._told = ""

    def until_ready(self, info: dict[str, Any]) -> dict[str, Any]:
        """The server once the version runs.

        Raises:
            ChildFailed: it failed, was rolled back or stopped; the message says why.
        """
        while not self._is_over(info):
            self._tell(info)
            topic, event = self._client.next_event()
            if topic != TOPIC:
                continue
            if event.kind == "gap":
                info = self._client.call("servers.get", {"server": self._name})["info"]
                continue
            found = event.data if event.kind == "snapshot" else event.data.get("set", {})
            if self._name in found:
                info = found[self._name]
            elif event.kind == "snapshot" or self._name in event.data.get("del", ()):
                raise EngineUnavailable(f"server {self._name} was removed meanwhile.")
        return info

    def _is_over(self, info: dict[str, Any]) -> bool:
        name, rollout = self._name, info.get("rollout") or {}
        if info["version"] > self._version or rollout.get("to_version", 0) > self._version:
            raise ChildFailed(f"server {name}: another update took the place of this one.")
        mine = rollout.get("to_version") == self._version
        if mine and rollout["state"] in {"rolled back", "failed"}:
            reason = rollout["message"] or info["message"] or "no reason is known"
            raise ChildFailed(
                f"version {self._version} of server {name} {_ended(rollout['state'])}: {reason}",
                hint=f"Its logs: spice-tui server logs {name}",
            )
        if info["state"] in {"failed", "stopped"}:
            raise ChildFailed(
                f"server {name} is {info['state']}: {info['message'] or 'no reason is known'}",
                hint=f"Its logs: spice-tui server logs {name}",
            )
        return info["state"] == "running" and (not mine or rollout["state"] == "done")

    def _tell(self, info: dict[str, Any]) -> None:
        """What it waits for, once each."""
        text = info["message"] or next(
            (pod["message"] for pod in reversed(info["replicas"]) if pod["message"]), ""
        )
        state = f"{info['state'].capitalize()}{': ' + text if text else ''}"
        if state != self._told:
            self._told = state
            output.note(state)


def _ended(state: str) -> str:
    return "was rolled back" if state == "rolled back" else "failed"
