"""What actions do to the state of a simulated pod, and the laws that allow it.

Compiled from a manifest's code in a trainer, or read back from a policy file without compiling
anything. Both run over many states as columns, or on one state at a time; the results are the
same to the bit, and are what Python would give.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar, NoReturn

from spice_engine.errors import IncompatibleVersion, Place, SpiceError
from spice_engine.learning.effect_check import (
    EFFECT_CODE,
    LAW_CODE,
    Effect,
    Law,
    check_effects,
    effect_formula,
    law_formula,
)
from spice_engine.learning.formula import Name, Node, names, set_names
from spice_engine.learning.formula_data import read_statements, read_value
from spice_engine.learning.formula_scalar import FormulaError, Run, Value, build, build_value
from spice_engine.learning.source import Source
from spice_engine.learning.trouble import describe, hint

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from spice_engine.learning import formula_columns

    Matrix = NDArray[np.float64]
    Lawful = NDArray[np.bool_]

VERSION = 1
_FEW = 6
"""So many states are done one by one: columns would take longer."""


class InvalidEffect(SpiceError):
    """The code of an effect is not allowed, raises, or gives no number."""

    code: ClassVar[str] = EFFECT_CODE
    exit_code: ClassVar[int] = 4


class InvalidLaw(InvalidEffect):
    """The code of a law is not allowed, or raises."""

    code: ClassVar[str] = LAW_CODE


@dataclass(frozen=True)
class _Code:
    """A formula and how it runs; `formula` is one value for a law."""

    file: str
    formula: list[Any]

    def place(self, error: FormulaError) -> Place:
        return Place(self.file, *error.at)


@dataclass(frozen=True)
class _Effect(_Code):
    """What one action does."""

    action: str = ""

    @cached_property
    def fields(self) -> tuple[int, ...]:
        """Indices of the fields that it reads or writes."""
        return tuple(name for name in names(self.formula) if isinstance(name, int))

    @cached_property
    def written(self) -> tuple[int, ...]:
        return tuple(sorted(n for n in set_names(self.formula) if isinstance(n, int)))

    @cached_property
    def run(self) -> Run:
        return build(self.formula)

    @cached_property
    def columns(self) -> formula_columns.Run | None:
        from spice_engine.learning import formula_columns

        with suppress(formula_columns.Uncompiled):
            return formula_columns.build(self.formula)
        return None

    def raise_invalid(self, error: FormulaError) -> NoReturn:
        raise InvalidEffect(
            f"The effect of action '{self.action}' raised {describe(error.error)}.",
            hint=hint(error.error),
            place=self.place(error),
        ) from error.error


@dataclass(frozen=True)
class _Law(_Code):
    """A condition on the state after an effect."""

    @cached_property
    def fields(self) -> tuple[int, ...]:
        return tuple(n for n in names([["do", self.formula]]) if isinstance(n, int))

    @cached_property
    def value(self) -> Value:
        return build_value(self.formula)

    @cached_property
    def columns(self) -> formula_columns.Value | None:
        from spice_engine.learning import formula_columns

        with suppress(formula_columns.Uncompiled):
            return formula_columns.build_value(self.formula)
        return None

    def raise_invalid(self, error: FormulaError) -> NoReturn:
        raise InvalidLaw(
            f"A law raised {describe(error.error)}.",
            hint=hint(error.error),
            place=self.place(error),
        ) from error.error


class Effects:
    """Effects of actions and laws of one pod, over states whose fields are `fields`."""

    def __init__(
        self,
        fields: Sequence[str],
        effects: Mapping[str, _Effect],
        laws: Sequence[_Law],
        actions: Sequence[str] = (),
    ) -> None:
        self.fields = tuple(fields)
        self._effects = dict(effects)
        self._laws = tuple(laws)
        self._order = tuple(actions)

    @property
    def actions(self) -> frozenset[str]:
        """Names of the actions that have an effect."""
        return frozenset(self._effects)

    def written(self, action: str | int) -> tuple[int, ...]:
        """Indices of the fields that an action may change, sorted."""
        effect = self._effect(action)
        return effect.written if effect else ()

    def _effect(self, action: str | int) -> _Effect | None:
        name = self._order[action] if isinstance(action, int) else action
        return self._effects.get(name)

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
        effect: _Effect, run: formula_columns.Run, states: Matrix, after: Matrix
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
    def _change(effect: _Effect, state: Sequence[float]) -> Iterator[tuple[int, float]]:
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
                    place=Place(effect.file, *_place_of_set(effect.formula, field)),
                ) from error

    def lawful(self, before: Matrix, after: Matrix) -> Lawful:
        """Whether the laws hold [M] for the states `after` [M, F] that came from `before`.

        Laws speak of the state that an effect leaves; they are not asked for actions without an
        effect, which are always lawful. Raises InvalidLaw.
        """
        import numpy as np

        del before  # laws of transitions are not in the language
        holds = np.ones(len(after), dtype=bool)
        for law in self._laws:
            # As `all` would: a law is not asked where an earlier one failed.
            left = np.flatnonzero(holds)
            if not len(left):
                break
            holds[left] = self._holds(law, after[left] if len(left) < len(after) else after)
        return holds

    @staticmethod
    def _holds(law: _Law, states: Matrix) -> Lawful:
        import numpy as np

        from spice_engine.learning.formula_columns import Column, Rows, Trouble, truths

        if len(states) > _FEW and law.columns is not None:
            rows = Rows({field: Column(states[:, field]) for field in law.fields})
            with suppress(Trouble), np.errstate(all="ignore"):
                return truths(law.columns(rows, True), len(states))
        found = [_is_held(law, state) for state in states.tolist()]
        return np.array(found, dtype=bool)

    def lawful_one(self, state: Sequence[float]) -> bool:
        """Whether all laws hold for one state that an effect left; raises InvalidLaw."""
        return all(_is_held(law, state) for law in self._laws)

    def move(self, action: str | int) -> Callable[[list[float]], list[float] | None]:
        """`apply_one` and `lawful_one` in one: the state after an action, None if unlawful.

        Only for actions with an effect. The function raises InvalidEffect and InvalidLaw.
        """

        def move(state: list[float]) -> list[float] | None:
            after = self.apply_one(action, state)
            return after if self.lawful_one(after) else None

        return move

    def formulas(self, action: str | int) -> tuple[list[Node], list[Node]]:
        """The statements of an action's effect, and the values that the laws are."""
        effect = self._effect(action)
        return (effect.formula if effect else []), [law.formula for law in self._laws]

    def to_data(self) -> dict[str, Any]:
        """Plain data for a policy file."""
        return {
            "version": VERSION,
            "fields": list(self.fields),
            "effects": [[one.action, one.file, one.formula] for one in self._effects.values()],
            "laws": [[law.file, law.formula] for law in self._laws],
            "actions": list(self._order),
        }

    @classmethod
    def from_data(cls, data: Any) -> Effects:
        """The effects that `to_data` gave; raises IncompatibleVersion for anything else."""
        try:
            if data["version"] != VERSION:
                raise ValueError("another version")
            fields = [str(one) for one in data["fields"]]
            effects = {
                str(action): _Effect(str(file), read_statements(formula, len(fields)), str(action))
                for action, file, formula in data["effects"]
            }
            laws = [_Law(str(file), read_value(one, len(fields))) for file, one in data["laws"]]
            order = [str(one) for one in data["actions"]]
        except (KeyError, TypeError, ValueError) as error:
            raise IncompatibleVersion(
                "The effects stored with this policy are of a form that is not known.",
                hint="Train the pod again with this version.",
            ) from error
        return cls(fields, effects, laws, order)


