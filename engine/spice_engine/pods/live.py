"""One pod as it lives in the engine: its manifest, its table, its policy, and what it answers.

The last good version of each stays until a good one replaces it, so that a wrong edit never
stops a pod from answering.
"""

from __future__ import annotations

import asyncio
import math
import time as clock
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from spice_engine.errors import InvalidRequest, NotTrained, SpiceError
from spice_engine.pods.model import Manifest
from spice_engine.pods.take_up import learning_on
from spice_engine.protocol.pods import PodInfo, ProblemFix, ProblemInfo, Recommendation

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from spice_engine.learning.policy import Policy
    from spice_engine.learning.policy import Recommendation as Answer

CACHED_ANSWERS = 8192
CACHED_NEWEST = 64


class InvalidTime(InvalidRequest):
    """A recommendation is asked for a time that no complete window ends at."""

    code = "invalid_recommendation_time"


class NotEnoughData(InvalidRequest):
    """The pod's data does not fill one window."""

    code = "not_enough_data"


@dataclass(frozen=True)
class Table:
    """The pod's state table: `values` [T, F], bucket i beginning at `start + i * granularity`.

    `closed` counts the rows whose bucket could no longer change when it was read. `folder` holds
    the files that `values` is mapped from. Without interpolation `moments` [T] are the times of
    the rows, each of which is a state of its own. `posted` is the pod's, before it was read.
    `loaded` is what the loader said, None of a window that came with a package.
    """

    values: NDArray[np.float64]
    fields: tuple[str, ...]
    start: int
    granularity: int
    closed: int
    folder: str
    moments: NDArray[np.int64] | None = None
    posted: int = 0
    loaded: Mapping[str, Any] | None = None

    @property
    def complete(self) -> int:
        """How many rows can no longer change: the clock completes the last one without any news."""
        rows = len(self.values)
        if self.closed == rows or self.moments is not None:
            return self.closed
        return rows if clock.time() >= self.start + rows * self.granularity else self.closed

    def fits(self, policy: Policy) -> bool:
        """Whether the policy was trained on tables like this one."""
        return self.fields == tuple(policy.fields) and self.granularity == policy.granularity

    def fills(self, policy: Policy) -> bool:
        """Whether the policy can answer from this table: it fits, and fills a window."""
        return self.fits(policy) and self.complete >= policy.span

    def end_of_newest(self) -> int:
        """End of the newest complete bucket, or time of the newest row; Unix seconds."""
        if self.moments is not None:
            return int(self.moments[self.complete - 1]) if self.complete else self.start
        return self.start + self.complete * self.granularity

    def rows_after(self, time: int) -> int:
        """How many of the rows that are learned from begin after `time`, in Unix seconds."""
        rows = int(self.loaded["training_rows"]) if self.loaded is not None else 0
        if self.moments is not None:
            return rows - int(self.moments[:rows].searchsorted(time, side="right"))
        until = (time - self.start) // self.granularity + 1
        return rows - min(max(until, 0), rows)

    def row_at(self, span: int, time: int | None) -> int:
        """How many complete rows lie before `time` (default: all), at least `span`.

        Raises:
            NotEnoughData: fewer than `span` rows are complete.
            InvalidTime: `time` is outside what the data covers.
        """
        complete = self.complete
        if complete < span:
            raise NotEnoughData(
                f"the window takes {span} complete buckets, the data has {complete}.",
                hint="Wait for more data, or shorten params.interval.",
            )
        last = self.end_of_newest()
        if self.moments is None:
            first = self.start + span * self.granularity
        else:
            first = int(self.moments[span - 1])
        if time is None:
            return complete
        if not first <= time <= last:
            raise InvalidTime(
                f"The time specified ({time}) is outside of the allowed range: ({first}, {last})"
            )
        if self.moments is None:
            return (time - self.start) // self.granularity
        return int(self.moments[:complete].searchsorted(time, side="right"))


