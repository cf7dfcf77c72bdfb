"""What the commands that edit manifests share: their options, and how they tell the outcome."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated, Any

import typer

from spice_tui.cli import completion, failures, output

Pod = Annotated[
    str,
    typer.Option(
        "--pod",
        metavar="POD",
        help="Whose manifest; default: the only pod of the folder.",
        autocompletion=completion.pods,
    ),
]


def pairs(items: Iterable[str], option: str) -> dict[str, str]:
    """`NAME=VALUE` items by name; the value is empty where there is no `=`.

    Raises:
        typer.BadParameter: no name, or one that is there twice.
    """
    found: dict[str, str] = {}
    for item in items:
        name, _, value = item.partition("=")
        if not name.strip() or name.strip() in found:
            what = f"{name.strip()} is there twice." if name.strip() else f"{item!r} has no name."
            raise typer.BadParameter(what, param_hint=option)
        found[name.strip()] = value
    return found


def tell(answer: dict[str, Any], message: str, *, json: bool) -> None:
    """Print the outcome of an edit, and what the manifest lacks still."""
    if json:
        output.as_json(answer)
        return
    output.line(output.safe(message))
    for problem in answer["problems"]:
        output.note(failures.problem_line(problem))
