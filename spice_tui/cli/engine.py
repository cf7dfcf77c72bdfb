"""`engine`: start, stop, restart and look at the engines of this user."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from spice_engine.errors import EngineUnavailable
from spice_tui.cli import engine_control, engine_log, output, values
from spice_tui.cli.groups import group
from spice_tui.cli.output import Json
from spice_tui.cli.session import session_of

app = group("Start, stop and look at the engine of a folder.")


@app.command()
def start(
    ctx: typer.Context,
    *,
    http_host: Annotated[str, typer.Option(metavar="ADDRESS", help="Of the HTTP door.")] = "",
    http_port: Annotated[str, typer.Option(metavar="PORT", help="Its port; 0: any.")] = "",
    insecure: Annotated[
        bool, typer.Option("--insecure", help="Allow an address beyond loopback.")
    ] = False,
    json: Json = False,
) -> None:
    """Start the folder's engine in the background, unless one runs."""
    from spice_tui.cli.main import engine_flags

    session = session_of(ctx)
    flags = engine_flags(http_host, http_port, insecure=insecure)
    try:
        client = session.attach()
    except EngineUnavailable:
        session.start(flags)
        client = session.connect()
        word = "runs now"
    else:
        word = "runs already"
    with client:
        found = client.call("engine.status")
    if json:
        output.as_json(found)
        return
    if flags and word == "runs already":
        output.error_line("It keeps its flags; to change them: spice-tui engine stop, then start.")
    output.line(
        f"The engine of {output.safe(found['app_folder'])} {word} "
        f"(process {found['pid']}, {found['http'] or 'no HTTP'})."
    )


@app.command()
def stop(
    ctx: typer.Context,
    runs: Annotated[
        str,
        typer.Option(metavar="leave|stop", help="What becomes of runs; default: as it is set."),
    ] = "",
    json: Json = False,
) -> None:
    """Stop the folder's engine and wait until it is gone."""
    if runs not in {"", "leave", "stop"}:
        raise typer.BadParameter("must be leave or stop.", param_hint="--runs")
    location = session_of(ctx).location
    try:
        client = session_of(ctx).attach()
    except EngineUnavailable:
        _tell_stopped(f"No engine runs on {location.root}.", stopped=False, json=json)
        return
    with client:
        client.call("engine.stop", {"runs": runs or None})
    engine_control.await_gone(location)
    _tell_stopped(f"The engine of {location.root} has stopped.", stopped=True, json=json)


def _tell_stopped(text: str, *, stopped: bool, json: bool) -> None:
    if json:
        output.as_json({"stopped": stopped})
    else:
        output.line(output.safe(text))


@app.command()
def restart(ctx: typer.Context, json: Json = False) -> None:
    """Replace the folder's engine by a new process; runs go on."""
    session = session_of(ctx)
    try:
        client = session.attach()
    except EngineUnavailable:
        session.start()
        client = session.connect()
    else:
        with client:
            client.call("engine.restart")
        client = engine_control.await_successor(session.location, client.welcome.started)
    with client:
        found = client.call("engine.status")
    if json:
        output.as_json(found)
    else:
        output.line(f"The engine was replaced (process {found['pid']}, {found['http']}).")


@app.command()
def status(ctx: typer.Context, json: Json = False) -> None:
    """Show the folder's engine, if one runs."""
    with session_of(ctx).attach() as client:
        found = client.call("engine.status")
    if json:
        output.as_json(found)
        return
    lag = found["loop_lag"]
    output.pairs(
        [
            ("App folder", found["app_folder"]),
            ("State", found["state_folder"]),
            ("HTTP", found["http"]),
            ("Version", found["version"]),
            ("Process", found["pid"]),
            ("Up for", values.elapsed(found["uptime"])),
            ("Runs", found["active_runs"]),
            ("Pods", found["pods"]),
            ("Clients", found["clients"]),
            ("Subscriptions", found["subscriptions"]),
            ("Loop lag", f"p99 {lag['p99']:.1f} ms, longest {lag['max']:.1f} ms"),
            ("Draining", "yes" if found.get("draining") else ""),
        ]
    )


@app.command()
def logs(
    ctx: typer.Context,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on until Control-C.")] = False,
    tail: Annotated[
        int, typer.Option("--tail", "-n", help="Only the last lines; 0: everything.")
    ] = 100,
) -> None:
    """Print the engine's own log; it need not run."""
    if tail < 0:
        raise typer.BadParameter("must be 0 or more.", param_hint="--tail")
    engine_log.show(session_of(ctx).location.log, tail, follow=follow)


@app.command("list")
def list_engines(json: Json = False) -> None:
    """List the folders that have or had an engine, and which of them runs."""
    found = engine_control.engines()
    if json:
        output.as_json(found)
        return
    output.table(
        ["APP FOLDER", "STATE", "PROCESS", "VERSION", "HTTP"],
        [[row["app_folder"], row["state"], *_optional(row)] for row in found],
    )


def _optional(row: dict[str, Any]) -> list[str]:
    return [str(row[name] or "") for name in ("pid", "version", "http")]
