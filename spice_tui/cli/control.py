"""`stop`, `kill`, `archive`, `wait`: end runs, put them away, or see them end."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from spice_engine.errors import Conflict, NotFound, SpiceError
from spice_engine.protocol import run_states
from spice_engine.records import record
from spice_tui.cli import failures, output, values
from spice_tui.cli.follow_run import RunFollower
from spice_tui.cli.light import option
from spice_tui.cli.output import Json
from spice_tui.cli.session import session_of
from spice_tui.cli.which_run import RunArguments, numbers_of


@record
class Words:
    """What is said of one run, and of several: the verb, what is done to them, what comes of it."""

    one: str
    verb: str
    many: str
    then: str = ""
    refused: str = "Already finished"


STOP = Words(
    "Stopping run {0}. Use 'spice-tui logs -f {0}' to view logs while it finishes.",
    "stop",
    "stopping",
    " Any outputs will be saved.",
)
KILL = Words("{}", "kill", "killing")
ARCHIVE = Words(
    "Successfully archived run {}.", "archive", "archived", refused="Not over, or archived already"
)
BACK = Words("Run {} is listed again.", "unarchive", "listed again", refused="Not archived")

Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Say nothing but what went wrong.")]


def _numbers(ctx: typer.Context, runs: list[str]) -> list[int]:
    """Numbers of runs; an engine is asked only where a name is given."""
    try:
        return [values.run_number(run) for run in runs]
    except ValueError:
        with session_of(ctx).connect() as client:
            return numbers_of(client, runs)


def _act(
    ctx: typer.Context,
    operation: str,
    requests: list[dict[str, Any]],
    words: Words,
    *,
    quiet: bool,
    json: bool,
) -> None:
    """Call an operation once a run; one that fails does not keep the others from it.

    Raises:
        typer.Exit: with the exit code of the first that failed, after all were tried.
        SpiceError: the only one failed.
    """
    changed: list[dict[str, Any]] = []
    failed: list[tuple[int, SpiceError]] = []
    with session_of(ctx).connect() as client:
        for request in requests:
            try:
                changed.append(client.call(operation, request))
            except SpiceError as error:
                if len(requests) == 1:
                    raise
                failed.append((request["id"], error))
    if json:
        output.as_json(changed)
    elif quiet:
        for _, error in failed:
            failures.report(error)
    elif len(requests) == 1:
        output.line(words.one.format(changed[0]["id"]))
    else:
        output.line(f"Executing batch {words.verb}...")
        _tell_failed(failed, words.refused)
        if changed:
            numbers = ", ".join(str(run["id"]) for run in changed)
            output.line(f"| Successfully {words.many}: {numbers}.{words.then}")
    if failed:
        if json:
            for _, error in failed:
                failures.report(error)
        raise typer.Exit(failed[0][1].exit_code)


def _tell_failed(failed: list[tuple[int, SpiceError]], refused: str) -> None:
    for word, kind in ((refused, Conflict), ("Run ID does not exist", NotFound)):
        numbers = [str(number) for number, error in failed if isinstance(error, kind)]
        if numbers:
            output.line(f"| {word}: {', '.join(numbers)}")
    for number, error in failed:
        if not isinstance(error, Conflict | NotFound):
            output.line(f"| {number}: {output.safe(error.message)}")
    if failed:
        output.line("-" * 40)


def stop(
    ctx: typer.Context,
    runs: RunArguments,
    grace: Annotated[
        str, typer.Option(metavar="TIME", help="After this long it is killed: 30s, 2m.")
    ] = "10s",
    quiet: Quiet = False,
    json: Json = False,
) -> None:
    """Ask runs to end; what they wrote is kept."""
    seconds = option(grace, values.duration, "--grace")
    requests = [{"id": number, "grace": seconds} for number in _numbers(ctx, runs)]
    _act(ctx, "runs.stop", requests, STOP, quiet=quiet, json=json)


def kill(ctx: typer.Context, runs: RunArguments, quiet: Quiet = False, json: Json = False) -> None:
    """End runs at once; what they wrote is not kept."""
    _act(
        ctx,
        "runs.kill",
        [{"id": number} for number in _numbers(ctx, runs)],
        KILL,
        quiet=quiet,
        json=json,
    )


def archive(
    ctx: typer.Context,
    runs: RunArguments,
    undo: Annotated[bool, typer.Option("--undo", help="Take them back into lists.")] = False,
    quiet: Quiet = False,
    json: Json = False,
) -> None:
    """Put runs that are over away: lists leave them out, and nothing of them is removed."""
    requests = [{"id": number, "archived": not undo} for number in _numbers(ctx, runs)]
    _act(ctx, "runs.archive", requests, BACK if undo else ARCHIVE, quiet=quiet, json=json)


def wait(
    ctx: typer.Context,
    runs: RunArguments,
    state: Annotated[
        list[str] | None,
        typer.Option(
            "--state", metavar="STATE", help="Until each is in this state, or another; repeat."
        ),
    ] = None,
    metric: Annotated[
        str,
        typer.Option(metavar="'NAME OP VALUE'", help="Until a metric of each is so: < <= > >= ==."),
    ] = "",
    json: Json = False,
) -> None:
    """Wait until runs have ended; ends with the first exit code that is not 0.

    With --state or --metric it waits for that instead, and ends with 1 if a run can no longer get
    there.
    """
    if metric:
        from spice_tui.cli import wait_metric

        wait_metric.wait(session_of(ctx), _numbers(ctx, runs), metric, json=json)
        return
    wanted = {one.lower().replace(" ", "_") for one in state or ()}
    run_states.check(wanted)
    session = session_of(ctx)
    reached: list[dict[str, Any]] = []
    for number in _numbers(ctx, runs):
        follower = RunFollower(session, number, quiet=True)
        follower.until = wanted
        reached.append(follower.follow())
    if json:
        output.as_json(reached)
    else:
        for run in reached:
            output.line(f"{run['id']}  {values.status_text(run)}")
    if wanted:
        raise typer.Exit(int(any(run["state"] not in wanted for run in reached)))
    codes = [values.run_exit_code(run) for run in reached]
    raise typer.Exit(next((code for code in codes if code), 0))
