"""Reading the SQLite database that MLflow keeps runs in where nobody says otherwise: `mlflow.db`.

The tables are those of `mlflow/store/tracking/dbmodels`; files lie beside it, in `mlruns` or
`mlartifacts`. Everything here blocks. Nothing is trusted: what cannot be read is left out and
noted, and no file from outside the database's folder is taken.
"""

from __future__ import annotations

import math
import sqlite3
import sys
from collections.abc import Iterable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from spice_engine.errors import InvalidRequest, StorageError
from spice_engine.runs.mlruns_reading import (
    FoundExperiment,
    FoundModel,
    FoundRun,
    Notes,
    milliseconds,
)
from spice_engine.runs.tracking_checks import MOST_PARAM, MOST_TAG, check_name, check_points
from spice_engine.runs.tracking_points import Sent

FILE = "mlflow.db"
FOLDERS = ("mlruns", "mlartifacts")
_LARGEST = sys.float_info.max
"""What MLflow writes for an infinity."""


class DatabaseStore:
    """One such database."""

    def __init__(self, path: Path) -> None:
        self._path = path.resolve()
        self._folder = self._path.parent

    def experiments(self, notes: Notes) -> list[FoundExperiment]:
        """The experiments in it.

        Raises:
            InvalidRequest: it is no database of MLflow's.
        """
        try:
            tables = {row[0] for row in self._rows("SELECT name FROM sqlite_master")}
        except StorageError as error:
            raise InvalidRequest(f"{self._path} is no database: {error.message}") from error
        if not {"experiments", "runs", "metrics", "params", "tags"} <= tables:
            raise InvalidRequest(
                f"{self._path} is no database of MLflow's.",
                hint="Name mlflow.db, or the folder that MLflow's file store wrote: mlruns.",
            )
        models = self._models(notes) if "logged_models" in tables else {}
        found: list[FoundExperiment] = []
        for number, name, stage in self._rows(
            "SELECT experiment_id, name, lifecycle_stage FROM experiments ORDER BY experiment_id"
        ):
            tags = self._rows(
                "SELECT key, value FROM experiment_tags WHERE experiment_id = ?", number
            )
            runs = self._rows("SELECT run_uuid FROM runs WHERE experiment_id = ?", number)
            found.append(
                FoundExperiment(
                    str(number),
                    str(name),
                    _texts(tags, MOST_TAG, "tag", f"experiment {number}", notes),
                    tuple(str(row[0]) for row in runs),
                    tuple(models.get(str(number), ())),
                    deleted=stage == "deleted",
                )
            )
        return found

    def run(self, key: str, notes: Notes) -> FoundRun | None:
        """One run of it, by its id; None if it cannot be one."""
        rows = self._rows(
            "SELECT experiment_id, name, user_id, status, start_time, end_time, lifecycle_stage,"
            " artifact_uri FROM runs WHERE run_uuid = ?",
            key,
        )
        experiment, name, user, status, begun, ended, stage, uri = tuple(rows)[-1]
        started = milliseconds(begun)
        if started is None or not key.isalnum():
            notes.add(f"{key[:100]}: it has no begin.")
            return None
        tags = _texts(
            self._rows("SELECT key, value FROM tags WHERE run_uuid = ?", key),
            MOST_TAG,
            "tag",
            key,
            notes,
        )
        params = _texts(
            self._rows("SELECT key, value FROM params WHERE run_uuid = ?", key),
            MOST_PARAM,
            "param",
            key,
            notes,
        )
        end = milliseconds(ended)
        return FoundRun(
            key,
            str(name or tags.get("mlflow.runName", "")),
            str(user or ""),
            str(status),
            started / 1000,
            None if end is None else end / 1000,
            stage == "deleted",
            params,
            tags,
            self._files(uri, f"{experiment}/{key}/artifacts", key, notes),
        )

    def points(self, found: FoundRun, notes: Notes, most: int) -> Iterator[list[Sent]]:
        """The points of a run's metrics, at most so many at a time."""
        batch: list[Sent] = []
        for row in self._rows(
            "SELECT key, value, timestamp, step, is_nan FROM metrics WHERE run_uuid = ?"
            " ORDER BY key, step, timestamp",
            found.uuid,
        ):
            sent = _sent(row)
            if sent is None:
                notes.add(f"{found.uuid}: a value of metric {str(row[0])[:100]!r} is no point.")
                continue
            batch.append(sent)
            if len(batch) >= most:
                yield batch
                batch = []
        if batch:
            yield batch

    def _models(self, notes: Notes) -> dict[str, list[FoundModel]]:
        found: dict[str, list[FoundModel]] = {}
        for uuid, experiment, name, uri, run in self._rows(
            "SELECT model_id, experiment_id, name, artifact_location, source_run_id"
            " FROM logged_models WHERE lifecycle_stage = 'active' AND source_run_id IS NOT NULL"
        ):
            place = self._files(uri, f"{experiment}/models/{uuid}/artifacts", str(uuid), notes)
            if place.is_dir():
                model = FoundModel(str(uuid), str(run), str(name), place)
                found.setdefault(str(experiment), []).append(model)
        return found

    def _files(self, uri: object, inner: str, whose: str, notes: Notes) -> Path:
        """Where the files of a run or a model are: where the database says, if that is beside it,
        or where MLflow puts them."""
        parts = urlsplit(str(uri or ""))
        told = Path(unquote(parts.path)) if parts.scheme in {"", "file"} else None
        usual = [self._folder / folder / inner for folder in FOLDERS]
        for place in [*([told] if told is not None else []), *usual]:
            if place.resolve().is_relative_to(self._folder) and place.is_dir():
                return place
        if told is None or told.is_dir():
            notes.add(f"{whose[:100]}: its files are left out: {str(uri)[:200]!r} is elsewhere.")
        return usual[0]

    def _rows(self, query: str, *values: object) -> Iterator[tuple[Any, ...]]:
        try:
            address = f"{self._path.as_uri()}?mode=ro"
            with closing(_connect(address)) as connection:
                yield from connection.execute(query, values)
        except sqlite3.Error as error:
            raise StorageError(f"{self._path} cannot be read: {error}.") from error


def _connect(address: str) -> sqlite3.Connection:
    # Points are read in one thread after the other.
    connection = sqlite3.connect(address, uri=True, check_same_thread=False)
    connection.text_factory = _text
    return connection


def _text(data: bytes) -> str:
    return data.decode("utf-8", "replace")


def _texts(
    rows: Iterable[tuple[Any, ...]], most: int, what: str, whose: str, notes: Notes
) -> dict[str, str]:
    found: dict[str, str] = {}
    for key, value in rows:
        try:
            check_name(str(key), what)
        except InvalidRequest as error:
            notes.add(f"{whose[:100]}: {error.message}")
            continue
        text = str("" if value is None else value).replace("\0", "")
        if len(text) > most:
            notes.add(f"{whose[:100]}: {what} {str(key)[:100]!r} is too long.")
            continue
        found[str(key)] = text
    return found


def _sent(row: tuple[Any, ...]) -> Sent | None:
    name, value, moment, step, nan = row
    try:
        number = math.nan if nan else float(value)
        if abs(number) >= _LARGEST:
            number = math.copysign(math.inf, number)
        sent = Sent(str(name), number, int(moment), int(step))
        check_points([sent])
    except (TypeError, ValueError, OverflowError, InvalidRequest):
        return None
    return sent
