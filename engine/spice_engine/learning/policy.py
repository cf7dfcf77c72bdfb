"""The trained policy: recommends from a window. NumPy alone."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spice_engine.errors import InvalidData
from spice_engine.learning.confidence import Calibration
from spice_engine.learning.effects import Effects
from spice_engine.learning.evaluation import choose
from spice_engine.learning.features import Layout, Matrix
from spice_engine.learning.levels import Level
from spice_engine.learning.model import Model
from spice_engine.learning.policy_file import InvalidPolicy, read_policy_file, write_policy_file
from spice_engine.records import record

__all__ = ["InvalidPolicy", "Policy", "Recommendation"]

TOP_FEATURES = 5

Mask = NDArray[np.bool_]


@record
class Recommendation:
    """What to do, with the `value` of an action that has a range.

    `values` are the predicted rewards of all actions, of ranges by the names of their levels.

    Given where asked for: `features` are the few that spoke most for this action against the
    second best, by name and share of the lead in units of reward, largest first; `rule` are the
    conditions that led here, where the model has such.
    """

    action: str
    confidence: float
    values: dict[str, float]
    features: dict[str, float]
    rule: tuple[str, ...] = ()
    value: float | None = None
    unit: str = ""


@dataclass(frozen=True)
class Policy:
    """A model of the value of every action, and all it needs to be used and judged.

    `span` rows of `granularity` seconds make a window; its columns are the fields of `layout`.
    `evaluation` and `fingerprint` are those of the training run. `simulation` are the effects and
    laws of a simulated pod as `Effects.to_data` gives them, `local` the fields that they change.
    Where actions have ranges, `actions` are the names of the `levels`.
    """

    actions: tuple[str, ...]
    span: int
    granularity: int
    layout: Layout
    algorithm: str
    model: Model
    calibration: Calibration
    evaluation: Mapping[str, Any]
    fingerprint: str
    settings: Mapping[str, Any]
    simulation: Mapping[str, Any] | None = None
    local: tuple[str, ...] = ()
    levels: tuple[Level, ...] = ()

    @cached_property
    def names(self) -> tuple[str, ...]:
        """The actions, those with a range once."""
        if not self.levels:
            return self.actions
        return tuple(dict.fromkeys(level.action for level in self.levels))

    @cached_property
    def name_of(self) -> NDArray[np.int64]:
        """Which of the `names` each of the `actions` [A] is."""
        if not self.levels:
            return np.arange(len(self.actions), dtype=np.int64)
        places = {name: place for place, name in enumerate(self.names)}
        return np.array([places[level.action] for level in self.levels], dtype=np.int64)

    def level(self, action: int) -> Level:
        """What an action is, by its index: of a range, with its value."""
        return self.levels[action] if self.levels else Level(self.actions[action])

    @property
    def fields(self) -> tuple[str, ...]:
        """The columns of a window, in their order."""
        return self.layout.fields

    @property
    def feature_names(self) -> tuple[str, ...]:
        """Names of the model's features, in their order."""
        return self.layout.names

    @cached_property
    def effects(self) -> Effects | None:
        """What actions do; None where they change nothing.

        Raises IncompatibleVersion where they were written by a version that is not known.
        """
        return None if self.simulation is None else Effects.from_data(self.simulation)

    def lawful(self, state: Matrix) -> Mask:
        """Which actions [A] the laws allow in a state [F].

        Raises InvalidEffect and InvalidLaw where the pod's code raises.
        """
        mask = np.ones(len(self.actions), dtype=bool)
        effects = self.effects
        if effects is not None:
            before: list[float] = state.tolist()
            for index, action in enumerate(self.actions):
                if action in effects.actions:
                    mask[index] = effects.lawful_one(effects.apply_one(action, before), action)
        return mask

    def recommend(
        self, window: Matrix, *, explain: bool = False, lawful: Mask | None = None
    ) -> Recommendation:
        """The action for a window [span, F] of complete buckets, oldest first.

        Chosen among the `lawful` actions [A], by default those that the laws allow in the newest
        row, and among all where none is. Raises InvalidData where the window has another shape or
        holds anything but numbers; else what `lawful` raises.
        """
        if window.shape != (self.span, len(self.fields)):
            raise InvalidData(
                f"The window has the shape {window.shape}, "
                f"the policy needs ({self.span}, {len(self.fields)}).",
                hint="Train the pod again after changing its fields, interval or granularity.",
            )
        if not np.isfinite(window).all():
            raise InvalidData("The window holds a value that is no finite number.")
        if lawful is None and self.simulation is not None:
            lawful = self.lawful(window[-1])
        raw = self.layout.one(window)
        values = self.model.values(raw)
        allowed = None
        open_values = values
        if lawful is not None and lawful.any() and not lawful.all():
            allowed = np.flatnonzero(lawful)
            open_values = values[:, allowed]
        place = int(choose(open_values)[0])
        chosen = place if allowed is None else int(allowed[place])
        level = self.level(chosen)
        features: dict[str, float] = {}
        rule: tuple[str, ...] = ()
        if explain:
            features = self._features(raw[0], open_values[0], place, allowed)
            rule = self.model.rule(raw[0], self.feature_names)
        return Recommendation(
            action=level.action,
            confidence=float(self.calibration.confidence(open_values)[0]),
            values=dict(zip(self.actions, values[0].tolist(), strict=True)),
            features=features,
            rule=rule,
            value=level.value,
            unit=level.unit,
        )

    def _features(
        self, raw: Matrix, values: Matrix, place: int, allowed: NDArray[np.int64] | None
    ) -> dict[str, float]:
        """The features [D] that spoke most for the best of `values` against the second best."""
        if len(values) < 2:
            return {}
        others = values.copy()
        others[place] = -np.inf
        second = int(others.argmax())
        if allowed is not None:
            place, second = int(allowed[place]), int(allowed[second])
        shares = self.model.contributions(raw, place, second)
        order = np.argsort(-np.abs(shares), kind="stable")[:TOP_FEATURES]
        return {self.feature_names[i]: float(shares[i]) for i in order.tolist() if shares[i]}

    def check_fits(
        self,
        fields: Sequence[str],
        actions: Sequence[str],
        span: int,
        granularity: int,
        ranged: Collection[str] = (),
    ) -> None:
        """Raise InvalidPolicy, with the reason, where the policy was made for another shape.

        `ranged` are the actions that have a range.
        """
        valued = {level.action for level in self.levels if level.value is not None}
        pairs = (
            ("fields", self.fields, tuple(fields)),
            ("actions", self.names, tuple(actions)),
            ("actions with a range", sorted(valued), sorted(ranged)),
            ("rows in a window", self.span, span),
            ("seconds in a bucket", self.granularity, granularity),
        )
        for what, ours, theirs in pairs:
            if ours != theirs:
                raise InvalidPolicy(
                    f"The policy does not fit the pod: its {what} are {ours}, the pod's {theirs}.",
                    hint="Train the pod again.",
                )

    def to_bytes(self) -> bytes:
        """The policy file. Equal policies give equal bytes."""
        return write_policy_file(self)

    @classmethod
    def from_bytes(cls, data: bytes) -> Policy:
        """Read a policy file.

        Raises InvalidPolicy where it is damaged or no policy, IncompatibleVersion where it is of a
        version that this code does not know.
        """
        return cls(**read_policy_file(data))
