"""The child processes that work for pods."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

from spice_engine.data.connectors.remote import PASSED_VARIABLES
from spice_engine.records import record
from spice_engine.settings import Settings
from spice_engine.workers.pool import ChildPool

LEAST_TRAINER_BYTES = 2 * 2**30
"""Address space: libraries reserve much more than they use."""

PREVIEW_IDLE_SECONDS = 120.0
PREVIEW_NICE = 19


@record
class PodPools:
    """The children that work for pods; `ingest` and `loaders` run the same code.

    Posts are parsed by children of their own, so that a large file does not hold them up.
    """

    loaders: ChildPool
    ingest: ChildPool
    fetchers: ChildPool
    trainers: ChildPool


@record
class PreviewPools:
    """The children of previews, which the machine serves after all others."""

    loader: ChildPool
    trainer: ChildPool


def make_pools(settings: Settings, logs: Path) -> dict[str, ChildPool]:
    """The pools of an engine by name; `logs` is the folder of their logs."""
    trainers = settings.trainers or max(2, (os.cpu_count() or 2) - 1)
    return {
        "trainer": ChildPool(
            "trainer",
            "spice_engine.learning.trainer",
            trainers,
            folder=logs,
            memory_bytes=_trainer_bytes(),
        ),
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
        "preview_loader": ChildPool(
            "preview-loader",
            "spice_engine.data.loader",
            1,
            folder=logs,
            idle_seconds=PREVIEW_IDLE_SECONDS,
            nice=PREVIEW_NICE,
        ),
        "preview_trainer": ChildPool(
            "preview-trainer",
            "spice_engine.learning.trainer",
            1,
            folder=logs,
            idle_seconds=PREVIEW_IDLE_SECONDS,
            memory_bytes=_trainer_bytes(),
            nice=PREVIEW_NICE,
        ),
        "search_trainer": ChildPool(
            "search-trainer",
            "spice_engine.learning.trainer",
            os.cpu_count() or 1,
            folder=logs,
            idle_seconds=PREVIEW_IDLE_SECONDS,
            memory_bytes=_trainer_bytes(),
            nice=PREVIEW_NICE,
        ),
        "searcher": ChildPool(
            "searcher", "spice_engine.runs.search_worker", 1, folder=logs, idle_seconds=60
        ),
        "query": ChildPool("query", "spice_engine.workers.query", 2, folder=logs, idle_seconds=60),
    }


def _trainer_bytes() -> int:
    """What a trainer may allocate: three quarters of the machine's or container's memory.

    A reward file's code may go wrong; it must not take the engine along.
    """
    memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    with suppress(OSError, ValueError):  # no control groups, or no limit ("max")
        memory = min(memory, int(Path("/sys/fs/cgroup/memory.max").read_text()))
    return max(3 * memory // 4, LEAST_TRAINER_BYTES)
