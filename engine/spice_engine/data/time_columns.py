"""Columns of the time itself: month, day of the month, day of the week, hour, in UTC."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

_DAY = 86_400
Times = NDArray[np.int64]


def _month(times: Times) -> Times:
    return times.astype("datetime64[s]").astype("datetime64[M]").astype(np.int64) % 12


def _day_of_month(times: Times) -> Times:
    days = times.astype("datetime64[s]").astype("datetime64[D]")
    return (days - days.astype("datetime64[M]")).astype(np.int64)


def _day_of_week(times: Times) -> Times:
    return (times // _DAY + 4) % 7  # 1970-01-01 was a Thursday; 0 is Sunday


def _hour(times: Times) -> Times:
    return times % _DAY // 3600


_CATEGORIES: dict[str, tuple[Callable[[Times], Times], tuple[str, ...]]] = {
    "month": (_month, tuple(f"time_month_{number:02}" for number in range(1, 13))),
    "dayofmonth": (_day_of_month, tuple(f"time_monthday_{number:02}" for number in range(1, 32))),
    "dayofweek": (_day_of_week, tuple(f"time_weekday_{number:02}" for number in range(7))),
    "hour": (_hour, tuple(f"time_hour_{number:02}" for number in range(24))),
}


def fields_of(categories: Sequence[str]) -> tuple[str, ...]:
    """The names of the columns of some categories, sorted."""
    return tuple(sorted(name for one in categories for name in _CATEGORIES[one][1]))


def time_columns(categories: Sequence[str], times: Times) -> dict[str, NDArray[np.float64]]:
    """A column [N] of 0 and 1 for each name of `fields_of`; `times` [N] are unix seconds."""
    columns: dict[str, NDArray[np.float64]] = {}
    for one in categories:
        index_of, names = _CATEGORIES[one]
        indices = index_of(times)
        for index, name in enumerate(names):
            columns[name] = (indices == index).astype(np.float64)
    return columns
