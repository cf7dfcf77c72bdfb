"""Searching runs as tracking clients do: a filter, orders, pages.

Metrics lie in a database of their own: the last values of those that are asked for are read
first, then the runs are gone through, in a reader's thread.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import field

from spice_engine.errors import InvalidRequest
from spice_engine.records import record
from spice_engine.runs import tracking_filter as filters
from spice_engine.runs.tracking_filter import Clause, Order
from spice_engine.runs.tracking_pages import Page, check_count, offset_of, page_of, sorted_by
from spice_engine.runs.tracking_views import (
    NOBODY,
    USER,
    artifact_uri,
    name_of,
    status_of,
    tags_of,
    text_of,
)
from spice_engine.store import tracking as table
from spice_engine.store import tracking_inputs, tracking_metrics
from spice_engine.store.database import Database
from spice_engine.store.metrics import MetricStore
from spice_engine.store.tracking import TrackedRow

MOST_RESULTS = 50_000
PAGE = 2000
"""Runs in one answer at most; the next ones come with its token."""
MOST_EXPERIMENTS = 10_000
CONTEXT = "mlflow.data.context"
"""The tag of a dataset that says what it was used for."""


@record
class Query:
    """What a client searches for; `archived`: runs that were put away, others, or (None) both."""

    experiments: Sequence[int]
    filter: str = ""
    order_by: Sequence[str] = ()
    archived: bool | None = False
    count: int = 1000
    token: str = ""


@record
class _Known:
    """What is known of all runs, of what a query asks for: by name, then by run."""

    metrics: Mapping[str, Mapping[int, float]]
    tags: dict[str, Mapping[int, str]] = field(default_factory=dict[str, Mapping[int, str]])

    def value(self, row: TrackedRow, asked: Clause | Order) -> object:
        """What a run has for a name: None where it has nothing."""
        key = asked.name.key
        match asked.name.kind:
            case "metric":
                return self.metrics[key].get(row.number)
            case "param":
                value = row.params.get(key)
                return None if value is None else text_of(value)
            case "tag":
                found = self.tags[key].get(row.number)
                return tags_of(row, {}).get(key) if found is None else found
            case _:
                return self._attribute(row, key)

    def _attribute(self, row: TrackedRow, key: str) -> object:
        match key:
            case "run_id":
                return row.uuid
            case "run_name":
                return name_of(row)
            case "user_id":
                return self.tags[USER].get(row.number, NOBODY)
            case "status":
                return status_of(row)
            case "artifact_uri":
                return artifact_uri(row.number)
            case "start_time":
                return int((row.started or row.created) * 1000)
            case _:
                return None if row.ended is None else int(row.ended * 1000)


async def search(database: Database, metrics: MetricStore, query: Query) -> Page[int]:
    """The numbers of the runs on a page.

    Raises:
        InvalidRequest: the filter, an order, the token or the count cannot be used.
    """
    check_count(query.count, MOST_RESULTS)
    if len(query.experiments) > MOST_EXPERIMENTS:
        raise InvalidRequest(f"over {MOST_EXPERIMENTS} experiments in one search.")
    clauses = filters.parse(query.filter, filters.RUNS)
    orders = [filters.parse_order(text, filters.RUNS) for text in query.order_by]
    start = offset_of(query.token)
    asked = (*clauses, *orders)
    values: dict[str, dict[int, float]] = {}
    for key in {one.name.key for one in asked if one.name.kind == "metric"}:
        await metrics.flush()
        values[key] = _by_number(
            await metrics.read(
                lambda connection, key=key: tracking_metrics.last_named(connection, key)
            )
        )

    def read(connection: sqlite3.Connection) -> Page[int]:
        known = _Known(values)
        names = {one.name.key for one in asked if one.name.kind == "tag"}
        if any(one.name.key == "user_id" for one in asked):
            names.add(USER)
        for key in names:
            known.tags[key] = table.tagged(connection, key)
        rows = table.of_experiments(connection, query.experiments, query.archived)
        found = _matching(connection, rows, clauses, known)
        if orders:
            found = sorted_by(list(found), orders, known.value)
        page = page_of(found, start, min(query.count, PAGE))
        return Page([row.number for row in page.items], page.token)

    return await database.read(read)


def _matching(
    connection: sqlite3.Connection,
    rows: Iterable[TrackedRow],
    clauses: Sequence[Clause],
    known: _Known,
) -> Iterable[TrackedRow]:
    of_sets = [clause for clause in clauses if clause.name.kind == "dataset"]
    others = [clause for clause in clauses if clause.name.kind != "dataset"]
    for row in rows:
        if not all(clause.holds(known.value(row, clause)) for clause in others):
            continue
        if of_sets and not _reads(connection, row.number, of_sets):
            continue
        yield row


def _reads(connection: sqlite3.Connection, number: int, clauses: Sequence[Clause]) -> bool:
    """Whether what a run read is as the clauses want it."""
    sets = tracking_inputs.datasets_of(connection, [number]).get(number, ())
    found = {
        "name": tuple(one.name for one in sets),
        "digest": tuple(one.digest for one in sets),
        "context": tuple(one.tags[CONTEXT] for one in sets if CONTEXT in one.tags),
    }
    return all(clause.holds(found[clause.name.key]) for clause in clauses)


def _by_number(values: Mapping[str, float]) -> dict[int, float]:
    return {
        int(owner[5:]): value
        for owner, value in values.items()
        if owner.startswith("runs/") and owner[5:].isdecimal()
    }
