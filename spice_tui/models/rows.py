"""Pods, runs, trainings and packages as rows of tables."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from spice_tui.models.columns import Column, Row
from spice_tui.models.verdict import regret_closed

if TYPE_CHECKING:
    from spice_engine.protocol.packages import PackageInfo
    from spice_engine.protocol.pods import Interpretation, PodInfo, TrainingInfo
    from spice_engine.protocol.runs import RunInfo
    from spice_tui.models.world import World

PODS = (
    Column("state", "", "state", least=1, most=1),
    Column("name", "pod", weight=1, least=8),
    Column("regret", "closed", "percent", least=6, most=6),
)
TRIALS = (
    Column("state", "state", "state", least=10, most=12, importance=8),
    Column("pod", "pod", least=9, most=24, importance=9),
    Column("number", "training", "number", least=8, most=8, importance=9),
    Column("algorithm", "algorithm", least=9, most=16, importance=7),
    Column("episodes", "episodes", "number", least=8, most=8),
    Column("score", "score", "number", least=8, most=12, importance=6),
    Column("regret", "held out", "percent", least=8, most=8, importance=7),
    Column("version", "version", "number", least=7, most=7),
    Column("started", "began", "time", least=8, most=12),
    Column("took", "took", "duration", least=6, most=9),
    Column("message", "message", weight=1, least=8, most=60, importance=3),
)
INTERPRETATIONS = (
    Column("start", "from", least=19, most=19, importance=9),
    Column("end", "to", least=19, most=19, importance=7),
    Column("name", "name", least=6, most=40, weight=1, importance=9),
    Column("actions", "actions", least=6, most=24),
    Column("tags", "tags", least=4, most=24),
)
PACKAGES = (
    Column("name", "package", least=10, most=40, importance=9),
    Column("version", "version", least=6, most=10),
    Column("registry", "registry", least=8, most=20),
    Column("summary", "summary", weight=1, least=12, most=100, importance=7),
)


def pod_rows(world: World) -> list[Row]:
    """One row a pod, by name."""
    return [_pod(world.pods[name]) for name in sorted(world.pods)]


def _pod(pod: PodInfo) -> Row:
    errors = sum(problem.severity == "error" for problem in pod.problems)
    state = "failed" if errors and pod.state == "ready" else pod.state
    return Row(
        pod.name,
        {
            "state": state,
            "name": pod.name,
            "regret": regret_closed(pod.evaluation),
            "problems": len(pod.problems),
            "version": pod.policy_version,
        },
    )


def run_state(run: RunInfo) -> str:
    """The state a person wants to know: a run that ended badly is not just complete."""
    return run.outcome or run.state


def trial_rows(trainings: Iterable[TrainingInfo], world: World) -> list[Row]:
    """One row a training run, newest first."""
    rows: list[Row] = []
    for info in sorted(trainings, key=lambda info: -info.started):
        episodes = world.episodes.get(f"{info.pod}/{info.number}", ())
        scores = [episode.score for episode in episodes if not episode.error]
        rows.append(
            Row(
                f"{info.pod}/{info.number}",
                {
                    "state": info.state,
                    "pod": info.pod,
                    "number": info.number,
                    "algorithm": info.algorithm,
                    "episodes": len(episodes) or None,
                    "score": max(scores, default=None),
                    "regret": regret_closed(info.evaluation),
                    "version": info.policy_version,
                    "started": info.started,
                    "took": info.ended - info.started if info.ended else None,
                    "message": info.message or info.error,
                },
            )
        )
    return rows


def interpretation_rows(items: Iterable[Interpretation], moment: Any) -> list[Row]:
    """One row an interpretation; `moment` writes a time."""
    return [
        Row(
            str(number),
            {
                "start": moment(one.start),
                "end": moment(one.end),
                "name": one.name,
                "actions": " ".join(one.actions),
                "tags": " ".join(one.tags),
            },
        )
        for number, one in enumerate(items)
    ]


def package_rows(packages: Iterable[PackageInfo]) -> list[Row]:
    """One row a package."""
    return [
        Row(
            one.name,
            {
                "name": one.name,
                "version": one.version,
                "registry": one.registry,
                "summary": one.summary,
            },
        )
        for one in packages
    ]
