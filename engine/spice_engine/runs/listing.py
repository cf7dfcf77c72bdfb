"""Lists of runs: by filters, conditions on parameters and metrics, and in an order."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from spice_engine.errors import InvalidRequest
from spice_engine.protocol.runs import ListRuns
from spice_engine.runs.run_filters import Condition, condition, number_of
from spice_engine.store import run_lists
from spice_engine.store.database import Database
from spice_engine.store.metrics import MetricStore
from spice_engine.store.run_lists import Filter
from spice_engine.store.runs import RunRow

MAX_LISTED = 10_000
MOST_CONDITIONS = 20

_OWNER = "runs/"


async def rows_of(database: Database, metrics: MetricStore, request: ListRuns) -> Sequence[RunRow]:
    """The runs that a request asks for, in its order.

    Raises:
        InvalidRequest: a condition cannot be read, or there is no such order.
    """
    count = max(0, min(request.number, MAX_LISTED))
    for number in (request.parent, request.before):
        if number is not None and not 0 < number < 2**63:
            raise InvalidRequest(f"{number} is no run's number.")
    if len(request.params) + len(request.metrics) > MOST_CONDITIONS:
        raise InvalidRequest(f"more than {MOST_CONDITIONS} conditions.")
    chosen = Filter(
        states=request.states,
        labels=request.labels,
        kinds=request.kinds,
        name=request.name,
        project=request.project,
        since=request.since,
        until=request.until,
        archived=request.archived,
        parent=request.parent,
        made_by=request.made_by,
        before=request.before,
    )
    on_params = [condition(written) for written in request.params]
    on_metrics = [condition(written, numbers=True) for written in request.metrics]
    ids = await _with_metrics(metrics, on_metrics)
    kind, _, key = request.sort.partition(":")
    if on_params or (kind == "param" and key):
        chosen = replace(chosen, ids=ids)
        found = await database.read(lambda connection: run_lists.params(connection, chosen))
        given = {number: values for number, values in found if _all_hold(on_params, values)}
        ids = set(given)
    else:
        given = {}
    chosen = replace(chosen, ids=ids)
    if not request.sort:
        rows = await database.read(lambda connection: run_lists.newest(connection, chosen, count))
        return rows[::-1]
    if request.sort in run_lists.COLUMNS:
        return await database.read(
            lambda connection: run_lists.ordered(
                connection, chosen, request.sort, count, descending=request.descending
            )
        )
    if kind == "param" and key:
        values = {number: found[key] for number, found in given.items() if key in found}
        every = list(given)
    elif kind == "metric" and key:
        values = _by_run(await metrics.last_numbers(key))
        found = await database.read(lambda connection: run_lists.params(connection, chosen))
        every = [number for number, _ in found]
    else:
        raise InvalidRequest(
            f"runs are not sorted by {request.sort[:40]!r}.",
            hint=f"By {', '.join(run_lists.COLUMNS)}, param:NAME or metric:NAME.",
        )
    first = _sorted(every, values, descending=request.descending)[:count]
    return await database.read(lambda connection: run_lists.in_order(connection, first))


async def _with_metrics(metrics: MetricStore, conditions: Sequence[Condition]) -> set[int] | None:
    """The runs whose metrics meet all conditions; None without any."""
    ids: set[int] | None = None
    for one in conditions:
        last = _by_run(await metrics.last_numbers(one.name))
        holding = {number for number, value in last.items() if one.holds(value)}
        ids = holding if ids is None else ids & holding
    return ids


def _by_run(last: Mapping[str, float]) -> dict[int, float]:
    return {
        int(owner.removeprefix(_OWNER)): value
        for owner, value in last.items()
        if owner.startswith(_OWNER) and owner.removeprefix(_OWNER).isdecimal()
    }


def _all_hold(conditions: Sequence[Condition], values: Mapping[str, Any]) -> bool:
    return all(one.name in values and one.holds(values[one.name]) for one in conditions)


def _sorted(ids: Sequence[int], values: Mapping[int, Any], *, descending: bool) -> list[int]:
    """Numbers before texts, each by size; runs without a value behind all, either way."""

    def key(number: int) -> tuple[bool, float, str]:
        figure = number_of(values[number])
        return figure is None, figure or 0.0, str(values[number])

    have = sorted((number for number in ids if number in values), key=key, reverse=descending)
    return have + [number for number in ids if number not in values]
