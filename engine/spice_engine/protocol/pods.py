"""Requests and answers about Spicepods."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class ProblemInfo:
    """One finding in a manifest, its data or its reward code."""

    code: str
    severity: str
    message: str
    file: str
    line: int = 0
    column: int = 0
    hint: str = ""

    def __str__(self) -> str:
        place = f"{self.file}:{self.line}:{self.column}" if self.line else self.file
        text = f"{place}: {self.severity} {self.code}: {self.message}"
        return f"{text} {self.hint}" if self.hint else text


@dataclass(frozen=True, slots=True)
class PodInfo:
    """One pod. `state`: loading, training, ready, untrained or failed.

    `training` is the number of the training run under way, `last_training` of the newest one.
    """

    name: str
    manifest: str
    state: str
    actions: list[str]
    fields: list[str]
    episodes: int
    policy_version: int | None
    training: int | None
    problems: list[ProblemInfo]
    evaluation: dict[str, Any] | None = None
    last_training: int | None = None


@dataclass(frozen=True, slots=True)
class PodList:
    """All pods of the folder, by name."""

    pods: list[PodInfo]


@dataclass(frozen=True, slots=True)
class PodName:
    """One pod, by its name."""

    pod: str


@dataclass(frozen=True, slots=True)
class Problems:
    """All findings of one pod."""

    problems: list[ProblemInfo]


@dataclass(frozen=True, slots=True)
class TrainPod:
    """Train a pod now; with `wait` the answer comes when the training has ended."""

    pod: str
    algorithm: str = ""
    episodes: int | None = None
    wait: bool = False


@dataclass(frozen=True, slots=True)
class Episode:
    """One greedy evaluation after one unit of learning; times are Unix seconds."""

    episode: int
    start: float
    end: float
    score: float
    actions_taken: dict[str, int] = field(default_factory=dict[str, int])
    error: str = ""
    error_message: str = ""
    detail: dict[str, Any] = field(default_factory=dict[str, Any])


@dataclass(frozen=True, slots=True)
class TrainingInfo:
    """One training run of a pod."""

    pod: str
    number: int
    algorithm: str
    state: str
    started: float
    ended: float | None
    error: str
    message: str
    policy_version: int | None
    evaluation: dict[str, Any] | None
    episodes: list[Episode]


@dataclass(frozen=True, slots=True)
class TrainingId:
    """One training run, by pod and number."""

    pod: str
    number: int


@dataclass(frozen=True, slots=True)
class TrainingList:
    """Training runs of a pod, oldest first."""

    trainings: list[TrainingInfo]


@dataclass(frozen=True, slots=True)
class Recommend:
    """Ask what to do: at `time` (Unix seconds), or now; by the policy `alias` names."""

    pod: str
    time: int | None = None
    alias: str = "latest"
    explain: bool = False


@dataclass(frozen=True, slots=True)
class Recommendation:
    """What to do. `confidence`: calibrated probability that no other action is better."""

    pod: str
    action: str
    confidence: float
    start: int
    end: int
    tag: str
    policy_version: int
    values: dict[str, float] | None = None
    features: dict[str, float] | None = None


@dataclass(frozen=True, slots=True)
class LintFile:
    """Check the manifest at `path`, relative to the app folder."""

    path: str
