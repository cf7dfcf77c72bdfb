"""Searches over parameters, and their trials, as rows of tables."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from spice_tui.models.columns import Column, Row
from spice_tui.models.run_rows import NUMBER

if TYPE_CHECKING:
    from spice_engine.protocol.searches import SearchInfo, SearchParameter, TrialInfo

SEARCH_KEY = "search:"
"""What keys of searches among training runs begin with."""
SEARCHES = (
    Column("state", "state", "state", least=10, most=10, importance=8),
    Column("id", "search", "number", least=6, most=8, importance=9),
    Column("name", "name", least=6, most=20, importance=8, optional=True),
    Column("method", "by", least=6, most=9, importance=6),
    Column("what", "of", weight=1, least=12, most=60, importance=6),
    Column("trials", "trials", least=6, most=12, importance=8),
    Column("metric", "metric", least=6, most=16, importance=5, optional=True),
    Column("best", "best", "number", least=8, most=14, importance=9),
    Column("created", "began", "time", least=8, most=12, importance=4),
)
_OWN = frozenset({"number", "state", "took", "run", "why", "message"})


def _what(search: SearchInfo) -> str:
    return search.pod or " ".join(search.command) or "code"


def as_trainings(searches: Iterable[SearchInfo]) -> list[Row]:
    """Searches among the training runs of pods, newest first."""
    return [
        Row(
            f"{SEARCH_KEY}{one.id}",
            {
                "state": one.state,
                "pod": one.pod or one.name or "search",
                "number": one.id,
                "algorithm": one.method,
                "episodes": sum(one.counts.values()) or None,
                "score": None if one.best is None else one.best.value,
                "started": one.created,
                "took": one.ended - one.created if one.ended else None,
                "message": one.message or f"search over {_what(one)}",
            },
        )
        for one in sorted(searches, key=lambda one: -one.id)
    ]


def search_rows(searches: Iterable[SearchInfo]) -> list[Row]:
    """One row a search, newest first."""
    return [
        Row(
            str(one.id),
            {
                "state": one.state,
                "id": one.id,
                "name": one.name,
                "method": one.method,
                "what": _what(one),
                "trials": f"{sum(one.counts.values())}/{one.trials or '…'}",
                "metric": one.metric,
                "best": None if one.best is None else one.best.value,
                "created": one.created,
            },
        )
        for one in sorted(searches, key=lambda one: -one.id)
    ]


def trial_columns(search: SearchInfo) -> tuple[Column, ...]:
    """The columns of the table of its trials."""
    return (
        Column("number", "trial", "number", least=5, most=7, importance=9),
        Column("state", "state", "state", least=10, most=10, importance=8),
        Column(
            value_key(search), search.metric or "value", "number", least=8, most=14, importance=9
        ),
        *(_param_column(one, search) for one in search.parameters),
        Column("took", "took", "duration", least=6, most=9, importance=4),
        Column("run", "run", "number", least=4, most=8, importance=5),
        Column("why", "chosen by", least=9, most=16, importance=3),
        Column("message", "message", weight=1, least=8, most=60, importance=2, optional=True),
    )


def value_key(search: SearchInfo) -> str:
    """What filters and sorts call the value of a trial: as its metric is called."""
    return search.metric if search.metric and search.metric not in _OWN else "value"


def param_key(name: str, metric: str = "") -> str:
    """What they call a parameter: by its name, or `param.NAME` where a column has it."""
    return f"param.{name}" if name in _OWN or name in ("value", metric) else name


def _param_column(one: SearchParameter, search: SearchInfo) -> Column:
    """Numbers are told to four digits that count, and never cut."""
    key = param_key(one.name, search.metric)
    if one.values is None or all(is_number(value) for value in one.values):
        return Column(key, one.name, "number", least=NUMBER, most=14, importance=7)
    return Column(key, one.name, least=4, most=16, importance=7)


def is_number(value: Any) -> bool:
    """Whether it is one; true and false are not."""
    return isinstance(value, int | float) and not isinstance(value, bool)


def trial_rows(search: SearchInfo, trials: Iterable[TrialInfo]) -> list[Row]:
    """One row a trial, newest first."""
    return [
        Row(
            str(one.number),
            {
                "number": one.number,
                "state": one.state,
                value_key(search): one.value,
                **{
                    param_key(name, search.metric): value if is_number(value) else text(value)
                    for name, value in one.params.items()
                },
                "took": None if one.ended is None else one.ended - one.asked,
                "run": one.run,
                "why": _why(one),
                "message": one.message,
            },
        )
        for one in sorted(trials, key=lambda one: -one.number)
    ]


def _why(trial: TrialInfo) -> str:
    """How its point was chosen; l/g is the ratio of the densities of good trials and others."""
    if trial.why.get("by") != "tpe":
        return str(trial.why.get("by", ""))
    ratio = float(trial.why.get("log_ratio", 0.0))
    return f"tpe l/g {math.exp(min(ratio, 700.0)):.3g}"


def text(value: Any) -> str:
    """A value of a parameter, short."""
    if isinstance(value, str):
        return value
    if isinstance(value, float):
        return f"{value:.6g}"
    return json.dumps(value)
