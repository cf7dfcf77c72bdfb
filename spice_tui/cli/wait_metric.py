"""`wait --metric`: wait until a metric of runs is as wanted."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import typer

from spice_engine.errors import InvalidRequest
from spice_tui.cli import output, values
from spice_tui.cli.exit_codes import ExitCode
from spice_tui.cli.following import FollowingClient
from spice_tui.cli.session import Session

_CONDITION = re.compile(r"(.+?)\s*(<=|>=|==|<|>)\s*([^<>=]+)", re.DOTALL)
_NAMES = {"<": "lt", "<=": "lte", ">": "gt", ">=": "gte", "==": "eq"}


def parsed(text: str) -> dict[str, Any]:
    """`NAME OP VALUE` as a request has it.

    Raises:
        InvalidRequest: it is not that.
    """
    match = _CONDITION.fullmatch(text.strip())
    try:
        value = float(match[3]) if match else None
    except ValueError:
        value = None
    if match is None or value is None:
        raise InvalidRequest(
            f"--metric {text!r} is not NAME OP VALUE.",
            hint="OP is one of < <= > >= ==, such as 'accuracy >= 0.9'.",
        )
    return {"name": match[1].strip(), "condition": _NAMES[match[2]], "value": value}


def wait(session: Session, runs: Sequence[int], text: str, *, json: bool) -> None:
    """Wait for all of them, in turn.

    Raises:
        typer.Exit: with 1, for one ended first.
    """
    wanted = parsed(text)
    told: list[dict[str, Any]] = []
    with session.connect(FollowingClient) as client:
        for run in runs:
            answer = client.call_watching(
                "runs.wait_metric", {"id": run, **wanted}, lambda _topic, _event: None
            )
            told.append({"id": run, **answer})
            if not json and answer["reached"]:
                number = values.number(answer["value"], 6)
                name = output.safe(wanted["name"])
                output.line(f"{run}  {name} is {number} at index {answer['index']}")
            elif not json:
                output.error_line(answer["error"][:1].upper() + answer["error"][1:])
    if json:
        output.as_json(told)
    if not all(one["reached"] for one in told):
        raise typer.Exit(ExitCode.FAILED)
