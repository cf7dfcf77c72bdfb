"""`run`: start a command and follow its log to its end."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from spice_tui.cli import completion, inside, output, values
from spice_tui.cli.dependency_options import DEPENDENCIES, ENV_OF, dependencies_of, lock_of
from spice_tui.cli.exit_codes import ExitCode
from spice_tui.cli.follow_run import RunFollower
from spice_tui.cli.following import FollowingClient
from spice_tui.cli.git_options import GIT, commit_of
from spice_tui.cli.life_options import LIFE, life_of, warn_unused
from spice_tui.cli.light import option
from spice_tui.cli.metric_options import METRICS, metrics_of
from spice_tui.cli.option_table import with_options
from spice_tui.cli.output import Json
from spice_tui.cli.session import Session, expand, session_of
from spice_tui.cli.values import minutes


@with_options({**LIFE, **METRICS, **GIT, **DEPENDENCIES, **ENV_OF})
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
    name: Annotated[str, typer.Option(help="A name to find it by.")] = "",
    cwd: Annotated[
        str, typer.Option(metavar="DIR", help="Where it runs; default: here, inside the folder.")
    ] = "",
    env: Annotated[
        list[str] | None,
        typer.Option("--env", "-e", metavar="KEY=VALUE", help="Environment variable; repeat."),
    ] = None,
    label: Annotated[list[str] | None, typer.Option("--label", "-l", help="Label; repeat.")] = None,
    project: Annotated[
        str,
        typer.Option(
            "--project",
            "-p",
            metavar="NAME",
            help="The project it is in; asks to make one that is missing.",
            autocompletion=completion.projects,
        ),
    ] = "",
    force: Annotated[bool, typer.Option("--force", "-f", help="Do not ask: go on.")] = False,
    timeout: Annotated[
        str,
        typer.Option(metavar="TIME", help="Stop it after this long: 90s, 2h; bare: minutes."),
    ] = "",
    cpu: Annotated[float | None, typer.Option(metavar="CORES", help="CPU limit.")] = None,
    memory: Annotated[str, typer.Option(metavar="SIZE", help="Memory limit: 512M, 2G.")] = "",
    machine_type: Annotated[
        str,
        typer.Option(
            "--machine-type",
            "-t",
            metavar="NAME",
            help="What it runs on; it waits until one is free. Default: cpu.",
            autocompletion=completion.machine_types,
        ),
    ] = "",
    mount: Annotated[
        list[str] | None,
        typer.Option(
            "--mount",
            "-m",
            metavar="RESOURCE[:PATH]",
            help="Show a resource, read-only, at a path in the run's folder or from / on; repeat.",
        ),
    ] = None,
    description: Annotated[
        str, typer.Option("--description", "-d", metavar="TEXT", help="A note.")
    ] = "",
    in_place: Annotated[
        bool,
        typer.Option("--in-place", help="Run in the folder itself, not in a copy as it is now."),
    ] = False,
    distributed: Annotated[
        str,
        typer.Option(
            metavar="N",
            help="Start it N times at once, with the variables of torchrun, each on a machine of "
            "the type; the outputs of rank 0 are kept.",
        ),
    ] = "",
    background: Annotated[
        bool, typer.Option("--background", "-b", help="Print its number and leave.")
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
    commit = commit_of(session, given, cwd)
    request = {
        "command": command[0] if len(command) == 1 else command,
        "name": name,
        "cwd": commit["cwd"] if "cwd" in commit else working_directory(session, cwd),
        "env": dict(variable(item) for item in env or []),
        "labels": label or [],
        "timeout": option(timeout, minutes, "--timeout") if timeout else None,
        "cpu": cpu,
        "memory": option(memory, values.size, "--memory") if memory else None,
        "mounts": mount or [],
        "description": description,
        "in_place": in_place,
        "distributed": option(distributed, ranks, "--distributed") if distributed else 0,
        "dependencies": dependencies_of(given) or None,
        "git": commit.get("git", ""),
        "git_ref": commit.get("git_ref", ""),
    }
    with contextlib.ExitStack() as stack:
        client = stack.enter_context(session.connect(FollowingClient, make=True))
        if machine_type:
            from spice_tui.cli.machine_type import chosen

            request["machine_type"] = chosen(client, machine_type)
        request |= lock_of(client, given)
        if project:
            from spice_tui.cli import project as projects

            request["project"] = projects.chosen(client, project, force=force)
        request |= metrics_of(given) | life_of(client, given)
        warn_unused(request.get("params", {}), request["command"])
        started = client.call(*inside.joined(request))
        stack.pop_all()  # it goes on to follow
    see_to_end(session, client, started, background=background, json=json)


def see_to_end(
    session: Session,
    client: FollowingClient,
    started: dict[str, Any],
    *,
    background: bool,
    json: bool,
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
    output.note(f"{beginning(started)} Control-C stops following, not the run.")
    ended = follow(session, number, client, quiet=json)
    if json:
        output.as_json(ended)
    raise typer.Exit(values.run_exit_code(ended))


def beginning(run: dict[str, Any]) -> str:
    """That the run started, or what it waits for."""
    told = run["state"] in {"queued", "building", "mounting"}
    return f"Run {run['id']} {run['message'] if told else 'started.'}"


def ranks(text: str) -> int:
    """A number of ranks.

    Raises:
        ValueError: it is none.
    """
    if not text.isdecimal() or int(text) < 1:
        raise ValueError(f"{text!r} is no number of ranks: 1 or more.")
    return int(text)


def variable(text: str) -> tuple[str, str]:
    """`KEY=VALUE`, or `KEY` for an empty value."""
    key, _, value = text.partition("=")
    if not key:
        raise typer.BadParameter(f"{text!r} is not KEY=VALUE.", param_hint="--env")
    return key, value


def working_directory(session: Session, wanted: str) -> str:
    """The directory the run starts in, as an absolute path."""
    here = Path.cwd()
    if wanted:
        path = (here / expand(wanted)).resolve()
        if not path.is_dir():
            raise typer.BadParameter(f"{wanted!r} is not a directory.", param_hint="--cwd")
        return str(path)
    root = session.location.root
    return str(here.resolve() if here.resolve().is_relative_to(root) else root)


def follow(
    session: Session,
    number: int,
    client: FollowingClient | None = None,
    *,
    quiet: bool = False,
    offset: int = 0,
    part: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """Follow run `number` to its end and tell how it ended; Control-C only detaches. `part` is
    which of its logs: that of a rank.

    Raises:
        typer.Exit: with 130, at Control-C.
    """
    follower = RunFollower(session, number, quiet=quiet)
    follower.offset, follower.part = offset, part or {}
    try:
        ended = follower.follow(client)
    except KeyboardInterrupt:
        output.error_line(
            f"\nRun {number} goes on. Look again: spice-tui logs -f {number}   "
            f"Stop it: spice-tui stop {number}   Kill it: spice-tui kill {number}"
        )
        raise typer.Exit(ExitCode.INTERRUPTED) from None
    message = f"Run {number}: {values.status_text(ended)}."
    if ended.get("message"):
        message += f" {ended['message']}"
    if resumed := ended.get("resumed_as"):
        message += f" Run {resumed} goes on with its files: spice-tui logs -f {resumed}"
    if ended.get("exit_code") is None and not quiet:
        output.error_line(message)  # its command tells nothing of that
    else:
        output.note(message)
    return ended
