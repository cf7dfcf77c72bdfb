"""Reading a folder that MLflow's file store wrote: `mlruns/EXPERIMENT/RUN`, files of text.

The layout is that of `mlflow/store/tracking/file_store.py`. Everything here blocks. Nothing is
trusted: what cannot be read is left out and noted.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import yaml

from spice_engine.errors import InvalidRequest
from spice_engine.records import record
from spice_engine.runs.tracking_checks import MOST_PARAM, MOST_TAG, check_name, check_points
from spice_engine.runs.tracking_points import Sent
from spice_engine.store.disk import storage_error

META, ARTIFACTS, METRICS, PARAMS, TAGS, MODELS, TRASH = (
    "meta.yaml",
    "artifacts",
    "metrics",
    "params",
    "tags",
    "models",
    ".trash",
)
"""Deleted experiments lie in the last one."""
MOST_META_BYTES = 2**20
_STATUSES = {1: "RUNNING", 2: "SCHEDULED", 3: "FINISHED", 4: "FAILED", 5: "KILLED"}


@record
class FoundRun:
    """A run in such a folder; times are unix seconds, its files lie in `files`."""

    uuid: str
    name: str
    user: str
    status: str
    started: float
    ended: float | None
    deleted: bool
    params: Mapping[str, str]
    tags: Mapping[str, str]
    files: Path


@record
class FoundModel:
    """A model that a run logged; its files lie in `files`."""

    uuid: str
    run: str
    name: str
    files: Path


@record
class FoundExperiment:
    """An experiment in such a folder, with the names by which the store has its runs."""

    id: str
    name: str
    tags: Mapping[str, str]
    runs: tuple[str, ...]
    models: tuple[FoundModel, ...] = ()
    deleted: bool = False


@dataclass(slots=True)
class Notes:
    """What was left out, and why; the first hundred of it."""

    lines: list[str] = field(default_factory=list[str])

    def add(self, line: str) -> None:
        """One more."""
        if len(self.lines) < 100:
            self.lines.append(line)


def is_store(folder: Path) -> bool:
    """Whether a folder is one that MLflow's file store wrote."""
    return any((one / META).is_file() for one in _folders(folder))


class FolderStore:
    """One such folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def experiments(self, notes: Notes) -> list[FoundExperiment]:
        """The experiments in it.

        Raises:
            InvalidRequest: the folder holds none.
            StorageError: it cannot be read.
        """
        folder = self._folder
        found: list[FoundExperiment] = []
        trash = folder / TRASH
        deleted = _folders(trash) if trash.is_dir() else []
        for place in (*_folders(folder), *deleted):
            meta = _meta(place / META)
            if not isinstance(meta.get("name"), str) or "experiment_id" not in meta:
                if place != trash and any((one / META).is_file() for one in _folders(place)):
                    notes.add(f"{place.name[:100]}: its {META} is not that of an experiment.")
                continue
            inner = [one for one in _folders(place) if (one / META).is_file()]
            models = [] if not (place / MODELS).is_dir() else list(_models(place / MODELS))
            tags = _texts(place / TAGS, MOST_TAG, "tag", notes)
            found.append(
                FoundExperiment(
                    str(meta["experiment_id"]),
                    meta["name"],
                    tags,
                    tuple(map(str, inner)),
                    tuple(models),
                    deleted=place.parent == trash,
                )
            )
        if not found:
            raise InvalidRequest(
                f"{str(folder)[:200]} holds no experiments of MLflow.",
                hint="Name the folder that MLflow's file store wrote: mlruns.",
            )
        return found

    def run(self, key: str, notes: Notes) -> FoundRun | None:
        """One run of it, by its folder; None if it is none."""
        folder = Path(key)
        meta = _meta(folder / META)
        uuid = str(meta.get("run_id") or meta.get("run_uuid") or "")
        started = milliseconds(meta.get("start_time"))
        if uuid != folder.name or started is None:
            notes.add(f"{folder.name[:100]}: its {META} is not that of a run.")
            return None
        tags = _texts(folder / TAGS, MOST_TAG, "tag", notes)
        status = meta.get("status")
        ended = milliseconds(meta.get("end_time"))
        return FoundRun(
            uuid,
            str(meta.get("run_name") or tags.get("mlflow.runName", "")),
            str(meta.get("user_id") or ""),
            _STATUSES.get(status, str(status)) if isinstance(status, int) else str(status),
            started / 1000,
            None if ended is None else ended / 1000,
            meta.get("lifecycle_stage") == "deleted",
            _texts(folder / PARAMS, MOST_PARAM, "param", notes),
            tags,
            folder / ARTIFACTS,
        )

    def points(self, found: FoundRun, notes: Notes, most: int) -> Iterator[list[Sent]]:
        """The points of a run's metrics, at most so many at a time."""
        folder = found.files.parent
        batch: list[Sent] = []
        for path in files(folder / METRICS):
            name = path.relative_to(folder / METRICS).as_posix()
            told = f"{folder.name}: {{}} of metric {name[:100]!r} {{}}."
            try:
                for number, line in enumerate(_lines(path), 1):
                    sent = _sent(name, line)
                    if sent is None:
                        notes.add(told.format(f"line {number}", "is no point"))
                        continue
                    batch.append(sent)
                    if len(batch) >= most:
                        yield batch
                        batch = []
            except OSError as error:
                notes.add(told.format("the file", f"cannot be read: {error.strerror}"))
        if batch:
            yield batch


