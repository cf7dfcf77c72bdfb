"""What a row of a table tells of a run, checked."""

from __future__ import annotations

import hashlib
import json
import math
import re
from collections.abc import Mapping
from typing import Any, cast

from spice_engine.errors import InvalidRequest
from spice_engine.protocol.run_states import UNDER_WAY
from spice_engine.records import record
from spice_engine.runs import parameters
from spice_engine.runs.projects import LONGEST_NAME
from spice_engine.store.runs import FINAL_STATES
from spice_runtime import run_metrics

LONGEST_TEXT = 1_000_000
LARGEST_NUMBER = 2**63
ORIGIN = re.compile(r"[0-9a-f]{32}")
"""What a run is known by wherever it is taken in."""


@record
class ToldRun:
    """A run of a table. `origin` is what it is known by wherever it is taken in; `metrics` are
    the last values."""

    origin: str
    name: str
    state: str
    outcome: str | None
    exit_code: int | None
    message: str
    command: str
    cwd: str
    created: float
    started: float | None
    ended: float | None
    archived: float | None
    project: str
    description: str
    source: str
    labels: tuple[str, ...]
    stages: Mapping[str, float]
    params: Mapping[str, Any]
    metrics: Mapping[str, float]


def origin_of(number: int, created: float) -> str:
    """What a run of this engine's is known by elsewhere: 32 hexadecimal digits."""
    return hashlib.blake2b(f"{number} {created!r}".encode(), digest_size=16).hexdigest()


def told(place: str, row: Mapping[str, Any]) -> ToldRun | None:
    """The run of a row; None of one that was not over when the table was written.

    Raises:
        InvalidRequest: a cell cannot be what it is to be; with its place and column.
    """
    cells = _Cells(place, row)
    state = cells.text("state")
    if state in UNDER_WAY:
        return None
    if state not in FINAL_STATES:
        raise cells.wrong("state", "no state of a run")
    created = cells.number("created")
    if created is None:
        raise cells.wrong("created", "no time in Unix seconds")
    code = cells.number("exit_code")
    if code is not None and (code != int(code) or abs(code) >= LARGEST_NUMBER):
        raise cells.wrong("exit_code", "no whole number")
    project = cells.text("project")
    if project != project.strip() or not project.isprintable() or project == "-":
        raise cells.wrong("project", "no name of a project")
    origin = cells.text("origin")
    if origin and not ORIGIN.fullmatch(origin):
        raise cells.wrong("origin", "not 32 hexadecimal digits")
    return ToldRun(
        origin=origin or _content(row),
        name=cells.text("name", LONGEST_NAME),
        state=state,
        outcome=cells.text("outcome", LONGEST_NAME) or None,
        exit_code=None if code is None else int(code),
        message=cells.text("message"),
        command=cells.text("command"),
        cwd=cells.text("cwd"),
        created=created,
        started=cells.number("started"),
        ended=cells.number("ended"),
        archived=cells.number("archived"),
        project=cells.text("project", LONGEST_NAME),
        description=cells.text("description"),
        source=cells.text("source"),
        labels=cells.labels(),
        stages=cells.stages(),
        params=cells.params(),
        metrics=cells.metrics(),
    )


def _content(row: Mapping[str, Any]) -> str:
    """What a row without an origin is known by: all that it says."""
    data = json.dumps(row, sort_keys=True, default=str).encode()
    return hashlib.blake2b(data, digest_size=16).hexdigest()


def _refuse(name: str) -> float:
    """NaN and infinities are no JSON."""
    raise ValueError(name)


@record
class _Cells:
    place: str
    row: Mapping[str, Any]

    def wrong(self, column: str, what: str) -> InvalidRequest:
        """The error about a cell."""
        cell = str(self.row.get(column, ""))[:40]
        return InvalidRequest(f"{self.place}: {column}: {cell!r} is {what}.")

    def text(self, column: str, longest: int = LONGEST_TEXT) -> str:
        """A text; of an empty cell, or without the column, the empty one."""
        cell = self.row.get(column)
        text = "" if cell is None else str(cell)
        if "\0" in text or len(text) > longest:
            raise self.wrong(column, f"no text of at most {longest} characters")
        return text

    def number(self, column: str, *, finite: bool = True) -> float | None:
        """A number; None of an empty cell."""
        cell = self.row.get(column)
        if cell is None or cell == "":
            return None
        try:
            number = None if isinstance(cell, bool) else float(cell)
        except (TypeError, ValueError, OverflowError):
            number = None
        if number is None or (finite and not math.isfinite(number)):
            raise self.wrong(column, "no number")
        return number

    def labels(self) -> tuple[str, ...]:
        """The labels."""
        cell = self._json("labels", [])
        labels = cast("list[Any]", cell) if isinstance(cell, list) else [cell]
        if not isinstance(cell, list) or not all(
            isinstance(one, str) and 0 < len(one) <= LONGEST_NAME for one in labels
        ):
            raise self.wrong("labels", 'no list of texts, such as ["good"]')
        return tuple(labels)

    def stages(self) -> dict[str, float]:
        """Seconds of each stage."""
        stages = self._object("stages")
        if not all(
            name.isidentifier() and isinstance(one, int | float) for name, one in stages.items()
        ):
            raise self.wrong("stages", "no object of seconds")
        return stages

    def params(self) -> dict[str, Any]:
        """The parameters: of one column with their kinds, else of one column each, as it is."""
        found = self._object("params") or self._columns("param.")
        try:
            parameters.check(found)
        except InvalidRequest as error:
            raise InvalidRequest(f"{self.place}: {error.message}", hint=error.hint) from error
        return found

    def metrics(self) -> dict[str, float]:
        """The last values."""
        values: dict[str, float] = {}
        for name in self._columns("metric."):
            number = self.number(f"metric.{name}", finite=False)
            if not 0 < len(name) <= run_metrics.LONGEST_NAME or "\0" in name:
                raise self.wrong(f"metric.{name}", "of no metric's name")
            if number is not None:
                values[name] = number
        return values

    def _columns(self, start: str) -> dict[str, Any]:
        return {
            column.removeprefix(start): cell
            for column, cell in self.row.items()
            if column.startswith(start) and cell is not None and cell != ""
        }

    def _object(self, column: str) -> dict[str, Any]:
        cell = self._json(column, {})
        if not isinstance(cell, dict):
            raise self.wrong(column, "no object in JSON")
        return cast("dict[str, Any]", cell)

    def _json(self, column: str, empty: Any) -> Any:
        cell = self.row.get(column)
        if cell is None or cell == "":
            return empty
        if not isinstance(cell, str):
            return cell
        try:
            return json.loads(cell, parse_constant=_refuse)
        except (ValueError, RecursionError):
            raise self.wrong(column, "no JSON") from None
