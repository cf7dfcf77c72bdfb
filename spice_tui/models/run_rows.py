"""Runs as a table: a row a run, with a column for each of the parameters that most of them have."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from spice_tui.models.columns import Column, Row
from spice_tui.models.rows import run_state

if TYPE_CHECKING:
    from spice_engine.protocol.runs import RunInfo

MOST_PARAMS = 8
"""Parameters that have a column."""
NUMBER = 9
"""Cells that most numbers take: a sign, four digits that count, the zeros before them."""
PLAIN = frozenset({"run", "command"})
"""Kinds of runs that are not said where there is no other; the second is of earlier engines."""

_FIRST = (
    Column("state", "state", "state", least=10, most=12, importance=8),
    Column("id", "run", "number", least=4, most=8, importance=9),
)
_KIND = Column("kind", "kind", least=5, most=10, importance=4)
_MIDDLE = (
    Column("name", "name", least=8, most=20, importance=7, optional=True),
    Column("command", "command", weight=1, least=16, most=60, importance=7),
    Column("exit", "exit", "number", least=4, most=5),
    Column("created", "began", "time", least=8, most=12, importance=6),
    Column("took", "took", "duration", least=6, most=9),
)
_WHY = Column("why", "why", least=20, most=40, importance=5, optional=True)
_LAST = (
    Column("labels", "labels", least=6, most=24, importance=3, optional=True),
    Column("project", "project", least=7, most=16, importance=2, optional=True),
)
_OWN = frozenset(column.key for column in (*_FIRST, _KIND, *_MIDDLE, _WHY, *_LAST))
_NAME = re.compile(r"[A-Za-z_][\w.-]*")
"""What the language of filters takes for a column."""


def shown(runs: Iterable[RunInfo], project: str = "") -> list[RunInfo]:
    """The runs that are not archived, and with a project those in it, newest first."""
    wanted = project.casefold()
    return sorted(
        (
            run
            for run in runs
            if run.archived is None and (not wanted or run.project.casefold() == wanted)
        ),
        key=lambda run: -run.id,
    )


def params_of(runs: Sequence[RunInfo]) -> list[str]:
    """The parameters that have a column: those that most of the runs have, by name."""
    counts = Counter(name for run in runs for name in run.params if _is_name(name))
    most = sorted(counts, key=lambda name: (-counts[name], name))[:MOST_PARAMS]
    return sorted(most)


def columns_of(runs: Sequence[RunInfo]) -> tuple[Column, ...]:
    """The columns for these runs: kinds only where there are some."""
    names = params_of(runs)
    kinds = (_KIND,) if any(run.kind not in PLAIN for run in runs) else ()
    params = (_column_of(name, [run.params.get(name) for run in runs]) for name in names)
    return (*_FIRST, *kinds, *_MIDDLE, _WHY, *params, *_LAST)


def _column_of(name: str, values: Sequence[Any]) -> Column:
    """The column of a parameter; numbers are never cut, for a part of one is another."""
    if _are_numbers(values):
        return Column(key_of(name), name, "number", least=NUMBER, most=14, importance=4)
    return Column(key_of(name), name, least=4, most=14, importance=4)


def row_of(run: RunInfo, names: Iterable[str]) -> Row:
    """One run, with these parameters."""
    return Row(
        str(run.id),
        {
            "state": run_state(run),
            "id": run.id,
            "kind": run.kind,
            "name": run.name,
            "command": " ".join(run.command),
            "exit": run.exit_code,
            "created": run.created,
            "took": run.ended - run.started if run.ended and run.started else None,
            "why": run.message if _waits(run) else None,
            "labels": " ".join(run.labels),
            "project": run.project,
            **{key_of(name): _cell(run.params.get(name)) for name in names},
        },
    )


class RunTable:
    """Columns and rows of runs that change now and then; what did not change is not made anew."""

    def __init__(self) -> None:
        self.columns = columns_of(())
        self.rows: list[Row] = []
        self._names: list[str] = []
        self._which: object = None
        self._known: dict[int, tuple[RunInfo, Row]] = {}

    def take(self, runs: Sequence[RunInfo]) -> None:
        """These are the runs now, in their order."""
        # What a run's parameters and kind are never changes.
        which = (len(runs), runs[0].id, runs[-1].id) if runs else ()
        if which != self._which:
            self._which = which
            self.columns = columns_of(runs)
            names = params_of(runs)
            if names != self._names:
                self._names, self._known = names, {}
        before, self._known = self._known, {}
        for run in runs:
            known = before.get(run.id)
            if known is None or known[0] is not run:
                known = (run, row_of(run, self._names))
            self._known[run.id] = known
        self.rows = [row for _, row in self._known.values()]


def key_of(name: str) -> str:
    """A parameter's name in filters: its own, or `param.NAME` where a column has it."""
    return f"param.{name}" if name in _OWN else name


@lru_cache(maxsize=1024)
def _is_name(text: str) -> bool:
    return _NAME.fullmatch(text) is not None


def _waits(run: RunInfo) -> bool:
    return run.state in {"requested", "queued"} and bool(run.message)


def _are_numbers(values: Iterable[Any]) -> bool:
    return all(isinstance(_cell(value), int | float) for value in values if value is not None)


def _cell(value: Any) -> Any:
    """A number where it reads as one: the command line has texts only."""
    if isinstance(value, str):
        try:
            return float(value)
        except ValueError:
            return value
    if isinstance(value, bool) or value is None or isinstance(value, int | float):
        return value
    return str(value)
