"""The answer to a question in SQL as a table, and as a chart where its columns are numbers."""

from __future__ import annotations

import math
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from spice_tui.models.columns import Column, Row
from spice_tui.models.series import Series

if TYPE_CHECKING:
    from spice_engine.protocol.engine import QueryResult

MAX_SERIES = 8


def columns_of(answer: QueryResult) -> tuple[Column, ...]:
    """One column a column of the answer."""
    return tuple(
        Column(f"c{number}", name, align="right" if _numeric(answer, number) else "left", most=60)
        for number, name in enumerate(answer.columns)
    )


def rows_of(answer: QueryResult) -> list[Row]:
    """One row a row of the answer."""
    return [
        Row(str(number), {f"c{index}": _cell(value) for index, value in enumerate(row)})
        for number, row in enumerate(answer.rows)
    ]


def _cell(value: Any) -> Any:
    if isinstance(value, bytes):
        return value.hex()
    return f"{value:.12g}" if isinstance(value, float) else value


def _numeric(answer: QueryResult, number: int) -> bool:
    values = [row[number] for row in answer.rows[:100] if row[number] is not None]
    return bool(values) and all(
        isinstance(value, int | float) and not isinstance(value, bool) for value in values
    )


def series_of(answer: QueryResult) -> tuple[Series, ...]:
    """The columns that are numbers as series, over the first of them where that one rises.

    Empty where there is nothing to draw.
    """
    numbers = [i for i in range(len(answer.columns)) if _numeric(answer, i)]
    if not numbers or len(answer.rows) < 2:
        return ()
    first = [_number(row[numbers[0]]) for row in answer.rows]
    over_first = len(numbers) > 1 and all(a < b for a, b in pairwise(first))
    xs = first if over_first else [float(i) for i in range(len(answer.rows))]
    drawn = numbers[1:] if over_first else numbers
    return tuple(
        Series(
            key=str(number),
            title=answer.columns[number],
            xs=xs,
            ys=[_number(row[number]) for row in answer.rows],
            color=index,
        )
        for index, number in enumerate(drawn[:MAX_SERIES])
    )


def _number(value: Any) -> float:
    return float(value) if isinstance(value, int | float) else math.nan
