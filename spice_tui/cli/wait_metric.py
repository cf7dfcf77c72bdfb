"""`wait --metric`: wait until a metric of runs is as wanted."""

from __future__ import annotations

import re
import time
from collections.abc import Sequence
from typing import Any

import typer

from spice_engine.errors import EngineUnavailable, InvalidRequest
from spice_tui.cli import output, values
from spice_tui.cli.exit_codes import ExitCode
from spice_tui.cli.following import Patience
from spice_tui.cli.session import Session

_CONDITION = re.compile(r"(.+?)\s*(<=|>=|==|<|>)\s*([^<>=]+)", re.DOTALL)
ANSWER_SECONDS = 120.0
"""Longer than the engine lets anybody wait for an answer."""
PAUSE_SECONDS = 0.2
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
    for run in runs:
        answer = _until_known(session, {"id": run, **wanted})
        told.append({"id": run, **answer})
        if json:
            continue
        if answer["reached"]:
            number, name = values.number(answer["value"], 6), output.safe(wanted["name"])
            output.line(f"{run}  {name} is {number} at index {answer['index']}")
        else:
            output.error_line(answer["error"][:1].upper() + answer["error"][1:])
    if json:
        output.as_json(told)
    if not all(one["reached"] for one in told):
        raise typer.Exit(ExitCode.FAILED)


def _until_known(session: Session, request: dict[str, Any]) -> dict[str, Any]:
    """The answer, however long it takes; the engine may be replaced meanwhile.

    Raises:
        SpiceError: there is no such run, or the engine stays away.
    """
    patience = Patience()
    while True:
        try:
            with session.connect() as client:
                patience.renewed()
                while True:
                    answer = client.call("runs.wait_metric", request, timeout=ANSWER_SECONDS)
                    patience.renewed()
                    if answer["reached"] or answer["over"]:
                        return answer
        except EngineUnavailable:
            if patience.over:
                raise
        time.sleep(PAUSE_SECONDS)