def _lines(path: Path) -> Iterator[str]:
    with path.open(encoding="utf-8", errors="replace") as lines:
        yield from lines


def _sent(name: str, line: str) -> Sent | None:
    words = line.split()
    try:
        sent = Sent(name, float(words[1]), int(words[0]), int(words[2]) if len(words) > 2 else 0)
        check_points([sent])
    except (ValueError, IndexError, InvalidRequest):
        return None
    return sent


def _models(folder: Path) -> Iterator[FoundModel]:
    for place in _folders(folder):
        meta = _meta(place / META)
        uuid, run_uuid = str(meta.get("model_id") or ""), str(meta.get("source_run_id") or "")
        if uuid == place.name and run_uuid and (place / ARTIFACTS).is_dir():
            yield FoundModel(uuid, run_uuid, str(meta.get("name") or uuid), place / ARTIFACTS)


def _texts(folder: Path, most: int, what: str, notes: Notes) -> dict[str, str]:
    found: dict[str, str] = {}
    for path in files(folder):
        name = path.relative_to(folder).as_posix()
        try:
            check_name(name, what)
        except InvalidRequest as error:
            notes.add(f"{folder.parent.name[:100]}: {error.message}")
            continue
        try:
            with path.open("rb") as source:
                data = source.read(4 * most + 4)
        except OSError as error:
            notes.add(f"{folder.parent.name[:100]}: {what} {name[:100]!r}: {error.strerror}.")
            continue
        value = data.decode("utf-8", "replace").replace("\0", "")
        if len(value) > most:
            notes.add(f"{folder.parent.name[:100]}: {what} {name[:100]!r} is too long.")
            continue
        found[name] = value
    return found


def files(folder: Path) -> Iterator[Path]:
    """The files below a folder, none through a link."""
    for path, _, names in os.walk(folder):
        for name in sorted(names):
            place = Path(path, name)
            if place.is_file() and not place.is_symlink():
                yield place


def _folders(folder: Path) -> list[Path]:
    try:
        return sorted(one for one in folder.iterdir() if one.is_dir() and not one.is_symlink())
    except OSError as error:
        raise storage_error(error, "read the folder", folder) from error


def _meta(path: Path) -> dict[str, Any]:
    """A `meta.yaml`; empty where there is none that can be read."""
    try:
        with path.open("rb") as source:
            data = yaml.safe_load(source.read(MOST_META_BYTES))
    except (OSError, yaml.YAMLError, ValueError, RecursionError):
        return {}
    return cast("dict[str, Any]", data) if isinstance(data, dict) else {}


def milliseconds(value: object) -> float | None:
    """A time as MLflow writes it; None where it is none."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return float(value) if 0 <= value < 2**48 else None
