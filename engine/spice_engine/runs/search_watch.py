"""What the trials of one search report: their values on the way, judged by a pruner, and at last.

The points lie in the metric store, whoever sent them; nothing of them is stored twice. They belong
to the trial's run.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable, Sequence

from spice_engine.runs import pruning
from spice_engine.runs.search_plan import Plan
from spice_engine.runs.search_points import study_name
from spice_engine.store.metrics import Kept, MetricStore
from spice_engine.store.searches import TRIAL_OVER, TrialRow
from spice_engine.store.series import Point


def owner_of(search: int, trial: TrialRow) -> str:
    """Whose the points of a trial are in the metric store; those that have no run are of a search
    from before all had one."""
    return f"searches/{search}/trials/{trial.number}" if trial.run is None else f"runs/{trial.run}"


class TrialWatch:
    """Knows the last report of each trial under way, and which are better ended."""

    def __init__(self, metrics: MetricStore, search: int, plan: Plan) -> None:
        self._metrics = metrics
        self._search = search
        self._plan = plan
        asked = plan.asked
        self._pruner: pruning.Pruner | None = None
        if asked.pruner:
            name = study_name(search)
            self._pruner = pruning.make(asked.pruner, asked.pruner_options, asked.goal, name)
        self._metric = asked.metric or "value"
        self._last: dict[int, tuple[int, float]] = {}
        self._reported: dict[int, float] = {}
        self._ends: set[Callable[[], None]] = set()

    async def take_up(self, trials: Sequence[TrialRow]) -> None:
        """Learn what the trials of an earlier engine reported, without judging it again."""
        for trial in trials:
            if trial.last is not None:
                self._last[trial.number] = trial.last
            if self._pruner is None:
                continue
            if self._plan.source == "pod" and trial.state not in TRIAL_OVER:
                continue  # its training begins anew
            await self._replay(trial)
            if trial.state == "complete":
                self._pruner.complete(trial.number)

    async def _replay(self, trial: TrialRow) -> None:
        until = math.inf if trial.last is None else trial.last[0]
        for step, value in await self._points(owner_of(self._search, trial)):
            if step <= until and self._pruner is not None:
                self._pruner.seen(trial.number, step, value, judge=False)

    async def _points(self, owner: str) -> list[tuple[int, float]]:
        found = await self._metrics.points(owner, self._plan.asked.metric, count=pruning.MOST_STEPS)
        return [(one.index, one.value) for one in found if not isinstance(one.value, str)]

    async def follow(
        self, number: int, run: int, condemn: Callable[[int], None]
    ) -> Callable[[], None]:
        """Judge what a trial's run reports from here on, until what comes back is called."""
        if self._pruner is None:
            return lambda: None

        def hear(points: Iterable[Kept]) -> None:
            for _, name, step, _, value in points:
                if name == self._plan.asked.metric and not isinstance(value, str):
                    self.seen(number, step, value)
            if self.condemned(number):
                condemn(number)

        end = self._metrics.watch(f"runs/{run}", hear)
        try:
            before = await self._points(f"runs/{run}")
        except BaseException:
            end()
            raise
        self._ends.add(end)
        for step, value in before:
            self.seen(number, step, value)
        if self.condemned(number):
            condemn(number)

        def leave() -> None:
            end()
            self._ends.discard(end)

        return leave

    def report(self, trial: TrialRow, step: int, value: float) -> None:
        """Take in a value of a trial that has no process, and judge it.

        Raises:
            InvalidRequest, Overloaded, StorageError: as `MetricStore.add`.
        """
        point = Point(self._metric, value, time.time(), step)
        self._metrics.add(owner_of(self._search, trial), [point])
        self._reported[trial.number] = value
        self.seen(trial.number, step, value)

    async def told(self, trial: TrialRow, value: float) -> None:
        """Take in what came out of such a trial, after what it reported.

        Raises:
            StorageError: the disk is full or broken.
        """
        if self._reported.get(trial.number) != value:
            point = Point(self._metric, value, time.time())
            self._metrics.add(owner_of(self._search, trial), [point])
            self._reported[trial.number] = value  # not again when the disk refuses it now
        await self._metrics.flush()

    def seen(self, number: int, step: int, value: float) -> None:
        """A trial reported a value."""
        if self._pruner is None or self._pruner.condemns(number):
            return
        self._last[number] = (step, value)
        self._pruner.seen(number, step, value)

    def condemned(self, number: int) -> bool:
        """Whether a trial is better ended."""
        return self._pruner is not None and self._pruner.condemns(number)

    def last(self, number: int) -> tuple[int, float] | None:
        """The step and value a trial reported last."""
        return self._last.get(number)

    def over(self, number: int, *, complete: bool) -> None:
        """A trial is over."""
        self._reported.pop(number, None)
        if complete and self._pruner is not None:
            self._pruner.complete(number)

    async def value(self, run: int) -> float | None:
        """What a run's points come to, as the search aggregates them; None if there are none.

        All of them are on the disk."""
        found = await self._metrics.samples(f"runs/{run}", self._plan.asked.metric, most=1)
        if not found:
            return None
        whole = found[0]
        values = {
            "last": whole.last,
            "min": whole.minimum,
            "max": whole.maximum,
            "avg": whole.mean,
        }
        value = values[self._plan.asked.aggregate]
        return None if math.isnan(value) else value

    def close(self) -> None:
        """Listen no more."""
        for end in tuple(self._ends):
            end()
        self._ends.clear()
