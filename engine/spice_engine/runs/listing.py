"""Lists of runs: by filters, conditions on parameters and metrics, and in an order."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from spice_engine.errors import InvalidRequest
from spice_engine.protocol import run_states
from spice_engine.protocol.runs import ListRuns
from spice_engine.runs.parameters import check_name
from spice_engine.runs.run_filters import condition, number_of
from spice_engine.store import run_lists
from spice_engine.store.database import Database
from spice_engine.store.metrics import MetricStore
from spice_engine.store.run_lists import Filter
from spice_engine.store.runs import RunRow

MAX_LISTED = 10_000
MOST_CONDITIONS = 20
MOST_VALUES = 100

_OWNER = "runs/"


async def rows_of(
    database: Database, metrics: MetricStore, request: ListRuns, folder: str = ""
) -> Sequence[RunRow]:
    """The runs that a request asks for, in its order; `folder` is the name of the app folder.

    Raises:
        InvalidRequest: a condition cannot be read, or there is no such order.
    """
    count = max(0, min(request.number, MAX_LISTED))
    for number in (request.parent, request.before):
        if number is not None and not 0 < number < 2**63:
            raise InvalidRequest(f"{number} is no run's number.")
    if len(request.params) + len(request.metrics) > MOST_CONDITIONS:
        raise InvalidRequest(f"more than {MOST_CONDITIONS} conditions.")
    for texts in (request.states, request.labels, request.kinds):
        if len(texts) > MOST_VALUES:
            raise InvalidRequest(f"more than {MOST_VALUES} states, labels or kinds.")
    run_states.check(request.states)
    chosen = Filter(
        states=request.states,
        labels=request.labels,
        kinds=request.kinds,
        name=request.name,
        project=request.project,
        repository=request.repository,
        on_folder=request.repository == folder,
        since=request.since,
        until=request.until,
        archived=request.archived,
        parent=request.parent,
        made_by=request.made_by,
        before=request.before,
    )
    on_params = [condition(written) for written in request.params]
    on_metrics = [condition(written, numbers=True) for written in request.metrics]
    kind, _, key = request.sort.partition(":")
    if request.sort not in ("", *run_lists.COLUMNS) and not (kind in {"param", "metric"} and key):
        raise InvalidRequest(
            f"runs are not sorted by {request.sort[:40]!r}.",
            hint=f"By {', '.join(run_lists.COLUMNS)}, param:NAME or metric:NAME.",
        )
    if not (on_params or on_metrics or key):
        return await _plain(database, chosen, request, count)

    names = list(dict.fromkeys([one.name for one in on_params] + [key] * (kind == "param")))
    for name in names:
        check_name(name)
    found = await database.read(lambda connection: run_lists.candidates(connection, chosen, names))
    for one in on_params:
        place = 1 + names.index(one.name)
        found = [row for row in found if row[place] is not None and one.holds(row[place])]
    for one in on_metrics:
        last = _by_run(await metrics.last_numbers(one.name))
        found = [row for row in found if row[0] in last and one.holds(last[row[0]])]
    ids = [row[0] for row in found]
    if request.sort in run_lists.COLUMNS:
        return await _plain(database, replace(chosen, ids=ids), request, count)
    if kind == "param":
        place = 1 + names.index(key)
        ids = _sorted(ids, {row[0]: row[place] for row in found}, descending=request.descending)
    elif kind == "metric":
        ids = _sorted(ids, _by_run(await metrics.last_numbers(key)), descending=request.descending)
    first = ids[:count] if request.sort else ids[max(0, len(ids) - count) :]
    return await database.read(lambda connection: run_lists.in_order(connection, first))


async def _plain(
    database: Database, chosen: Filter, request: ListRuns, count: int
) -> Sequence[RunRow]:
    """Those that the store itself can put in order."""
    if not request.sort:
        rows = await database.read(lambda connection: run_lists.newest(connection, chosen, count))
        return rows[::-1]
    return await database.read(
        lambda connection: run_lists.ordered(
            connection, chosen, request.sort, count, descending=request.descending
        )
    )


def _by_run(last: Mapping[str, float]) -> dict[int, float]:
    return {
        int(owner.removeprefix(_OWNER)): value
        for owner, value in last.items()
        if owner.startswith(_OWNER) and owner.removeprefix(_OWNER).isdecimal()
    }


def _sorted(ids: Sequence[int], values: Mapping[int, Any], *, descending: bool) -> list[int]:
    """Numbers before texts, each by size; runs without a value behind all, either way."""

    def key(number: int) -> tuple[bool, float, str]:
        figure = number_of(values[number])
        return figure is None, figure or 0.0, str(values[number])

    having = [number for number in ids if values.get(number) is not None]
    without = [number for number in ids if values.get(number) is None]
    return sorted(having, key=key, reverse=descending) + without
