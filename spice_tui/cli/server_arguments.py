"""Arguments and options that commands of servers share."""

from __future__ import annotations

from typing import Annotated

import typer

from spice_tui.cli import completion

ServerArgument = Annotated[
    str,
    typer.Argument(
        metavar="SERVER_NAME", help="Name of the server.", autocompletion=completion.servers
    ),
]
Background = Annotated[
    bool,
    typer.Option("--background", "-b", help="Leave at once; do not wait until it runs."),
]
