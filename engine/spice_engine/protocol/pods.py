"""Requests and answers about Spicepods."""

from __future__ import annotations

from dataclasses import field
from typing import Any

from spice_engine.records import record

AS_TEXT = {"json_schema_extra": {"format": "utf-8"}}
"""Metadata of a field whose bytes are a text's in JSON; other bytes are base64 there."""


@record
class ProblemFix:
    """An edit that cures a problem: `text` in place of what stands there; the end is exclusive."""

    title: str
    line: int
    column: int
    end_line: int
    end_column: int
    text: str


@record
class ProblemInfo:
    """One finding in a manifest, its data or its reward code; 1-based, 0 where not known."""

    code: str
    severity: str
    message: str
    file: str
    line: int = 0
    column: int = 0
    hint: str = ""
    end_line: int = 0
    end_column: int = 0
    fix: ProblemFix | None = None

    def __str__(self) -> str:
        place = f"{self.file}:{self.line}:{self.column}" if self.line else self.file
        text = f"{place}: {self.severity} {self.code}: {self.message}"
        return f"{text} {self.hint}" if self.hint else text


@record
class ContinualInfo:
    """How a pod is trained again by itself: `every` so many seconds (0: by no schedule), on drift.

    Either waits for `needed` rows that came since the last training, of which there are `fresh`;
    the schedule also until `next`, in Unix seconds. `decided` says why the last policy so trained
    was taken up or was not; empty where there is none.
    """

    every: int
    drift: bool
    needed: int
    fresh: int
    next: float | None
    decided: str


@record
class PodInfo:
    """One pod. `state`: loading, training, ready, untrained, needs trust or failed.

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
    identifiers: list[str] = field(default_factory=list[str])
    measurements: list[str] = field(default_factory=list[str])
    categories: list[str] = field(default_factory=list[str])
    dataspaces: list[str] = field(default_factory=list[str])
    continual: ContinualInfo | None = None


@record
class PodList:
    """All pods of the folder, by name."""

    pods: list[PodInfo]


@record
class PodName:
    """One pod, by its name."""

    pod: str


@record
class Problems:
    """All findings of one pod."""

    problems: list[ProblemInfo]


@record
class TrainPod:
    """Train a pod now; with `wait` the answer comes when the training has ended.

    `loggers` come on top of those of the manifest; there is `tensorboard`.
    """

    pod: str
    algorithm: str = ""
    episodes: int | None = None
    wait: bool = False
    loggers: list[str] = field(default_factory=list[str])


@record
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


@record
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
    episodes_wanted: int = 0
    loggers: list[str] = field(default_factory=list[str])


@record
class TrainingId:
    """One training run, by pod and number."""

    pod: str
    number: int


@record
class OpenTensorBoard:
    """Show the curves of a pod's trainings, or of that of one `number`."""

    pod: str
    number: int | None = None


@record
class TensorBoardAddress:
    """Where a TensorBoard listens on the engine's machine, with what to show there."""

    url: str


@record
class TrainingList:
    """Training runs of a pod, oldest first."""

    trainings: list[TrainingInfo]


@record
class Recommend:
    """Ask what to do: at `time` (Unix seconds), or now; by the policy `alias` names.

    `state` asks what if these fields had these values.
    """

    pod: str
    time: int | None = None
    alias: str = "latest"
    explain: bool = False
    state: dict[str, float] | None = None


@record
class Recommendation:
    """What to do. `confidence`: calibrated probability that no other action is better.

    Of an action with a range also its `action_value`, in the `unit` that the manifest names.
    """

    pod: str
    action: str
    confidence: float
    start: int
    end: int
    tag: str
    policy_version: int
    values: dict[str, float] | None = None
    features: dict[str, float] | None = None
    rule: list[str] | None = None
    action_value: float | None = None
    unit: str = ""


@record
class LintFile:
    """Check the manifest at `path`, relative to the app folder."""

    path: str


@record
class Observe:
    """Observations of a pod: CSV with headers `time,from.name.field`, or JSON as they are served.

    With `dataspace` (`from/name`) the data are in the form of that dataspace's processor, and
    `format` is not used. The same `key`, or the same data within 24 hours, counts once.
    """

    pod: str
    data: bytes = field(metadata=AS_TEXT)
    format: str = "csv"
    dataspace: str = ""
    key: str = ""


@record
class Observed:
    """What became of observations: rows kept, rows and cells left out, with examples why."""

    rows: int
    bad_rows: int = 0
    bad_cells: dict[str, int] = field(default_factory=dict[str, int])
    examples: list[dict[str, Any]] = field(default_factory=list[dict[str, Any]])
    duplicate: bool = False


@record
class GetObservations:
    """Ask for a pod's raw rows of [start, end), as `csv` or `json`; `limit` 0: all.

    The newest `limit` rows; with `offset` those from that one on, in order of time.
    """

    pod: str
    start: int | None = None
    end: int | None = None
    limit: int = 0
    format: str = "csv"
    offset: int | None = None


@record
class Observations:
    """Raw rows of a pod as text in the format asked for."""

    rows: int
    text: str


@record
class Interpretation:
    """What somebody says about a stretch of data: Unix seconds, half-open."""

    start: int
    end: int
    name: str = ""
    actions: list[str] = field(default_factory=list[str])
    tags: list[str] = field(default_factory=list[str])


@record
class GetInterpretations:
    """Ask for the interpretations of a pod that overlap [start, end)."""

    pod: str
    start: int | None = None
    end: int | None = None


@record
class AddInterpretations:
    """Add interpretations to a pod: all, or none."""

    pod: str
    interpretations: list[Interpretation]


@record
class Interpretations:
    """Interpretations, by start."""

    interpretations: list[Interpretation]


@record
class RewardTestResult:
    """One reward test of a manifest: what it expected and what came out."""

    action: str
    expected: float
    passed: bool
    got: float | None = None
    error: str = ""
    file: str = ""
    line: int = 0


@record
class RewardTests:
    """The results of a pod's reward tests."""

    tests: list[RewardTestResult]


@record
class FeedInfo:
    """A live feed of a dataspace: starting, running, failing, done or invalid; Unix seconds.

    `failures` counts those in a row, `rows` and `bytes` what came since the engine began.
    """

    dataspace: str
    role: str
    connector: str
    state: str
    last_ok: float | None
    last_error: str
    last_error_at: float | None
    failures: int
    rows: int
    bad_rows: int
    bytes: int


@record
class FeedList:
    """The live feeds of a pod."""

    feeds: list[FeedInfo]
