"""`tensorboard`: the curves of a pod, or what runs wrote for it, in the browser."""

from __future__ import annotations

import os
import sys
import webbrowser
from typing import Annotated
from urllib.parse import urlsplit

import typer

from spice_engine.errors import InvalidRequest
from spice_tui.cli import completion, output
from spice_tui.cli.forwarding import forward
from spice_tui.cli.output import Json
from spice_tui.cli.session import session_of
from spice_tui.cli.which_run import numbers_of
from spice_tui.client import Client

TIMEOUT_SECONDS = 90.0
"""TensorBoard takes seconds to start, and longer on a busy machine."""


def tensorboard(
    ctx: typer.Context,
    what: Annotated[
        list[str],
        typer.Argument(
            metavar="POD|RUN...",
            help="A pod, or numbers or names of runs.",
            autocompletion=completion.pods,
        ),
    ],
    *,
    training: Annotated[
        str, typer.Option(metavar="N", help="Of a pod, this training alone; default: all.")
    ] = "",
    port: Annotated[
        str, typer.Option(metavar="PORT", help="Of runs: listen on this one; default: a free one.")
    ] = "",
    browser: Annotated[
        bool, typer.Option("--browser/--no-browser", help="Also open it in a browser.")
    ] = True,
    json: Json = False,
) -> None:
    """Show the curves of a pod's trainings, or what runs wrote, in TensorBoard.

    Of a pod it shows trainings with `loggers: [tensorboard]` in the manifest, and ends with the
    engine. Of runs it shows the event files of their `--tensorboard-dir`, or of all they wrote,
    as they come, until Control-C.
    """
    with session_of(ctx).connect() as client:
        if _is_pod(client, what):
            if port:
                raise typer.BadParameter("is for runs.", param_hint="--port")
            request = {"pod": what[0], "number": _number(training, "--training", 1, 2**31)}
            url = client.call("pods.tensorboard", request, timeout=TIMEOUT_SECONDS)["url"]
            if json:
                output.as_json({"url": url})
            else:
                output.line(url)
                _open(url, wanted=browser)
            return
        if training:
            raise typer.BadParameter("is for a pod.", param_hint="--training")
        from spice_tui.cli.run_board import RunBoard

        board = RunBoard(client, numbers_of(client, what))
        with board.shown(_number(port, "--port", 1, 65535)) as url:
            if json:
                output.as_json({"url": url})
            else:
                output.line(url)
                line = forward(urlsplit(url).port or 0)
                output.note(f"From another machine: {line}, then open the address there.")
                output.note("Control-C ends it.")
                _open(url, wanted=browser)
            output.flush()
            board.wait()


def _is_pod(client: Client, what: list[str]) -> bool:
    pods = {one["name"] for one in client.call("pods.list")["pods"]}
    if len(what) > 1 and any(one in pods for one in what):
        raise InvalidRequest(
            "one pod or several runs, not both.", hint="Ask for one after another."
        )
    return len(what) == 1 and what[0] in pods


def _number(text: str, flag: str, least: int, most: int) -> int | None:
    if not text:
        return None
    if not text.isdecimal() or not least <= int(text) <= most:
        raise typer.BadParameter(f"{text!r} is not between {least} and {most}.", param_hint=flag)
    return int(text)


def _open(url: str, *, wanted: bool) -> None:
    """Open it where a browser would be seen: over SSH one in the terminal would take it over."""
    if not wanted or not sys.stdout.isatty():
        return
    if sys.platform == "darwin":
        seen = "SSH_CONNECTION" not in os.environ
    else:
        seen = bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"))
    if seen:
        webbrowser.open(url)
