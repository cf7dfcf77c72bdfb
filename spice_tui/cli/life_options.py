"""The options of `run` that say when it begins, and what is done when it fails or is there."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any

import typer

from spice_engine.errors import InvalidRequest
from spice_tui.cli import completion, output
from spice_tui.cli.which_run import numbers_of
from spice_tui.client import Client

LIFE: dict[str, Any] = {
    "param": Annotated[
        list[str] | None,
        typer.Option(
            "--param",
            metavar="NAME=VALUE",
            help="Put VALUE where :NAME: stands in the command, and keep it with the run; repeat.",
        ),
    ],
    "after": Annotated[
        list[str] | None,
        typer.Option(
            "--after",
            metavar="RUN",
            help="Begin when that run is over, however it ended; repeat.",
            autocompletion=completion.runs,
        ),
    ],
    "after_ok": Annotated[
        list[str] | None,
        typer.Option(
            "--after-ok",
            metavar="RUN",
            help="The same, but end as failed, without beginning, if a run waited for failed.",
            autocompletion=completion.runs,
        ),
    ],
    "priority": Annotated[
        int | None,
        typer.Option(
            "--priority",
            metavar="N",
            help="Of the runs that wait for a machine, one with a higher N goes first. Default: 0.",
        ),
    ],
    "retries": Annotated[
        int | None,
        typer.Option(
            "--retries", metavar="N", help="Try it again up to N times when the command fails."
        ),
    ],
    "idempotent": Annotated[
        bool | None,
        typer.Option(
            "--idempotent",
            help="If the same was run before, and succeeded or goes on, give that run.",
        ),
    ],
    "auto_resume": Annotated[
        bool | None,
        typer.Option(
            "--auto-resume/--disable-auto-resume",
            help="When it is lost with the machine, go on as another run, with its files.",
        ),
    ],
}


def life_of(client: Client, given: Mapping[str, Any]) -> dict[str, Any]:
    """What the options ask for, by the fields of a request. Names of runs become numbers.

    Raises:
        InvalidRequest: a parameter is no NAME=VALUE, or is given twice.
        NotFound, Conflict: no one run has a name.
    """
    found = {
        name: given[name]
        for name in ("priority", "retries", "idempotent", "auto_resume")
        if name in given
    }
    if given.get("param"):
        found["params"] = params_of(given["param"])
    after = [*given.get("after", ()), *given.get("after_ok", ())]
    if after:
        found["after"] = numbers_of(client, after)
        found["after_ok"] = bool(given.get("after_ok"))
    return found


def params_of(texts: Sequence[str]) -> dict[str, str]:
    """The parameters of `--param NAME=VALUE`, whose values stay texts.

    Raises:
        InvalidRequest: one is not of that form, or a name comes twice.
    """
    found: dict[str, str] = {}
    for text in texts:
        name, equals, value = text.partition("=")
        if not name or not equals or "=" in value:
            raise InvalidRequest(f"--param {text} is incorrectly formatted. Must be NAME=VALUE")
        if name in found:
            raise InvalidRequest(f"param key {name} is already defined")
        found[name] = value
    return found


def warn_unused(params: Mapping[str, Any], command: str | Sequence[str]) -> None:
    """Say which parameters stand nowhere in the command: they are kept all the same."""
    words = [command] if isinstance(command, str) else command
    for name in params:
        if not any(f":{name}:" in word for word in words):
            output.error_line(
                f"--param {name}: the command has no :{name}:, so it changes nothing."
            )
