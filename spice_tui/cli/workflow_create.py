"""`workflow create`: a script that makes runs, as a run itself or here."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path
from typing import Annotated, Any

import typer

from spice_tui.cli import inside, output
from spice_tui.cli.creating import created
from spice_tui.cli.dependency_options import DEPENDENCIES
from spice_tui.cli.exit_codes import ExitCode
from spice_tui.cli.following import FollowingClient
from spice_tui.cli.git_options import GIT, commit_of
from spice_tui.cli.local_script import attended
from spice_tui.cli.option_table import with_options
from spice_tui.cli.output import Json
from spice_tui.cli.run import follow
from spice_tui.cli.run_options import asked_of, chosen_of, options, working_directory
from spice_tui.cli.run_states import Standing
from spice_tui.cli.session import Session, session_of
from spice_tui.cli.values import run_exit_code
from spice_tui.client import Client

_NAMES = ("name", "cwd", "env", "label", "project", "force", "machine_type", "mount", "description")


@with_options({**options(*_NAMES), **GIT, **DEPENDENCIES})
def create(
    ctx: typer.Context,
    *,
    command: Annotated[
        list[str],
        typer.Argument(
            metavar="COMMAND...",
            help="One quoted line goes to the shell; several words are run as they are.",
            show_default=False,
        ),
    ],
    local: Annotated[
        bool,
        typer.Option("--local", help="Run the script here, in this terminal, instead of as a run."),
    ] = False,
    repo: Annotated[
        list[str] | None,
        typer.Option(
            "--repo",
            "-r",
            metavar="LABEL=PATH[:COMMIT]",
            help="Code for its runs (`commit_label`): a folder, or a commit of it; repeat.",
        ),
    ] = None,
    github_repo: Annotated[
        list[str] | None,
        typer.Option(
            "--github-repo",
            metavar="LABEL=URL[:REF]",
            help="The same from any git repository elsewhere; repeat.",
        ),
    ] = None,
    background: Annotated[
        bool, typer.Option("--background", "-b", help="Print its number and leave.")
    ] = False,
    verbose: Annotated[
        bool, typer.Option("--verbose", "-v", help="Say on stderr what becomes of it, and why.")
    ] = False,
    given: dict[str, Any],
    json: Json = False,
) -> None:
    """Begin a workflow: a script that makes runs with `spice_runtime.client` or `spice-tui run`.

    Its runs get the folder as it is now, or the code of a `--repo`. They are stopped with it.
    """
    session = session_of(ctx)
    cwd = given.get("cwd", "")
    here, commit = working_directory(session, cwd), commit_of(session, given, cwd)
    request = {
        "command": command[0] if len(command) == 1 else command,
        "local": local,
        "repos": _repos(repo or [], github_repo or []),
        "cwd": inside.folder(here),
        **commit,
        **asked_of(given),
        **inside.workflow(),
    }
    if local:
        # The connection is held meanwhile: an engine that nobody uses would leave.
        with session.connect(make=True) as client:
            made = client.call("workflows.create", request | chosen_of(client, given))
            variables = client.call("workflows.variables", {"id": made["id"]})["variables"]
            code = _run_here(session, made, variables, {**request, "cwd": here})
        _finish(session, made["id"], code)
        raise typer.Exit(code)
    client = session.connect(FollowingClient, make=True)
    request |= chosen_of(client, given)
    client, made = created(session, client, "workflows.create", request)
    if background:
        client.close()
        if json:
            output.as_json(made)
        else:
            output.line(str(made["id"]))
        return
    say = output.error_line if verbose else output.note
    say(f"Workflow {made['id']} begins. Following it at run {made['run']}.")
    standing = Standing(verbose=verbose)
    ended = follow(session, made["run"], client, quiet=json, standing=standing)
    if json:
        with session.connect() as again:
            output.as_json(again.call("workflows.get", {"id": made["id"]}))
    raise typer.Exit(run_exit_code(ended))


def _repos(paths: list[str], addresses: list[str]) -> dict[str, str]:
    """Code by label; paths are from here on.

    Raises:
        typer.Exit: a label comes twice.
    """
    found: dict[str, str] = {}
    for texts, hint in ((paths, "--repo"), (addresses, "--github-repo")):
        for text in texts:
            label, equals, source = text.partition("=")
            if not label or not equals or not source:
                raise typer.BadParameter(f"{text!r} is not LABEL=PLACE.", param_hint=hint)
            if label in found:
                output.error_line(f"The label {output.safe(label)} is given twice.")
                raise typer.Exit(ExitCode.CONFLICT)
            found[label] = _absolute(source) if hint == "--repo" else source
    return found


def _absolute(source: str) -> str:
    """A path from here on as one from the root on, whatever commit follows it."""
    path = Path(source).expanduser()
    return str(path if path.is_absolute() else Path.cwd() / path)


def _run_here(
    session: Session, made: dict[str, Any], variables: dict[str, str], request: dict[str, Any]
) -> int:
    """Run the script in this terminal; its exit code."""
    output.note(f"Workflow {made['id']} begins here.")
    python_path = os.pathsep.join(
        part for part in (os.environ.get("PYTHONPATH", ""), variables["PYTHONPATH"]) if part
    )
    command = request["command"]
    try:
        with subprocess.Popen(
            ["/bin/sh", "-c", command] if isinstance(command, str) else command,
            cwd=request["cwd"],
            env={**os.environ, **variables, "PYTHONPATH": python_path, **request.get("env", {})},
        ) as script:
            code = attended(session, made["id"], script)
    except OSError as error:
        output.error_line(f"The script cannot be run: {error.strerror}: {command[0]}")
        return 127
    except KeyboardInterrupt:
        return ExitCode.INTERRUPTED
    return 128 - code if code < 0 else code


def _finish(session: Session, number: int, code: int) -> None:
    """Tell the engine how the script ended, unless the workflow was ended before."""
    with session.connect(Client) as client:
        state = client.call("workflows.get", {"id": number})["state"]
        if state in {"running", "stopping", "killing"}:
            client.call("workflows.finish", {"id": number, "exit_code": code})
