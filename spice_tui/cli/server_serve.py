"""`server serve` and `server update`: new servers, and new versions of them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

import typer

from spice_engine.errors import ChildFailed
from spice_tui.cli import completion, output, server_apply, server_flags, server_follow
from spice_tui.cli.following import FollowingClient
from spice_tui.cli.option_table import with_options
from spice_tui.cli.output import Json
from spice_tui.cli.server_arguments import Background, ServerArgument
from spice_tui.cli.server_sources import inside, name_of, sources, tag, type_of
from spice_tui.cli.session import session_of

DryRun = Annotated[bool, typer.Option("--dry-run", help="Only say what would be done.")]
Validate = Annotated[
    bool,
    typer.Option("--validate", help="First import the class in its environment and check it."),
]

CHECK_SECONDS = 3600.0
"""For making the environment and checking the class in it."""


@with_options(server_flags.FLAGS)
def serve(
    ctx: typer.Context,
    model: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="MODEL:VERSION",
            help="Models, below /model.",
            show_default=False,
            autocompletion=completion.models,
        ),
    ] = None,
    *,
    entrypoint: Annotated[
        str,
        typer.Argument(
            metavar="ENTRYPOINT",
            help="The Python file with the Predictor; a model, where none is needed.",
            autocompletion=completion.models_and_scripts,
        ),
    ],
    name: Annotated[str, typer.Option("--name", help="Its name; default: that of its model.")] = "",
    validate: Validate = False,
    dry_run: DryRun = False,
    background: Background = False,
    json: Json = False,
    given: Mapping[str, Any],
) -> None:
    """Stand a server up, and wait until it runs.

    A pod's policy needs no file: server serve POD:latest. Control-C stops waiting, not the server.
    """
    session = session_of(ctx)
    changed = server_flags.changes(given)
    words = [*(model or []), entrypoint]
    kind, elsewhere = str(changed.get("type", "")), "git" in changed
    models, file = sources(session, words, kind, elsewhere=elsewhere)
    definition = {
        **changed,
        "name": name or name_of(models),
        "models": models,
        "entrypoint": file,
    }
    with session.connect(FollowingClient, make=True) as client:
        if not file and "type" not in changed:
            definition["type"] = type_of(client, models)
        if validate:
            check(client, definition, quiet=json)
        if dry_run:
            plan = client.call("servers.plan", {"definitions": [definition]})
            server_apply.show_plan(plan, as_json=json)
            return
        server_follow.serve(client, definition, background=background, as_json=json)


@with_options(server_flags.FLAGS)
def update(
    ctx: typer.Context,
    server: ServerArgument,
    *,
    model: Annotated[
        list[str] | None,
        typer.Option(
            "--model", metavar="NAME:VERSION", help="Its models from now on, all; repeat."
        ),
    ] = None,
    entrypoint: Annotated[
        str, typer.Option(metavar="FILE", help="The Python file with the Predictor.")
    ] = "",
    update_repo: Annotated[
        bool, typer.Option("--update-repo", help="Take the app folder's files as they are now.")
    ] = False,
    update_spell_version: Annotated[
        bool, typer.Option("--update-spell-version", help="Does nothing here.", hidden=True)
    ] = False,
    validate: Validate = False,
    dry_run: DryRun = False,
    background: Background = False,
    json: Json = False,
    given: Mapping[str, Any],
) -> None:
    """Roll out a new version without a pause; what is not named stays as it is."""
    session = session_of(ctx)
    changed = server_flags.changes(given)
    if model:
        changed["models"] = [tag(item) for item in model]
    if entrypoint:
        elsewhere = "git" in changed
        changed["entrypoint"] = entrypoint if elsewhere else inside(session, entrypoint)
    code = update_repo or update_spell_version or bool(entrypoint)
    if not changed and not code:
        raise typer.BadParameter("give at least one option that changes something.", ctx=ctx)
    with session.connect(FollowingClient) as client:
        if validate or dry_run:
            now = client.call("servers.get", {"server": server})["definition"]
            definition = merged(now, changed)
            if validate:
                check(client, definition, quiet=json)
            if dry_run:
                plan = client.call("servers.plan", {"definitions": [definition]})
                server_apply.show_plan(plan, as_json=json)
                return
        request = {"server": server, "changes": changed, "code": code}
        server_follow.update(client, request, background=background, as_json=json)


def merged(definition: Mapping[str, Any], changed: Mapping[str, Any]) -> dict[str, Any]:
    """A definition with changed fields, those of its parts one by one."""
    made = dict(definition)
    for name, value in changed.items():
        part = made.get(name)
        nested = name in {"dependencies", "batching", "scaling", "limits", "door"}
        made[name] = {**part, **value} if nested and isinstance(part, dict) else value
    return made


def check(client: Any, definition: Mapping[str, Any], *, quiet: bool) -> None:
    """Import the class in its environment and look at it, before anything is served.

    Raises:
        SpiceError: it cannot be imported, or is no predictor; the message says why.
    """
    request = {"definition": dict(definition)}
    found = client.call("servers.validate", request, timeout=CHECK_SECONDS)
    if found["message"]:
        raise ChildFailed(
            f"the predictor cannot be served: {server_follow.reason(found['message'])}",
            hint="Nothing was changed.",
        )
    for warning in found["warnings"]:
        output.error_line(output.safe(f"warning: {warning}"))
    if not quiet:
        output.note(f"Checked: {found['predictor'].get('class', 'the model')} can be served.")
