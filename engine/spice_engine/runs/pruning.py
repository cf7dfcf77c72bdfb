"""Which trials of a search are better ended early: by the median, successive halving, Hyperband.

They decide as Optuna's pruners of the same names do, without Optuna: from the reported values
alone, so that nothing but those has to be stored, and an engine that takes a search up again
decides as the one before it would have.

- Successive halving: L. Li et al., A System for Massively Parallel Hyperparameter Tuning (ASHA),
  MLSys 2020.
- Hyperband: L. Li et al., Hyperband, JMLR 18 (2018).
- The median rule: D. Golovin et al., Google Vizier, KDD 2017.
"""

from __future__ import annotations

import math
import statistics
import zlib
from collections.abc import Mapping
from typing import Any, Protocol

from spice_engine.errors import InvalidRequest

MOST_STEPS = 10_000
"""Reports of one trial that count; what comes later is not judged."""

DEFAULTS: Mapping[str, Mapping[str, int]] = {
    "median": {"startup": 5, "warmup": 0, "interval": 1},
    "halving": {"min_steps": 1, "reduction": 4, "rate": 0},
    "hyperband": {"min_steps": 1, "reduction": 3, "max_steps": 0},
}
"""The options of each pruner, and what they are unless said otherwise."""

_LEAST = {"min_steps": 1, "reduction": 2, "interval": 1}


class Pruner(Protocol):
    """Judges the trials of one search; `better` of two values is the larger of `sign * value`."""

    def seen(self, trial: int, step: int, value: float, *, judge: bool = True) -> None:
        """A trial reported a value; unless `judge`, it went on after that."""
        ...

    def complete(self, trial: int) -> None:
        """A trial came to its end."""
        ...

    def condemns(self, trial: int) -> bool:
        """Whether a trial is better ended, after what it reported last."""
        ...


def check(name: str, options: Mapping[str, Any]) -> dict[str, int]:
    """All options of a pruner.

    Raises:
        InvalidRequest: there is no such pruner or option, or a value that cannot be.
    """
    if name not in DEFAULTS:
        raise InvalidRequest(
            f"there is no pruner {name[:40]!r}.", hint="Use median, halving or hyperband."
        )
    found = dict(DEFAULTS[name])
    for option, value in options.items():
        if option not in found:
            raise InvalidRequest(
                f"the pruner {name} has no option {option[:40]!r}.",
                hint=f"It has {', '.join(found)}.",
            )
        least = _LEAST.get(option, 0)
        if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= 2**31:
            raise InvalidRequest(
                f"the pruner's {option} must be a whole number from {least} on, not {value!r:.40}."
            )
        found[option] = value
    if name == "hyperband" and 0 < found["max_steps"] < found["min_steps"]:
        raise InvalidRequest("hyperband's max_steps is below its min_steps.")
    if name == "hyperband" and not found["max_steps"]:
        raise InvalidRequest(
            "hyperband needs max_steps, the steps of a trial that is not ended early.",
            hint="--pruner-option max_steps=81",
        )
    return found


def make(name: str, options: Mapping[str, int], goal: str, study: str) -> Pruner:
    """A pruner of checked `options`; `study` is the name by which Hyperband deals out trials."""
    sign = -1.0 if goal == "min" else 1.0
    if name == "median":
        return Median(sign, **options)
    if name == "halving":
        return Halving(sign, **options)
    return Hyperband(sign, study, **options)


class Median:
    """Ends a trial whose best value so far is worse than the median, at the same step, of those
    that came to their end. From `startup` of them on, and not before step `warmup`; then at every
    `interval`-th step."""

    def __init__(self, sign: float, *, startup: int, warmup: int, interval: int) -> None:
        self._sign = sign
        self._startup = startup
        self._warmup = warmup
        self._interval = interval
        self._values: dict[int, dict[int, float]] = {}
        self._complete: set[int] = set()

    def seen(self, trial: int, step: int, value: float, *, judge: bool = True) -> None:
        del judge  # it judges when it is asked
        values = self._values.setdefault(trial, {})
        if len(values) < MOST_STEPS:
            values[step] = value

    def complete(self, trial: int) -> None:
        self._complete.add(trial)

    def condemns(self, trial: int) -> bool:
        own = self._values.get(trial)
        if not own or not self._complete or len(self._complete) < self._startup:
            return False
        step = max(own)
        if step < self._warmup or not self._due(step, own):
            return False
        finite = [self._sign * value for value in own.values() if not math.isnan(value)]
        if not finite:
            return True
        others = [
            self._sign * values[step]
            for number in self._complete
            if step in (values := self._values.get(number, {})) and not math.isnan(values[step])
        ]
        return bool(others) and max(finite) < statistics.median(others)

    def _due(self, step: int, own: Mapping[int, float]) -> bool:
        """Whether it is the first report since the last step at which trials are judged."""
        due = (step - self._warmup) // self._interval * self._interval + self._warmup
        return max((one for one in own if one != step), default=-1) < due


class Halving:
    """Of the trials that reach a rung (`min_steps` times a power of `reduction`, shifted by
    `rate`) the best one of so many goes on."""

    def __init__(self, sign: float, *, min_steps: int, reduction: int, rate: int) -> None:
        self._sign = sign
        self._first = min_steps * reduction**rate
        self._reduction = reduction
        self._rungs: list[dict[int, float]] = []
        self._condemned: set[int] = set()

    def seen(self, trial: int, step: int, value: float, *, judge: bool = True) -> None:
        # Each rung it has reached by now and was not judged at yet.
        rung = sum(1 for reached in self._rungs if trial in reached)
        while trial not in self._condemned and step >= self._first * self._reduction**rung:
            if math.isnan(value):
                if judge:
                    self._condemned.add(trial)
                return
            if rung == len(self._rungs):
                self._rungs.append({})
            self._rungs[rung][trial] = self._sign * value
            if judge and not self._goes_on(rung, trial):
                self._condemned.add(trial)
            rung += 1

    def complete(self, trial: int) -> None:
        del trial  # only values at rungs count

    def condemns(self, trial: int) -> bool:
        return trial in self._condemned

    def _goes_on(self, rung: int, trial: int) -> bool:
        reached = self._rungs[rung]
        # Of the first few, where there is no best one of so many yet, the best one goes on.
        place = max(len(reached) // self._reduction - 1, 0)
        return reached[trial] >= sorted(reached.values(), reverse=True)[place]


class Hyperband:
    """Deals trials out to several halvings that begin to judge earlier and later."""

    def __init__(
        self, sign: float, study: str, *, min_steps: int, reduction: int, max_steps: int
    ) -> None:
        self._study = study
        count = math.floor(math.log(max_steps / min_steps, reduction)) + 1
        self._halvings = [
            Halving(sign, min_steps=min_steps, reduction=reduction, rate=rate)
            for rate in range(count)
        ]
        self._shares = [
            math.ceil(count * reduction ** (count - 1 - rate) / (count - rate))
            for rate in range(count)
        ]

    def seen(self, trial: int, step: int, value: float, *, judge: bool = True) -> None:
        self._of(trial).seen(trial, step, value, judge=judge)

    def complete(self, trial: int) -> None:
        del trial

    def condemns(self, trial: int) -> bool:
        return self._of(trial).condemns(trial)

    def _of(self, trial: int) -> Halving:
        # Optuna counts trials from 0.
        place = zlib.crc32(f"{self._study}_{trial - 1}".encode()) % sum(self._shares)
        for halving, share in zip(self._halvings, self._shares, strict=True):
            place -= share
            if place < 0:
                return halving
        raise AssertionError("the shares cover all places")
