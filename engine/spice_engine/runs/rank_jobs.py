"""Runs of several ranks: what their launcher is told, and what became of each rank."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

from spice_engine.errors import InvalidRequest, NotFound
from spice_engine.protocol.ranks import RankInfo, RankList
from spice_engine.runs import tracking_variables
from spice_engine.runs.logs import LOG_NAME
from spice_engine.runs.requests import SPELL_METRICS
from spice_engine.store.runs import RunRow
from spice_engine.workers.jobs import Job
from spice_engine.workers.shims import Exit
from spice_runtime import process, ranks

MOST_RANKS = 128
_DOORS = (SPELL_METRICS, tracking_variables.ADDRESS)


def check_ranks(count: int) -> None:
    """Refuse a number of ranks that no run can have; 0 is a run without ranks.

    Raises:
        InvalidRequest: it is negative or too large.
    """
    if not 0 <= count <= MOST_RANKS:
        raise InvalidRequest(f"distributed: {count} ranks; a run has between 1 and {MOST_RANKS}.")


def with_ranks(job: Job, row: RunRow, cores: float) -> Job:
    """The job that starts a run's ranks, if it has any; `cores` is what all of them are limited
    to, 0 if they are not."""
    if not row.distributed:
        return job
    return replace(
        job,
        # As a shim is started: nothing that the run brings can get in the launcher's way.
        argv=(sys.executable, "-I", "-S", ranks.__file__),
        cwd="",
        views=(),
        ranks={
            "count": row.distributed,
            "argv": list(job.argv),
            "cwd": job.cwd,
            "views": [dict(view) for view in job.views],
            "threads": int(cores // row.distributed) or int(cores > 0),
            "name": str(row.id),
            "grace_s": job.grace_s,
            # A server that the run names itself knows nothing of ranks.
            "doors": [name for name in _DOORS if name in job.env and name not in row.env],
        },
    )


def log_of(folder: Path, rank: int) -> Path:
    """Where the log of one rank is, in its run's folder."""
    return folder / ranks.LOGS / str(rank) / LOG_NAME


def check_rank(row: RunRow, rank: int) -> None:
    """Refuse a rank that a run does not have.

    Raises:
        NotFound: it has not.
    """
    if not 0 <= rank < row.distributed:
        last = row.distributed - 1
        has = f"ranks 0 to {last}" if row.distributed else "no ranks"
        raise NotFound(f"run {row.id} has no rank {rank}: it has {has}.")


def ranks_of(folder: Path, over: float | None = None) -> RankList:
    """What is known of the ranks of a run; those that did not start are left out. `over` is when
    the run was, if it is: a launcher that was killed told nothing of its ranks' end. Blocks."""
    told = process.read_json(str(folder), ranks.STATUS) or {}
    found = [
        RankInfo(
            rank=one["rank"],
            pid=one["pid"],
            started=one["started"],
            ended=one["ended"] or over,
            exit_code=one["exit_code"],
            message=one["message"] or ("ended with the run" if over else ""),
            log_bytes=_size(log_of(folder, one["rank"])),
        )
        for one in told.get("ranks", [])
    ]
    return RankList(found, told.get("address", ""))


def ended_with(row: RunRow, folder: Path, exit_: Exit) -> Exit:
    """The end of a run with ranks, which names the rank that failed first. Blocks."""
    if not row.distributed or exit_.reason != "exited":
        return exit_
    told = process.read_json(str(folder), ranks.STATUS) or {}
    for one in told.get("ranks", []):
        if one["rank"] == told.get("failed"):
            return replace(exit_, message=f"rank {one['rank']} {one['message']}")
    return replace(exit_, message=told.get("message") or exit_.message)


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0
