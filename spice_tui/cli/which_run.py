"""A run as the command line names it: by its number, or by its name where only one has it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

import typer

from spice_tui.cli import completion, values
from spice_tui.client import Client

RunArgument = Annotated[
    str,
    typer.Argument(
        metavar="RUN", help="Number or name of the run.", autocompletion=completion.runs
    ),
]
RunArguments = Annotated[
    list[str],
    typer.Argument(
        metavar="RUN...", help="Numbers or names of runs.", autocompletion=completion.runs
    ),
]


def number_of(client: Client, text: str) -> int:
    """The number of the run that `12`, `runs/12` or a name means.

    Raises:
        NotFound: no run has that name.
        Conflict: several have it.
        typer.BadParameter: it is neither a number nor a name.
    """
    try:
        return values.run_number(text)
    except ValueError as error:
        if not text.strip() or text.strip().removeprefix("runs/").lstrip("-").isdecimal():
            raise typer.BadParameter(str(error), param_hint="RUN") from None
    return int(client.call("runs.find", {"name": text})["id"])


def numbers_of(client: Client, texts: Sequence[str]) -> list[int]:
    """The numbers of several runs."""
    return [number_of(client, text) for text in texts]