def compile_effects(
    simulation: Mapping[str, Any], fields: Sequence[str], actions: Sequence[str] = ()
) -> Effects:
    """The effects and laws of a pod: `simulation` is plain data of `pods.plan.simulation`.

    `actions` gives what indices of actions mean. Raises InvalidEffect and InvalidLaw at the first
    thing the check finds.
    """
    effects: dict[str, Effect] = {
        name: (Source.from_dict(one["code"]), one["names"], one["args"])
        for name, one in simulation["effects"].items()
    }
    laws: list[Law] = [(Source.from_dict(one["code"]), one["names"]) for one in simulation["laws"]]
    for finding in check_effects(effects, laws):
        if finding.severity == "error":
            kind = InvalidLaw if finding.code == LAW_CODE else InvalidEffect
            raise kind(finding.message, hint=finding.hint, place=finding.place)
    return Effects(
        fields,
        {
            name: _Effect(effect[0].file, effect_formula(effect, fields), name)
            for name, effect in effects.items()
        },
        [_Law(law[0].file, law_formula(law, fields)) for law in laws],
        actions,
    )


def _is_held(law: _Law, state: Sequence[float]) -> bool:
    values: dict[Name, Any] = {field: state[field] for field in law.fields}
    try:
        return bool(law.value(values))
    except FormulaError as error:
        law.raise_invalid(error)


def _place_of_set(formula: Sequence[Node], field: int) -> Sequence[int]:
    """Where the last value that `field` is set to stands, as far as values know their place."""
    found: Sequence[int] = ()
    for statement in formula:
        if statement[0] == "when":
            found = _place_of_set(statement[2] + statement[3], field) or found
        elif statement[0] == "set" and any(field in target for target in statement[2]):
            found = next((v[1] for v in statement[1] if isinstance(v[1], list)), found)
    return found


def _trouble() -> type[Exception]:
    from spice_engine.learning.formula_columns import Trouble

    return Trouble
