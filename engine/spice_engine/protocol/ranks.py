"""Requests and answers about the ranks of a run."""

from __future__ import annotations

from dataclasses import field

from spice_engine.records import record


@record
class RankInfo:
    """One rank; times are Unix seconds. `exit_code` is None while it runs, and where nobody saw
    its end."""

    rank: int
    pid: int
    started: float
    ended: float | None
    exit_code: int | None
    message: str
    log_bytes: int


@record
class RankList:
    """The ranks of a run that were started; `address` is where they meet."""

    ranks: list[RankInfo] = field(default_factory=list[RankInfo])
    address: str = ""
