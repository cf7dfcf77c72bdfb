"""The child processes that work for pods."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from spice_engine.data.fetcher import PASSED_VARIABLES
from spice_engine.settings import Settings
from spice_engine.workers.pool import ChildPool


@dataclass(frozen=True, slots=True)
class PodPools:
    """The children that work for pods; `ingest` and `loaders` run the same code.

    Posts are parsed by children of their own, so that a large file does not hold them up.
    """

    loaders: ChildPool
    ingest: ChildPool
    fetchers: ChildPool
    trainers: ChildPool


def make_pools(settings: Settings, logs: Path) -> dict[str, ChildPool]:
    """The pools of an engine by name; `logs` is the folder of their logs."""
    trainers = settings.trainers or max(2, (os.cpu_count() or 2) - 1)
    return {
        "trainer": ChildPool("trainer", "spice_engine.learning.trainer", trainers, folder=logs),
        "loader": ChildPool("loader", "spice_engine.data.loader", settings.loaders, folder=logs),
        # Two, so that merging files of one pod does not hold up the posts of all.
        "ingest": ChildPool("ingest", "spice_engine.data.loader", 2, folder=logs),
        "fetcher": ChildPool(
            "fetcher",
            "spice_engine.data.fetcher",
            2,
            folder=logs,
            env={name: os.environ[name] for name in PASSED_VARIABLES if name in os.environ},
        ),
        "query": ChildPool("query", "spice_engine.workers.query", 2, folder=logs, idle_seconds=60),
    }
