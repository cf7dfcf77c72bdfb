"""What actions do to the state of a simulated pod, and the laws that allow it.

Compiled from a manifest's code in a trainer, or read back from a policy file without compiling
anything. Both run over many states as columns, or on one state at a time; the results are the
same to the bit, and are what Python would give.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from spice_engine.errors import IncompatibleVersion, Place
from spice_engine.learning.effect_check import (
    LAW_CODE,
    Effect,
    Law,
    check_effects,
    effect_formula,
    law_formula,
    reads_value,
)
from spice_engine.learning.effect_code import (
    EffectCode,
    InvalidEffect,
    InvalidLaw,
    LawCode,
    is_held,
    place_of_set,
)
from spice_engine.learning.formula import Name, Node
from spice_engine.learning.formula_data import read_statements, read_value
from spice_engine.learning.formula_scalar import FormulaError
from spice_engine.learning.levels import Level
from spice_engine.learning.source import Source

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from spice_engine.learning import formula_columns

    Matrix = NDArray[np.float64]
    Lawful = NDArray[np.bool_]

VERSION = 1
WITH_OWN_LAWS = 2
"""The version of those that have laws of single actions."""
_FEW = 6
"""So many states are done one by one: columns would take longer."""


class Effects:
    """Effects of actions and laws of one pod, over states whose fields are `fields`."""

    def __init__(
        self,
        fields: Sequence[str],
        effects: Mapping[str, EffectCode],
        laws: Sequence[LawCode],
        actions: Sequence[str] = (),
        own_laws: Mapping[str, Sequence[LawCode]] | None = None,
    ) -> None:
        """`own_laws` hold instead of `laws` for the actions that they name."""
        self.fields = tuple(fields)
        self._effects = dict(effects)
        self._laws = tuple(laws)
        self._own_laws = {name: tuple(one) for name, one in (own_laws or {}).items()}
        self._order = tuple(actions)

    @property
    def actions(self) -> frozenset[str]:
        """Names of the actions that have an effect."""
        return frozenset(self._effects)

    def written(self, action: str | int) -> tuple[int, ...]:
        """Indices of the fields that an action may change, sorted."""
        effect = self._effect(action)
        return effect.written if effect else ()

    def _name(self, action: str | int) -> str:
        return self._order[action] if isinstance(action, int) else action

    def _effect(self, action: str | int) -> EffectCode | None:
        return self._effects.get(self._name(action))

    def _laws_of(self, action: str | int | None) -> tuple[LawCode, ...]:
        """What must hold after an action; without one, what must hold after all."""
        return self._laws if action is None else self._own_laws.get(self._name(action), self._laws)

    def apply(self, action: str | int, states: Matrix) -> Matrix:
        """The states [M, F] after an action in `states` [M, F], as a copy.

        `action` is a name, or an index where the actions' order was given. An action without an
        effect changes nothing. Raises InvalidEffect.
        """
        after = states.copy()
        effect = self._effect(action)
        if effect is None or not len(states):
            return after
        if len(states) > _FEW and effect.columns is not None:
            with suppress(_trouble()):
                self._apply_columns(effect, effect.columns, states, after)
                return after
        for row, state in enumerate(states.tolist()):
            for field, value in self._change(effect, state):
                after[row, field] = value
        return after

    @staticmethod
    def _apply_columns(
        effect: EffectCode, run: formula_columns.Run, states: Matrix, after: Matrix
    ) -> None:
        import numpy as np

        from spice_engine.learning.formula_columns import Column, Rows

        rows = Rows({field: Column(states[:, field]) for field in effect.fields})
        with np.errstate(all="ignore"):
            run(rows, True)
            found = [rows.floats(field, len(states)) for field in effect.written]
        for field, values in zip(effect.written, found, strict=True):
            after[:, field] = values

    def apply_one(self, action: str | int, state: Sequence[float]) -> list[float]:
        """The state after an action in one `state`; raises InvalidEffect."""
        after = list(state)
        effect = self._effect(action)
        if effect is not None:
            for field, value in self._change(effect, state):
                after[field] = value
        return after

    @staticmethod
    def _change(effect: EffectCode, state: Sequence[float]) -> Iterator[tuple[int, float]]:
        values: dict[Name, Any] = {field: state[field] for field in effect.fields}
        try:
            effect.run(values)
        except FormulaError as error:
            effect.raise_invalid(error)
        for field in effect.written:
            try:
                # A complex number, the only other thing there may be, has no float.
                yield field, float(values[field])
            except (TypeError, OverflowError) as error:
                raise InvalidEffect(
                    f"The effect of action '{effect.action}' gave no number that a field can "
                    f"hold: {error}.",
                    place=Place(effect.file, *place_of_set(effect.formula, field)),
                ) from error

    def lawful(self, before: Matrix, after: Matrix, action: str | int | None = None) -> Lawful:
        """Whether the laws hold [M] for the states `after` [M, F] that came from `before`.

        Those are the laws of the `action` that led there; they speak of the state that it leaves.
        They are not asked for actions without an effect, which are always lawful.
        Raises InvalidLaw.
        """
        import numpy as np

        del before  # laws of transitions are not in the language
        holds = np.ones(len(after), dtype=bool)
        for law in self._laws_of(action):
            # As `all` would: a law is not asked where an earlier one failed.
            left = np.flatnonzero(holds)
            if not len(left):
                break
            holds[left] = self._holds(law, after[left] if len(left) < len(after) else after)
        return holds

    @staticmethod
    def _holds(law: LawCode, states: Matrix) -> Lawful:
        import numpy as np

        from spice_engine.learning.formula_columns import Column, Rows, Trouble, truths

        if len(states) > _FEW and law.columns is not None:
            rows = Rows({field: Column(states[:, field]) for field in law.fields})
            with suppress(Trouble), np.errstate(all="ignore"):
                return truths(law.columns(rows, True), len(states))
        found = [is_held(law, state) for state in states.tolist()]
        return np.array(found, dtype=bool)

    def lawful_one(self, state: Sequence[float], action: str | int | None = None) -> bool:
        """Whether all laws of an action hold for one state that it left; raises InvalidLaw."""
        return all(is_held(law, state) for law in self._laws_of(action))

    def move(self, action: str | int) -> Callable[[list[float]], list[float] | None]:
        """`apply_one` and `lawful_one` in one: the state after an action, None if unlawful.

        Only for actions with an effect. The function raises InvalidEffect and InvalidLaw.
        """

        def move(state: list[float]) -> list[float] | None:
            after = self.apply_one(action, state)
            return after if self.lawful_one(after, action) else None

        return move

    def formulas(self, action: str | int) -> tuple[list[Node], list[Node]]:
        """The statements of an action's effect, and the values that its laws are."""
        effect, laws = self._effect(action), self._laws_of(action)
        return (effect.formula if effect else []), [law.formula for law in laws]

    def to_data(self) -> dict[str, Any]:
        """Plain data for a policy file."""
        own = {
            name: [[law.file, law.formula] for law in laws] for name, laws in self._own_laws.items()
        }
        return {
            "version": WITH_OWN_LAWS if own else VERSION,
            "fields": list(self.fields),
            "effects": [[one.action, one.file, one.formula] for one in self._effects.values()],
            "laws": [[law.file, law.formula] for law in self._laws],
            "actions": list(self._order),
            **({"own_laws": own} if own else {}),
        }

    @classmethod
    def from_data(cls, data: Any) -> Effects:
        """The effects that `to_data` gave; raises IncompatibleVersion for anything else."""
        try:
            version = data["version"]
            if version not in (VERSION, WITH_OWN_LAWS):
                raise ValueError("another version")
            fields = [str(one) for one in data["fields"]]
            effects = {
                str(action): EffectCode(
                    str(file), read_statements(formula, len(fields)), str(action)
                )
                for action, file, formula in data["effects"]
            }
            laws = _read_laws(data["laws"], len(fields))
            given: dict[str, Any] = data["own_laws"] if version == WITH_OWN_LAWS else {}
            own = {action: _read_laws(some, len(fields)) for action, some in given.items()}
            order = [str(one) for one in data["actions"]]
        except (KeyError, TypeError, ValueError) as error:
            raise IncompatibleVersion(
                "The effects stored with this policy are of a form that is not known.",
                hint="Train the pod again with this version.",
            ) from error
        return cls(fields, effects, laws, order, own)