@dataclass
class Pod:
    """A pod by name; everything in it is used on the engine's loop only."""

    name: str
    path: Path
    text_hash: str = ""
    manifest: Manifest | None = None
    manifest_problems: tuple[ProblemInfo, ...] = ()
    data_problems: tuple[ProblemInfo, ...] = ()
    feed_problems: tuple[ProblemInfo, ...] = ()
    training_problem: ProblemInfo | None = None
    needs_trust: bool = False
    posted: int = 0
    """Counts what was posted for it; `seen` is how far that was read."""
    seen: int = 0
    table: Table | None = None
    learned_from: Table | None = None
    """The table of the work under way once it is read; its files stay until the work's end."""
    stamps: tuple[tuple[int, int, int] | None, ...] = ()
    policy: Policy | None = None
    policy_version: int | None = None
    fingerprint: str = ""
    newest_fingerprint: str = ""
    """That of the newest version, where `policy` is an earlier one."""
    evaluation: dict[str, Any] | None = None
    training: int | None = None
    training_since: float = 0.0
    training_served: bool = False
    """Whether the training under way has given a policy."""
    next_training: float | None = None
    """When the schedule trains it next, if there are new rows enough; Unix seconds."""
    learned_until: int | None = None
    """What the last training has learned until, whether or not its policy serves."""
    decided: str = ""
    """Why the last policy that was trained again was taken up, or was not."""
    last_training: int | None = None
    loading: bool = False
    answers: dict[tuple[int, int, bool], Answer] = field(
        default_factory=dict[tuple[int, int, bool], "Answer"]
    )
    """What policies say, by version, row of the table and whether explained."""
    newest: dict[tuple[int, str, bool, int], Recommendation] = field(
        default_factory=dict[tuple[int, str, bool, int], Recommendation]
    )
    """The answers for now, by version, tag, whether explained, and complete rows."""
    caught_up: asyncio.Event = field(default_factory=asyncio.Event)
    """Set, and replaced by another, each time the data has been read anew."""

    def read_up_to(self, posted: int) -> None:
        """What was posted by then was read, or cannot be; whoever waits for it goes on."""
        self.seen = max(self.seen, posted)
        caught_up, self.caught_up = self.caught_up, asyncio.Event()
        caught_up.set()

    @property
    def state(self) -> str:
        """loading, training, ready, untrained, needs trust or failed."""
        if self.training is not None:
            return "training"
        if self.needs_trust:
            return "needs trust"
        if self.loading:
            return "loading"
        if self.policy is not None:
            return "ready"
        return "failed" if any(p.severity == "error" for p in self.problems) else "untrained"

    @property
    def problems(self) -> list[ProblemInfo]:
        """All findings: of the manifest, of the data, of the last training."""
        last = (self.training_problem,) if self.training_problem else ()
        return [*self.manifest_problems, *self.data_problems, *self.feed_problems, *last]

    @property
    def first_error(self) -> str:
        """What keeps the pod from being trained anew, empty where nothing does."""
        first = next((problem for problem in self.problems if problem.severity == "error"), None)
        return str(first) if first else ""

    def info(self, root: Path) -> PodInfo:
        """The pod as it crosses the doors."""
        manifest = self.manifest
        spaces = manifest.dataspaces if manifest else ()
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
            identifiers=[f"{s.prefix}.{one.name}" for s in spaces for one in s.identifiers],
            measurements=[f"{s.prefix}.{one.name}" for s in spaces for one in s.measurements],
            categories=[f"{s.prefix}.{one.name}" for s in spaces for one in s.categories],
            dataspaces=[s.path for s in spaces],
            continual=learning_on(self),
        )

    def recommend(
        self,
        policy: Policy,
        version: int,
        time: int | None,
        *,
        tag: str,
        explain: bool,
        state: Mapping[str, float] | None = None,
    ) -> Recommendation:
        """The policy's answer for a window of the pod's table.

        `state` replaces fields of the window's last row: what if it were so?

        Raises:
            NotTrained: the pod has no data in the engine.
            NotEnoughData, InvalidTime: see `Table.row_at`.
            InvalidRequest: `state` names a field that there is not.
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
        newest = (version, tag, explain, table.complete)
        if time is None and not state:
            known = self.newest.get(newest)
            if known is not None:
                return known
        if time is None and table.complete < policy.span and self._acts:
            return self._imagined(policy, version, table.fields, tag, explain=explain, state=state)
        row = table.row_at(policy.span, time)
        key = (version, row, explain)
        answer = None if state else self.answers.get(key)
        if answer is None:
            window = table.values[row - policy.span : row]
            if state:
                window = _supposed(window, table.fields, state)
            answer = policy.recommend(window, explain=explain)
            if not state:
                if len(self.answers) >= CACHED_ANSWERS:
                    self.answers.clear()
                self.answers[key] = answer
        end = table.end_of_newest() if time is None else time
        given = _given(self.name, answer, policy, version, end, tag, explain=explain)
        if time is None and not state:
            if len(self.newest) >= CACHED_NEWEST:
                self.newest.clear()
            self.newest[newest] = given
        return given

    @property
    def _acts(self) -> bool:
        """Whether the pod acts in an environment, so that it may be asked without any data."""
        return self.manifest is not None and self.manifest.gym is not None

    def _imagined(
        self,
        policy: Policy,
        version: int,
        fields: tuple[str, ...],
        tag: str,
        *,
        explain: bool,
        state: Mapping[str, float] | None,
    ) -> Recommendation:
        """The policy's answer in a state that somebody names; what is not named is initial.

        Raises NotEnoughData where nothing is, InvalidRequest for a field that there is not.
        """
        import numpy as np

        space = self.manifest.gym if self.manifest is not None else None
        if not state or space is None:
            raise NotEnoughData(
                "nothing is known of the environment's state.",
                hint="Name it (--state FIELD=VALUE), or post what the environment shows.",
            )
        initial = {space.field(one): one.initializer for one in space.measurements}
        window = np.array([[initial.get(name, 0.0) for name in fields]])
        answer = policy.recommend(_supposed(window, fields, state), explain=explain)
        now = int(clock.time())
        return _given(self.name, answer, policy, version, now, tag, explain=explain)


def _given(
    pod: str, answer: Answer, policy: Policy, version: int, end: int, tag: str, *, explain: bool
) -> Recommendation:
    """A policy's answer as it crosses the doors; `end` is that of its window, in Unix seconds."""
    return Recommendation(
        pod=pod,
        action=answer.action,
        confidence=answer.confidence,
        start=end - policy.span * policy.granularity,
        end=end,
        tag=tag,
        policy_version=version,
        values=dict(answer.values) if explain else None,
        features=dict(answer.features) if explain else None,
        rule=list(answer.rule) if explain and answer.rule else None,
        action_value=answer.value,
        unit=answer.unit,
    )


def _supposed(
    window: NDArray[np.float64], fields: tuple[str, ...], state: Mapping[str, float]
) -> NDArray[np.float64]:
    supposed = window.copy()
    for name, value in state.items():
        field_name = name.replace(".", "_")
        if field_name not in fields:
            known = ", ".join(fields[:20])
            raise InvalidRequest(f"the pod has no field {name[:200]!r}.", hint=f"Fields: {known}.")
        if not math.isfinite(value):
            raise InvalidRequest(f"the value of {name[:200]!r} is no finite number.")
        supposed[-1, fields.index(field_name)] = value
    return supposed


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
        end_line=place.end_line if place else 0,
        end_column=place.end_column if place else 0,
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
        end_line=place.get("end_line", 0),
        end_column=place.get("end_column", 0),
        fix=_fix_from(fix) if fix is not None else None,
    )


def _fix_from(data: dict[str, Any]) -> ProblemFix:
    place = data["place"]
    return ProblemFix(
        data["title"],
        place["line"],
        place["column"],
        place["end_line"],
        place["end_column"],
        data["text"],
    )
