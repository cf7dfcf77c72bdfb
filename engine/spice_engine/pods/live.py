"""One pod as it lives in the engine: its manifest, its table, its policy, and what it answers.

The last good version of each stays until a good one replaces it, so that a wrong edit never
stops a pod from answering.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from spice_engine.errors import InvalidRequest, NotTrained, SpiceError
from spice_engine.pods.model import Manifest
from spice_engine.protocol.pods import PodInfo, ProblemInfo, Recommendation

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from spice_engine.learning.policy import Policy

CACHED_ANSWERS = 256


class InvalidTime(InvalidRequest):
    """A recommendation is asked for a time that no complete window ends at."""

    code = "invalid_recommendation_time"


class NotEnoughData(InvalidRequest):
    """The pod's data does not fill one window."""

    code = "not_enough_data"


@dataclass(frozen=True)
class Table:
    """The pod's state table: `values` [T, F], bucket i beginning at `start + i * granularity`.

    `complete` counts the rows whose bucket can no longer change. `folder` holds the files that
    `values` is mapped from.
    """

    values: NDArray[np.float64]
    fields: tuple[str, ...]
    start: int
    granularity: int
    complete: int
    folder: str

    def fits(self, policy: Policy) -> bool:
        """Whether the policy was trained on tables like this one."""
        return self.fields == tuple(policy.fields) and self.granularity == policy.granularity

    def end_of_newest(self) -> int:
        """End of the newest complete bucket, Unix seconds."""
        return self.start + self.complete * self.granularity

    def window(self, span: int, time: int | None) -> tuple[NDArray[np.float64], int]:
        """The `span` complete rows [span, F] before `time` (default: the newest), and their end.

        Raises:
            NotEnoughData: fewer than `span` rows are complete.
            InvalidTime: `time` is outside what the data covers.
        """
        if self.complete < span:
            raise NotEnoughData(
                f"the window takes {span} complete buckets, the data has {self.complete}.",
                hint="Wait for more data, or shorten params.interval.",
            )
        first, last = self.start + span * self.granularity, self.end_of_newest()
        if time is None:
            row = self.complete
        elif first <= time <= last:
            row = (time - self.start) // self.granularity
        else:
            raise InvalidTime(
                f"The time specified ({time}) is outside of the allowed range: ({first}, {last})"
            )
        end = last if time is None else time
        return self.values[row - span : row], end


@dataclass
class Pod:
    """A pod by name; everything in it is used on the engine's loop only."""

    name: str
    path: Path
    text_hash: str = ""
    manifest: Manifest | None = None
    manifest_problems: tuple[ProblemInfo, ...] = ()
    data_problems: tuple[ProblemInfo, ...] = ()
    training_problem: ProblemInfo | None = None
    table: Table | None = None
    stamps: tuple[tuple[int, int, int] | None, ...] = ()
    policy: Policy | None = None
    policy_version: int | None = None
    fingerprint: str = ""
    evaluation: dict[str, Any] | None = None
    training: int | None = None
    training_since: float = 0.0
    last_training: int | None = None
    loading: bool = False
    answers: OrderedDict[tuple[int, int, bool], Recommendation] = field(
        default_factory=OrderedDict[tuple[int, int, bool], Recommendation]
    )

    @property
    def state(self) -> str:
        """loading, training, ready, untrained or failed."""
        if self.training is not None:
            return "training"
        if self.loading:
            return "loading"
        if self.policy is not None:
            return "ready"
        return "failed" if any(p.severity == "error" for p in self.problems) else "untrained"

    @property
    def problems(self) -> list[ProblemInfo]:
        """All findings: of the manifest, of the data, of the last training."""
        last = (self.training_problem,) if self.training_problem else ()
        return [*self.manifest_problems, *self.data_problems, *last]

    @property
    def first_error(self) -> str:
        """What keeps the pod from being trained anew, empty where nothing does."""
        first = next((problem for problem in self.problems if problem.severity == "error"), None)
        return str(first) if first else ""

    def info(self, root: Path) -> PodInfo:
        """The pod as it crosses the doors."""
        manifest = self.manifest
        path = self.path
        return PodInfo(
            name=self.name,
            manifest=str(path.relative_to(root) if path.is_relative_to(root) else path),
            state=self.state,
            actions=[action.name for action in manifest.actions] if manifest else [],
            fields=list(self.table.fields) if self.table else [],
            episodes=manifest.params.episodes if manifest else 0,
            policy_version=self.policy_version,
            training=self.training,
            problems=self.problems,
            evaluation=self.evaluation,
            last_training=self.last_training,
        )

    def recommend(
        self, policy: Policy, version: int, time: int | None, *, tag: str, explain: bool
    ) -> Recommendation:
        """The policy's answer for a window of the pod's table.

        Raises:
            NotTrained: the pod has no data in the engine.
            NotEnoughData, InvalidTime: see `Table.window`.
        """
        table = self.table
        if table is None:
            hint = self.first_error or "It is being loaded."
            raise NotTrained(f"pod {self.name!r} has no data yet.", hint=hint)
        if not table.fits(policy):
            raise NotTrained(
                f"version {version} of pod {self.name!r} was trained on other fields.",
                hint="Train it again.",
            )
        window, end = table.window(policy.span, time)
        key = (version, end, explain)
        known = self.answers.get(key)
        if known is not None and known.tag == tag:
            return known
        answer = policy.recommend(window, explain=explain)
        given = Recommendation(
            pod=self.name,
            action=answer.action,
            confidence=answer.confidence,
            start=end - policy.span * policy.granularity,
            end=end,
            tag=tag,
            policy_version=version,
            values=dict(answer.values) if explain else None,
            features=dict(answer.features) if explain else None,
        )
        self.answers[key] = given
        if len(self.answers) > CACHED_ANSWERS:
            self.answers.popitem(last=False)
        return given


def problem_of(error: SpiceError, file: str) -> ProblemInfo:
    """An error of loading or training as a finding."""
    place = error.place
    return ProblemInfo(
        code=error.code,
        severity="error",
        message=error.message,
        file=place.file if place else file,
        line=place.line if place else 0,
        column=place.column if place else 0,
        hint=error.hint,
    )


def problem_from(data: dict[str, Any]) -> ProblemInfo:
    """A finding as plain data (`Problem.as_dict`, or a child's) as it crosses the doors."""
    place = data["place"]
    fix = data.get("fix")
    hint = ""
    # Most sentences name the cure already: "Did you mean 'csv'?".
    if fix is not None and fix["text"] not in data["message"]:
        hint = str(fix["title"])
    return ProblemInfo(
        code=data["code"],
        severity=data["severity"],
        message=data["message"],
        file=place["file"],
        line=place["line"],
        column=place["column"],
        hint=hint,
    )