def _read_laws(data: Any, fields: int) -> list[LawCode]:
    return [LawCode(str(file), read_value(one, fields)) for file, one in data]


def compile_effects(
    simulation: Mapping[str, Any],
    fields: Sequence[str],
    actions: Sequence[str] = (),
    levels: Sequence[Level] = (),
) -> Effects:
    """The effects and laws of a pod: `simulation` is plain data of `pods.plan.simulation`.

    `actions` gives what indices of actions mean. Where some have ranges, the actions are the
    `levels`, each with an effect of its own; a law that reads `action_value` is asked of those
    with a value alone. Raises InvalidEffect and InvalidLaw at the first thing the check finds.
    """
    effects: dict[str, Effect] = {
        name: (Source.from_dict(one["code"]), one["names"], one["args"])
        for name, one in simulation["effects"].items()
    }
    laws: list[Law] = [(Source.from_dict(one["code"]), one["names"]) for one in simulation["laws"]]
    ranged = {level.action for level in levels if level.value is not None}
    for finding in check_effects(effects, laws, ranged):
        if finding.severity == "error":
            kind = InvalidLaw if finding.code == LAW_CODE else InvalidEffect
            raise kind(finding.message, hint=finding.hint, place=finding.place)
    every = [level for level in levels if level.action in effects] or [
        Level(one) for one in effects
    ]
    valued = any(reads_value(law) for law in laws)
    return Effects(
        fields,
        {
            level.name: EffectCode(
                effects[level.action][0].file,
                effect_formula(effects[level.action], fields, level.value),
                level.name,
            )
            for level in every
        },
        [LawCode(law[0].file, law_formula(law, fields)) for law in laws if not reads_value(law)],
        [level.name for level in levels] or actions,
        {
            level.name: [
                LawCode(law[0].file, law_formula(law, fields, level.value)) for law in laws
            ]
            for level in every
            if valued and level.value is not None
        },
    )


def _trouble() -> type[Exception]:
    from spice_engine.learning.formula_columns import Trouble

    return Trouble
