"""`version`: which program, which engine, which Python, and where things are."""

from __future__ import annotations

import platform
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from spice_engine import __version__
from spice_engine.errors import SpiceError
from spice_engine.protocol.location import state_home
from spice_engine.protocol.messages import PROTOCOL_VERSION
from spice_tui.cli import output
from spice_tui.cli.output import Json
from spice_tui.cli.session import Session, session_of


def version(
    ctx: typer.Context,
    verbose: Annotated[
        bool, typer.Option("--verbose", "-v", help="Also paths and libraries.")
    ] = False,
    json: Json = False,
) -> None:
    """Show the versions of this program and of the folder's engine."""
    session = session_of(ctx)
    engine = _engine(session)
    facts: dict[str, Any] = {
        "cli": __version__,
        "engine": engine["version"] if engine else None,
    }
    if verbose or json:
        facts |= {
            "engine_pid": engine["pid"] if engine else None,
            "protocol": PROTOCOL_VERSION,
            "python": platform.python_version(),
            "executable": sys.executable,
            "platform": f"{platform.system()} {platform.release()} {platform.machine()}",
            "program": str(Path(__file__).parents[1]),
            "app_folder": str(session.location.root),
            "state_folder": str(session.location.state),
            "socket": str(session.location.socket),
            "user_state": str(state_home()),
            "uvloop": _uvloop(),
        }
    if json:
        output.as_json(facts)
        return
    output.line(f"CLI version:     {facts['cli']}")
    output.line(f"Engine version:  {facts['engine'] or 'not running'}")
    if verbose:
        shown = [name for name in facts if name not in {"cli", "engine"}]
        output.pairs([(name.replace("_", " ").capitalize() + ":", facts[name]) for name in shown])


def _engine(session: Session) -> dict[str, Any] | None:
    """The running engine's version and process; none is started for this."""
    try:
        with session.attach(timeout=2.0) as client:
            return {"version": client.welcome.engine, "pid": client.welcome.pid}
    except SpiceError:
        return None


def _uvloop() -> str | None:
    from importlib.metadata import PackageNotFoundError
    from importlib.metadata import version as version_of

    try:
        return version_of("uvloop")
    except PackageNotFoundError:
        return None
