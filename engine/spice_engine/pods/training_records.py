"""Stored training runs and their episodes as they cross the doors."""

from __future__ import annotations

import sqlite3

from spice_engine.protocol.pods import Episode, TrainingInfo
from spice_engine.store import training as training_table
from spice_engine.store.training import EpisodeRow, TrainingRow

EPISODES_SHOWN = 5000
"""Episodes that one answer holds at most: more would hold up the loop while they are encoded."""


def episode_of(row: EpisodeRow) -> Episode:
    """A stored episode as it crosses the doors."""
    return Episode(
        episode=row.episode,
        start=row.started,
        end=row.ended,
        score=row.score,
        actions_taken=dict(row.actions),
        error=row.error or "",
        error_message=row.message or "",
        detail=dict(row.detail),
    )


def info_of(row: TrainingRow, episodes: list[Episode]) -> TrainingInfo:
    """A stored training run as it crosses the doors."""
    return TrainingInfo(
        pod=row.pod,
        number=row.number,
        algorithm=row.algorithm,
        state=row.state,
        started=row.started,
        ended=row.ended,
        error=row.error or "",
        message=row.message or "",
        policy_version=row.policy_version,
        evaluation=dict(row.evaluation) if row.evaluation else None,
        episodes=episodes,
        episodes_wanted=row.episodes_wanted,
    )


def read_run(connection: sqlite3.Connection, pod: str, number: int) -> TrainingInfo:
    """One run with its episodes, EPISODES_SHOWN at most.

    Raises:
        NotFound: there is none of that number.
    """
    row = training_table.get_run(connection, pod, number)
    return _with_episodes(connection, row, EPISODES_SHOWN)


def read_runs(connection: sqlite3.Connection, pod: str) -> list[TrainingInfo]:
    """All runs of a pod, oldest first, with EPISODES_SHOWN episodes at most in all."""
    rows = training_table.list_runs(connection, pod)
    share = EPISODES_SHOWN // max(1, len(rows))
    return [_with_episodes(connection, row, share) for row in reversed(rows)]


def _with_episodes(connection: sqlite3.Connection, row: TrainingRow, most: int) -> TrainingInfo:
    rows = training_table.spread_episodes(connection, row.pod, row.number, most)
    return info_of(row, [episode_of(one) for one in rows])
