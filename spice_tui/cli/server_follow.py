"""Ask for a server, or a new version of one, and wait until it runs or has failed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import typer

from spice_engine.errors import ChildFailed, EngineUnavailable
from spice_tui.cli import output, server_logs
from spice_tui.cli.exit_codes import ExitCode
from spice_tui.cli.following import FollowingClient
from spice_tui.client import Event

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
    if background:
        return client.call(operation, {**request, "wait": False}, timeout=SECONDS)
    try:
        return wait(client, operation, request)
    except KeyboardInterrupt:
        name = _name(request)
        output.error_line(
            f"\nServer {name} goes on. Look again: spice-tui server status {name}   "
            f"Its logs: spice-tui server logs -f {name}"
        )
        raise typer.Exit(ExitCode.INTERRUPTED) from None


def wait(client: FollowingClient, operation: str, request: Mapping[str, Any]) -> dict[str, Any]:
    """The same, always waiting; Control-C is left to the caller.

    Raises:
        SpiceError: it is refused, or does not get ready.
    """
    name = _name(request)
    client.subscribe(TOPIC)
    progress = Progress(name)
    try:
        info = client.call_watching(operation, {**request, "wait": True}, progress)
    except EngineUnavailable as error:
        raise EngineUnavailable(
            f"the engine went away meanwhile ({error.message.rstrip('.')}).",
            hint=f"The server goes on: spice-tui server status {name}.",
        ) from error
    # One that is stopped takes a new version along when it starts; what became of the last
    # rollout says nothing about a start.
    try:
        check(info, stopped=operation in {"servers.update", "servers.rollback"})
    except ChildFailed as error:
        raise ChildFailed(error.message, hint=_hint(client, name, info)) from None
    return info


def _hint(client: FollowingClient, name: str, info: Mapping[str, Any]) -> str:
    """Where more is said: in the log of the pod that ended last."""
    logged = server_logs.logged_pods(client, name)
    if not logged:
        return f"More: spice-tui server describe {name}"
    running = {pod["number"] for pod in info["replicas"]}
    ended = [number for number in logged if number not in running]
    pod = f" -p {ended[-1]}" if ended and running else ""
    return f"Its log: spice-tui server logs {name}{pod}"


def standing(info: Mapping[str, Any]) -> str:
    """How a server stands after it was asked for something."""
    name = output.safe(info["name"])
    if info["state"] == "stopped":
        return f"Server {name} is stopped; version {info['version']} runs once it is started."
    pods = f"{info['pods_ready']}/{info['pods_wanted']}"
    return f"Server {name} runs ({pods} pods): {info['url']}"


def _name(request: Mapping[str, Any]) -> str:
    return str(request.get("server") or request["definition"]["name"])


def check(info: Mapping[str, Any], *, stopped: bool) -> None:
    """Tell why a server does not run as was asked; with `stopped` it need not run.

    Raises:
        ChildFailed: it failed, was rolled back or stopped; the message says why.
    """
    name, rollout = info["name"], info.get("rollout") or {}
    if info["state"] == "stopped" and stopped:
        return
    if info["state"] in {"failed", "failing", "stopped"}:
        why = reason(info["message"] or rollout.get("message"))
        state = "has failed" if info["state"] == "failed" else f"is {info['state']}"
        raise ChildFailed(f"server {name} {state}: {why}")
    if stopped and rollout.get("state") in {"rolled back", "failed"}:
        ended = "was rolled back" if rollout["state"] == "rolled back" else "failed"
        why = reason(rollout["message"] or info["message"])
        raise ChildFailed(f"version {rollout['to_version']} of server {name} {ended}: {why}")


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
        output.line(standing(info))


def reason(text: str | None) -> str:
    """Why, in one line; a traceback, or a process's last words, are printed above it."""
    text = text or "no reason is known"
    if output.json_wanted():
        return text
    headline, others = parted(text)
    for line in others:
        output.error_line(output.safe(line))
    return headline.removesuffix("; its last words:")


def parted(text: str) -> tuple[str, list[str]]:
    """The line of a reason that says it, and the others: what was printed, or where it was."""
    first, *others = text.splitlines() or [""]
    if others and (first.startswith("  File ") or first.startswith("Traceback ")):
        return others[-1].strip(), [first, *others[:-1]]
    return first.strip(), others


class Progress:
    """Tells, on a terminal, what one server waits for: each thing once."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._told = ""

    def __call__(self, topic: str, event: Event) -> None:
        if topic != TOPIC or not isinstance(event.data, dict):
            return
        found = event.data if event.kind == "snapshot" else event.data.get("set", {})
        if self._name not in found:
            return
        info = found[self._name]
        pods = (pod["message"] for pod in reversed(info["replicas"]) if pod["message"])
        text = info["message"] or next(pods, "")
        state = f"{info['state'].capitalize()}{': ' + text if text else ''}"
        if state != self._told:
            self._told = state
            output.note(state)
