"""What runs were told to have read and made: datasets, and models that were logged.

Every function runs inside `Database.write` or `Database.read`.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping, Sequence
from typing import Any, Literal

from spice_engine.errors import NotFound
from spice_engine.records import record
from spice_engine.store.columns import from_json, placeholders, to_json
from spice_engine.store.model_metrics import ModelMetric

Role = Literal["input", "output"]

_MODEL_COLUMNS = "id, run_id, name, folder, type, status, created, changed, deleted, tags, params"


@record
class DatasetRow:
    """A dataset that a run read; `detail` holds where it comes from, its schema and profile."""

    name: str
    digest: str
    detail: Mapping[str, str]
    tags: Mapping[str, str]


@record
class ModelUse:
    """A logged model that a run read, or made at a step."""

    model: str
    role: Role
    step: int


@record
class LoggedModel:
    """A model that a client logged: files in `folder` of the outputs of the run that made it.
    Times are unix seconds. `metrics` are read apart."""

    id: str
    run: int
    name: str
    folder: str
    type: str
    status: str
    created: float
    changed: float
    deleted: float | None
    tags: Mapping[str, str]
    params: Mapping[str, str]
    metrics: tuple[ModelMetric, ...] = ()


def add_datasets(
    connection: sqlite3.Connection, number: int, datasets: Sequence[DatasetRow]
) -> None:
    """Notes what a run read; what is noted already stays as it is."""
    connection.executemany(
        "INSERT INTO run_datasets (run_id, name, digest, detail, tags) VALUES (?, ?, ?, ?, ?)"
        " ON CONFLICT DO NOTHING",
        [
            (number, one.name, one.digest, to_json(dict(one.detail)), to_json(dict(one.tags)))
            for one in datasets
        ],
    )


def datasets_of(
    connection: sqlite3.Connection, numbers: Sequence[int]
) -> dict[int, tuple[DatasetRow, ...]]:
    """What each of these runs read."""
    found: dict[int, tuple[DatasetRow, ...]] = {}
    for start in range(0, len(numbers), 1000):
        some = list(numbers[start : start + 1000])
        for number, name, digest, detail, tags in connection.execute(
            "SELECT run_id, name, digest, detail, tags FROM run_datasets"
            f" WHERE run_id IN ({placeholders(some)}) ORDER BY run_id, name, digest",
            some,
        ):
            row = DatasetRow(name, digest, from_json(detail), from_json(tags))
            found[number] = (*found.get(number, ()), row)
    return found


def add_uses(connection: sqlite3.Connection, number: int, uses: Sequence[ModelUse]) -> None:
    """Notes which logged models a run read or made."""
    connection.executemany(
        "INSERT INTO run_models (run_id, model, role, step) VALUES (?, ?, ?, ?)"
        " ON CONFLICT DO NOTHING",
        [(number, use.model, use.role, use.step) for use in uses],
    )


def uses_of(
    connection: sqlite3.Connection, numbers: Sequence[int]
) -> dict[int, tuple[ModelUse, ...]]:
    """The logged models of each of these runs."""
    found: dict[int, tuple[ModelUse, ...]] = {}
    for start in range(0, len(numbers), 1000):
        some = list(numbers[start : start + 1000])
        for number, model, role, step in connection.execute(
            "SELECT run_id, model, role, step FROM run_models"
            f" WHERE run_id IN ({placeholders(some)}) ORDER BY run_id, role, step, model",
            some,
        ):
            found[number] = (*found.get(number, ()), ModelUse(model, role, step))
    return found


def add_model(connection: sqlite3.Connection, model: LoggedModel) -> LoggedModel:
    """Adds a logged model. Its folder is the one wished for, or where that is taken one beside."""
    taken = connection.execute(
        "SELECT 1 FROM logged_models WHERE run_id = ? AND folder = ?", (model.run, model.folder)
    ).fetchone()
    folder = model.folder if taken is None else f"{model.folder}-{model.id[2:10]}"
    connection.execute(
        f"INSERT INTO logged_models ({_MODEL_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (
            model.id,
            model.run,
            model.name,
            folder,
            model.type,
            model.status,
            model.created,
            model.changed,
            None,
            to_json(dict(model.tags)),
            to_json(dict(model.params)),
        ),
    )
    return get_model(connection, model.id)


def get_model(connection: sqlite3.Connection, model: str) -> LoggedModel:
    """The logged model with this id.

    Raises:
        NotFound: there is none, or it was deleted.
    """
    row = connection.execute(
        f"SELECT {_MODEL_COLUMNS} FROM logged_models WHERE id = ? AND deleted IS NULL", (model,)
    ).fetchone()
    if row is None:
        raise NotFound(f"Logged model with ID {model[:100]!r} not found.")
    return _model(row)


def models_of(
    connection: sqlite3.Connection, experiments: Sequence[int]
) -> list[tuple[int, LoggedModel]]:
    """The logged models of the runs of these experiments, newest first, each with its
    experiment's number."""
    columns = ", ".join(f"m.{name}" for name in _MODEL_COLUMNS.split(", "))
    rows = connection.execute(
        f"SELECT e.id, {columns} FROM logged_models m JOIN runs r ON r.id = m.run_id"
        " JOIN experiments e ON e.project = coalesce(r.project, '')"
        f" WHERE m.deleted IS NULL AND e.id IN ({placeholders(list(experiments))})"
        " ORDER BY m.created DESC, m.id",
        tuple(experiments),
    )
    return [(row[0], _model(row[1:])) for row in rows]


def change_model(
    connection: sqlite3.Connection,
    model: str,
    now: float,
    *,
    status: str | None = None,
    tags: Mapping[str, str] | None = None,
    params: Mapping[str, str] | None = None,
    deleted: float | None = None,
) -> LoggedModel:
    """Sets what is given of a logged model; of one that is deleted by this, as it was.

    Raises:
        NotFound: there is none.
    """
    before = get_model(connection, model)
    connection.execute(
        "UPDATE logged_models SET status = coalesce(?, status), tags = coalesce(?, tags),"
        " params = coalesce(?, params), deleted = ?, changed = ? WHERE id = ?",
        (
            status,
            None if tags is None else to_json(dict(tags)),
            None if params is None else to_json(dict(params)),
            deleted,
            now,
            model,
        ),
    )
    return before if deleted is not None else get_model(connection, model)


def _model(row: tuple[Any, ...]) -> LoggedModel:
    return LoggedModel(*row[:9], tags=from_json(row[9]), params=from_json(row[10]))
