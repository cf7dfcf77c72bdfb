"""`run`: start a command and follow its log to its end."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from typing import Annotated, Any

import typer

from spice_tui.cli import inside, output, values
from spice_tui.cli.creating import created
from spice_tui.cli.dependency_options import DEPENDENCIES, ENV_OF, lock_of
from spice_tui.cli.exit_codes import ExitCode
from spice_tui.cli.follow_run import RunFollower
from spice_tui.cli.following import FollowingClient
from spice_tui.cli.git_options import GIT, commit_of
from spice_tui.cli.life_options import LIFE, life_of, warn_unused
from spice_tui.cli.metric_options import METRICS, metrics_of
from spice_tui.cli.option_table import with_options
from spice_tui.cli.output import Json
from spice_tui.cli.run_options import RUN, asked_of, chosen_of, working_directory
from spice_tui.cli.run_states import Standing, beginning
from spice_tui.cli.session import Session, session_of


@with_options({**RUN, **LIFE, **METRICS, **GIT, **DEPENDENCIES, **ENV_OF})
def run(
    ctx: typer.Context,
    *,
    command: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="COMMAND...",
            help="One quoted line goes to the shell; several words are run as they are.",
            show_default=False,
        ),
    ] = None,
    in_place: Annotated[
        bool,
        typer.Option("--in-place", help="Run in the folder itself, not in a copy as it is now."),
    ] = False,
    background: Annotated[
        bool, typer.Option("--background", "-b", help="Print its number and leave.")
    ] = False,
    verbose: Annotated[
        bool, typer.Option("--verbose", "-v", help="Say on stderr what becomes of it, and why.")
    ] = False,
    given: dict[str, Any],
    json: Json = False,
) -> None:
    """Run a command and follow its log; ends with the command's own exit code.

    It runs in a copy of the folder as it is now, without what .gitignore and .spiceignore name;
    what it makes or changes there is kept as its outputs (`spice-tui ls runs/N`). Control-C leaves
    the run running. Without a command the engine itself runs here, in the foreground, as
    `spice run` did.
    """
    session = session_of(ctx)
    if not command:
        from spice_tui.cli.serve import serve

        output.error_line(
            "No command given: the engine runs here in the foreground, as `spice run` did "
            "(`spice-tui run COMMAND` starts a run)."
        )
        serve(session, [])
    cwd = given.get("cwd", "")
    commit = commit_of(session, given, cwd)
    request = {
        "command": command[0] if len(command) == 1 else command,
        "cwd": commit["cwd"] if "cwd" in commit else working_directory(session, cwd),
        "in_place": in_place,
        **asked_of(given),
        **{name: commit[name] for name in ("git", "git_ref") if name in commit},
    }
    with contextlib.ExitStack() as stack:
        client = stack.enter_context(session.connect(FollowingClient, make=True))
        request |= chosen_of(client, given)
        request |= lock_of(client, given)
        request |= metrics_of(given) | life_of(client, given)
        warn_unused(request.get("params", {}), request["command"])
        client, started = created(session, client, *inside.joined(request))
        stack.pop_all()  # it goes on to follow
    see_to_end(session, client, started, background=background, json=json, verbose=verbose)


def see_to_end(
    session: Session,
    client: FollowingClient,
    started: dict[str, Any],
    *,
    background: bool,
    json: bool,
    verbose: bool = False,
) -> None:
    """Say that a run started and follow it; with `background`, only the first.

    Raises:
        typer.Exit: with the exit code of the run.
    """
    number = int(started["id"])
    if started.get("existed"):
        sign = "\u267b\ufe0f " if output.has_unicode() else ""
        output.error_line(f"{sign}Idempotent: Found existing run {number}")
    if background:
        client.close()
        if json:
            output.as_json(started)
        elif output.is_terminal():
            output.line(f"{beginning(started)} Its log: spice-tui logs -f {number}")
        else:
            output.line(str(number))
        return
    say = output.error_line if verbose else output.note
    say(f"{beginning(started)} Control-C stops following, not the run.")
    standing = Standing(started, verbose=verbose)
    ended = follow(session, number, client, quiet=json, standing=standing)
    if json:
        output.as_json(ended)
    raise typer.Exit(values.run_exit_code(ended))


def follow(
    session: Session,
    number: int,
    client: FollowingClient | None = None,
    *,
    quiet: bool = False,
    offset: int = 0,
    part: Mapping[str, Any] | None = None,
    standing: Standing,
) -> dict[str, Any]:
    """Follow run `number` to its end and tell how it ended; Control-C only detaches. `part` is
    which of its logs: that of a rank. `standing` says what becomes of it meanwhile.

    Raises:
        typer.Exit: with 130, at Control-C.
    """
    follower = RunFollower(session, number, quiet=quiet)
    follower.offset, follower.part, follower.on_state = offset, part or {}, standing.tell
    try:
        ended = follower.follow(client)
    except KeyboardInterrupt:
        output.error_line(
            f"\nRun {number} goes on. Look again: spice-tui logs -f {number}   "
            f"Stop it: spice-tui stop {number}   Kill it: spice-tui kill {number}"
        )
        raise typer.Exit(ExitCode.INTERRUPTED) from None
    standing.end(ended, quiet=quiet)
    return ended
