"""`logs`: the output of a run, whole, its end, as it comes, or in its own time."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from spice_engine.errors import InvalidRequest
from spice_tui.cli import output, values
from spice_tui.cli.follow_run import chunks_of, print_log
from spice_tui.cli.following import FollowingClient
from spice_tui.cli.log_replay import replay
from spice_tui.cli.output import Json
from spice_tui.cli.run import follow as follow_run
from spice_tui.cli.run_states import Standing
from spice_tui.cli.runs import stages_text
from spice_tui.cli.session import session_of
from spice_tui.cli.which_run import RunArgument, number_of


def logs(
    ctx: typer.Context,
    run: RunArgument,
    *,
    follow: Annotated[
        bool, typer.Option("--follow", "-f", help="Go on until the run has ended.")
    ] = False,
    tail: Annotated[
        int, typer.Option("--tail", "-n", help="Only the last lines; 0: everything.")
    ] = 0,
    delay: Annotated[
        bool, typer.Option("--delay", "-d", help="With the pauses that the run itself made.")
    ] = False,
    verbose: Annotated[
        bool, typer.Option("--verbose", "-v", help="Say on stderr how the run stands, and why.")
    ] = False,
    rank: Annotated[
        int | None,
        typer.Option(metavar="K", help="Only that rank of a distributed run, as it wrote it."),
    ] = None,
    json: Json = False,
) -> None:
    """Print the log of a run."""
    part = {} if rank is None else {"rank": rank}
    if tail < 0:
        raise typer.BadParameter("must be 0 or more.", param_hint="--tail")
    if json and (follow or delay):
        raise InvalidRequest(
            "--json gives one answer: no --follow, no --delay.", hint="Leave out one."
        )
    session = session_of(ctx)
    with session.connect(FollowingClient) as client:
        number = number_of(client, run)
        if json:
            chunks = (
                [_tail(client, number, tail, part)]
                if tail
                else list(chunks_of(client, number, 0, part))
            )
            text = "".join(chunk["text"] for chunk in chunks)
            output.as_json({"id": number, "size": chunks[-1]["size"], "text": text})
            return
        offset = 0
        if tail:
            chunk = _tail(client, number, tail, part)
            offset = chunk["offset"]
            if not delay:
                output.write(chunk["text"])
                offset = chunk["next"]
        if delay:
            offset = replay(client, number, offset, part)
        if follow:
            standing = Standing(verbose=verbose)
            follow_run(session, number, client, offset=offset, part=part, standing=standing)
            return
        if not tail and not delay and not print_log(client, number, offset, part):
            _tell_if_none(client.call("runs.get", {"id": number}))
    if verbose:
        with session.connect() as client:
            _tell(client.call("runs.get", {"id": number}))


def _tell_if_none(run: dict[str, Any]) -> None:
    """Say of a run without a process that there is nothing to read."""
    if not run["command"]:
        by = run["parent"] and f" Its code is that of run {run['parent']}."
        output.error_line(f"Run {run['id']} has no log: it has no process of its own.{by or ''}")


def _tell(run: dict[str, Any]) -> None:
    """Where a run stands, beside its log."""
    output.flush()
    parts = [values.status_text(run), run["message"], stages_text(run["stages"])]
    text = "; ".join(part for part in parts if part)
    output.error_line(output.safe(f"Run {run['id']}: {text}"))


def _tail(client: FollowingClient, number: int, lines: int, part: dict[str, Any]) -> dict[str, Any]:
    return client.call("runs.log", {"id": number, "tail": lines, **part})
