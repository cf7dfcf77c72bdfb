"""`tensorboard`: a pod's curves in the browser."""

from __future__ import annotations

import os
import sys
import webbrowser
from typing import Annotated

import typer

from spice_tui.cli import output
from spice_tui.cli.output import Json
from spice_tui.cli.pod_argument import PodArgument
from spice_tui.cli.session import session_of

TIMEOUT_SECONDS = 90.0
"""TensorBoard takes seconds to start, and longer on a busy machine."""


def tensorboard(
    ctx: typer.Context,
    pod: PodArgument,
    *,
    training: Annotated[
        int | None, typer.Option(metavar="N", min=1, help="This one alone; default: all.")
    ] = None,
    browser: Annotated[
        bool, typer.Option("--browser/--no-browser", help="Also open it in a browser.")
    ] = True,
    json: Json = False,
) -> None:
    """Show the curves of a pod's trainings in TensorBoard, which is started where it does not run.

    It shows trainings with `loggers: [tensorboard]` in the manifest, and ends with the engine.
    """
    with session_of(ctx).connect() as client:
        request = {"pod": pod, "number": training}
        found = client.call("pods.tensorboard", request, timeout=TIMEOUT_SECONDS)
    if json:
        output.as_json(found)
        return
    output.line(found["url"])
    if browser and sys.stdout.isatty() and _has_display():
        webbrowser.open(found["url"])


def _has_display() -> bool:
    """Whether a browser would be seen: over SSH one in the terminal would take it over."""
    if sys.platform == "darwin":
        return "SSH_CONNECTION" not in os.environ
    return bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"))
