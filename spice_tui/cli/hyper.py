"""`hyper`: searches over parameters, whose trials are runs or trainings of a pod."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from typing import Annotated, Any

import typer

from spice_tui.cli import inside, output
from spice_tui.cli.creating import created
from spice_tui.cli.following import FollowingClient
from spice_tui.cli.groups import group
from spice_tui.cli.hyper_follow import SearchFollower, exit_code
from spice_tui.cli.hyper_options import RUN, SEARCH, request_of
from spice_tui.cli.lazy import Entry
from spice_tui.cli.option_table import with_options
from spice_tui.cli.output import Json
from spice_tui.cli.session import session_of

COMMANDS: dict[str, Entry] = {
    **{
        name: Entry("hyper", name, summary, stops_at_command=True, files=True)
        for name, summary in (
            ("grid", "Try every combination of values."),
            ("random", "Try values drawn by chance."),
            ("bayesian", "Try what earlier trials make likely to be good (Optuna's TPE)."),
        )
    },
    "list": Entry("hyper_show", "list_searches", "List the searches."),
    "describe": Entry("hyper_show", "describe", "Show a search and its trials."),
    "importance": Entry("hyper_show", "importance", "Show which parameters matter."),
    "wait": Entry("hyper_show", "wait", "Follow a search to its end."),
    "stop": Entry("hyper_control", "stop", "End searches; their runs keep their outputs."),
    "kill": Entry("hyper_control", "kill", "End searches and their runs at once."),
    "archive": Entry("hyper_control", "archive", "Take searches that are over out of the list."),
    "download-metrics": Entry(
        "hyper_control", "download_metrics", "Write the metrics of all trials as CSV."
    ),
    "export": Entry("hyper_export", "export", "Write a search as a Python script."),
}

app = group("Search over the parameters of a command or of a pod.", COMMANDS)

Command = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="COMMAND...",
        help="What each trial runs: one quoted line goes to the shell.",
        show_default=False,
    ),
]
Wait = Annotated[bool, typer.Option("--wait", "-w", help="Follow it to its end.")]


def _method(name: str, summary: str) -> Callable[..., None]:
    """The command that starts a search of one kind."""

    def start(
        ctx: typer.Context,
        *,
        command: Command = None,
        given: dict[str, Any],
        wait: Wait = False,
        json: Json = False,
    ) -> None:
        _start(ctx, name, command, given, wait=wait, json=json)

    start.__name__, start.__doc__ = name, summary
    return with_options({**SEARCH, **RUN})(start)


grid = _method("grid", "Try every combination of the values of the parameters.")
random = _method("random", "Try values of the parameters drawn by chance, each for itself.")
bayesian = _method("bayesian", "Try what earlier trials make likely to be good, by Optuna's TPE.")


def _start(
    ctx: typer.Context,
    method: str,
    command: list[str] | None,
    given: dict[str, Any],
    *,
    wait: bool,
    json: bool,
) -> None:
    session = session_of(ctx)
    with contextlib.ExitStack() as stack:
        client = stack.enter_context(session.connect(FollowingClient, make=True))
        request = request_of(session, client, method, command or (), given)
        client, search = created(session, client, "searches.start", inside.searched(request))
        stack.callback(client.close)
        if wait:
            stack.pop_all()  # it goes on to follow
    number = int(search["id"])
    _tell(search, wait=wait, json=json)
    if not wait:
        return
    ended = SearchFollower(session, number, quiet=json).follow(client)
    if json:
        output.as_json(ended)
    raise typer.Exit(exit_code(ended))


def _tell(search: dict[str, Any], *, wait: bool, json: bool) -> None:
    """Say that a search began."""
    number = search["id"]
    if json:
        if not wait:
            output.as_json(search)
        return
    if not wait and not output.is_terminal():
        output.line(str(number))
        return
    sign = "\U0001f4ab " if output.has_unicode() else ""
    output.line(f"{sign}Casting hyperparameter search #{number}…")
    if not wait:
        output.line(
            f"Its trials: spice-tui hyper describe {number}   Follow it: "
            f"spice-tui hyper wait {number}   Stop it: spice-tui hyper stop {number}"
        )
