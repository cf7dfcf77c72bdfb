"""The program `spice-tui`: global options, and what every command does about errors."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from spice_engine.errors import SpiceError
from spice_tui.cli import failures, output
from spice_tui.cli.ending import settle
from spice_tui.cli.exit_codes import ExitCode
from spice_tui.cli.lazy import LazyGroup
from spice_tui.cli.light import lighten
from spice_tui.cli.session import Session

app = typer.Typer(
    cls=LazyGroup,
    invoke_without_command=True,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog="Every command that prints takes --json. Exit codes: docs/cli.md.",
)


def _print_version(wanted: bool) -> None:
    if wanted:
        from spice_engine import __version__

        output.line(f"spice-tui {__version__}")
        raise typer.Exit


@app.callback()
def root(
    ctx: typer.Context,
    *,
    folder: Annotated[
        str,
        typer.Option(
            "--folder",
            "-C",
            metavar="DIR",
            help="App folder; default: the nearest one above, else the current directory.",
        ),
    ] = "",
    serve: Annotated[
        bool,
        typer.Option("--serve", help="Run the engine here, in the foreground, without a screen."),
    ] = False,
    http_host: Annotated[
        str, typer.Option(metavar="ADDRESS", help="With --serve: address of the HTTP door.")
    ] = "",
    http_port: Annotated[
        str, typer.Option(metavar="PORT", help="With --serve: its port; 0: any free one.")
    ] = "",
    insecure: Annotated[
        bool,
        typer.Option("--insecure", help="With --serve: allow an address beyond loopback."),
    ] = False,
    trust: Annotated[
        bool,
        typer.Option("--trust", help="With --serve: let code of this folder run, this once."),
    ] = False,
    attach: Annotated[
        str,
        typer.Option(
            metavar="PATH",
            help="Screen: attach to another folder's engine, or to a forwarded socket "
            "(ssh -L /tmp/far.sock:FOLDER/.spice/engine.sock HOST).",
        ),
    ] = "",
    record: Annotated[
        str, typer.Option(metavar="FILE", help="Screen: record what the engine says.")
    ] = "",
    replay: Annotated[
        str, typer.Option(metavar="FILE", help="Screen: show a recording instead of an engine.")
    ] = "",
    theme: Annotated[str, typer.Option(metavar="NAME", help="Screen: colours.")] = "",
    view: Annotated[
        str, typer.Option(metavar="NAME", help="Screen: the view to begin with, such as runs.")
    ] = "",
    ascii_only: Annotated[
        bool, typer.Option("--ascii", help="Screen: draw with plain ASCII.")
    ] = False,
    no_mouse: Annotated[
        bool, typer.Option("--no-mouse", help="Screen: leave the mouse alone.")
    ] = False,
    version: Annotated[  # noqa: ARG001 - its callback does the work
        bool,
        typer.Option(
            "--version", callback=_print_version, is_eager=True, help="Show the version and leave."
        ),
    ] = False,
) -> None:
    """A decision engine that you drive from a terminal."""
    session = ctx.obj = Session(folder)
    flags = engine_flags(http_host, http_port, insecure=insecure, trust=trust)
    if flags and not serve:
        raise typer.BadParameter(f"{flags[0]} goes with --serve.", ctx=ctx)
    if serve:
        if ctx.invoked_subcommand:
            raise typer.BadParameter("--serve takes no command.", ctx=ctx)
        from spice_tui.cli.serve import serve as run_engine

        run_engine(session, flags)
    screen = bool(attach or record or replay or theme or view or ascii_only or no_mouse)
    if ctx.invoked_subcommand is not None:
        if screen:
            raise typer.BadParameter("options of the screen take no command.", ctx=ctx)
        return
    if not screen and not (sys.stdin.isatty() and sys.stdout.isatty()):
        from spice_tui.cli.overview import overview

        overview(session)
        return
    from spice_tui.cli.screen import ScreenOptions, open_screen

    options = ScreenOptions(
        attach, record, replay, 1.0, theme, view, ascii=ascii_only, mouse=not no_mouse
    )
    raise typer.Exit(open_screen(session, options))


def engine_flags(host: str, port: str, *, insecure: bool, trust: bool = False) -> list[str]:
    """The engine's own flags for these options."""
    flags = ["--http-host", host] if host else []
    if port:
        if not port.isdecimal() or int(port) > 65535:
            raise typer.BadParameter(f"{port!r} is not a port.", param_hint="--http-port")
        flags += ["--http-port", port]
    if insecure:
        flags.append("--insecure")
    if trust:
        flags.append("--trust")
    return flags


def main(arguments: list[str] | None = None) -> int:
    """Run one command line (default: the process's own) and give its exit code."""
    output.prepare()
    command = lighten(typer.main.get_command(app))
    try:
        code = command.main(args=arguments, prog_name="spice-tui", standalone_mode=False)
        output.flush()
    except SpiceError as error:
        return failures.report(error)
    except typer.Abort:
        failures.say("aborted.")
        return ExitCode.FAILED
    except typer.TyperException as error:
        return failures.report_usage(error)
    except KeyboardInterrupt:
        return ExitCode.INTERRUPTED
    except FileNotFoundError:
        if _is_somewhere():
            raise
        failures.say("the folder that this was called from is gone. Go to another one.")
        return ExitCode.FAILED
    return code if isinstance(code, int) else ExitCode.OK


def _is_somewhere() -> bool:
    """Whether there is a current folder."""
    try:
        Path.cwd()
    except FileNotFoundError:
        return False
    return True


if __name__ == "__main__":
    ended = main()
    settle()
    sys.exit(ended)
