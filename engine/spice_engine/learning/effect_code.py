"""One effect of an action, or one law, as a formula and how it runs; and the errors of both."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar, NoReturn

from spice_engine.errors import Place, SpiceError
from spice_engine.learning.effect_check import EFFECT_CODE, LAW_CODE
from spice_engine.learning.formula import Name, Node, names, set_names
from spice_engine.learning.formula_scalar import FormulaError, Run, Value, build, build_value
from spice_engine.learning.trouble import describe, hint

if TYPE_CHECKING:
    from spice_engine.learning import formula_columns


class InvalidEffect(SpiceError):
    """The code of an effect is not allowed, raises, or gives no number."""

    code: ClassVar[str] = EFFECT_CODE
    exit_code: ClassVar[int] = 4


class InvalidLaw(InvalidEffect):
    """The code of a law is not allowed, or raises."""

    code: ClassVar[str] = LAW_CODE


@dataclass(frozen=True)
class Code:
    """A formula and how it runs; `formula` is one value for a law."""

    file: str
    formula: list[Any]

    def place(self, error: FormulaError) -> Place:
        """Where in the manifest an error was raised."""
        return Place(self.file, *error.at)


@dataclass(frozen=True)
class EffectCode(Code):
    """What one action does."""

    action: str = ""

    @cached_property
    def fields(self) -> tuple[int, ...]:
        """Indices of the fields that it reads or writes."""
        return tuple(name for name in names(self.formula) if isinstance(name, int))

    @cached_property
    def written(self) -> tuple[int, ...]:
        """Indices of the fields that it may write, sorted."""
        return tuple(sorted(n for n in set_names(self.formula) if isinstance(n, int)))

    @cached_property
    def run(self) -> Run:
        """It on one state; raises FormulaError."""
        return build(self.formula)

    @cached_property
    def columns(self) -> formula_columns.Run | None:
        """It on columns; None where it has no such form."""
        from spice_engine.learning import formula_columns

        with suppress(formula_columns.Uncompiled):
            return formula_columns.build(self.formula)
        return None

    def raise_invalid(self, error: FormulaError) -> NoReturn:
        """Raises InvalidEffect for what was raised."""
        raise InvalidEffect(
            f"The effect of action '{self.action}' raised {describe(error.error)}.",
            hint=hint(error.error),
            place=self.place(error),
        ) from error.error


@dataclass(frozen=True)
class LawCode(Code):
    """A condition on the state after an effect."""

    @cached_property
    def fields(self) -> tuple[int, ...]:
        """Indices of the fields that it reads."""
        return tuple(n for n in names([["do", self.formula]]) if isinstance(n, int))

    @cached_property
    def value(self) -> Value:
        """It on one state; raises FormulaError."""
        return build_value(self.formula)

    @cached_property
    def columns(self) -> formula_columns.Value | None:
        """It on columns; None where it has no such form."""
        from spice_engine.learning import formula_columns

        with suppress(formula_columns.Uncompiled):
            return formula_columns.build_value(self.formula)
        return None

    def raise_invalid(self, error: FormulaError) -> NoReturn:
        """Raises InvalidLaw for what was raised."""
        raise InvalidLaw(
            f"A law raised {describe(error.error)}.",
            hint=hint(error.error),
            place=self.place(error),
        ) from error.error


def is_held(law: LawCode, state: Sequence[float]) -> bool:
    """Whether a law holds for one state; raises InvalidLaw."""
    values: dict[Name, Any] = {field: state[field] for field in law.fields}
    try:
        return bool(law.value(values))
    except FormulaError as error:
        law.raise_invalid(error)


def place_of_set(formula: Sequence[Node], field: int) -> Sequence[int]:
    """Where the last value that `field` is set to stands, as far as values know their place."""
    found: Sequence[int] = ()
    for statement in formula:
        if statement[0] == "when":
            found = place_of_set(statement[2] + statement[3], field) or found
        elif statement[0] == "set" and any(field in target for target in statement[2]):
            found = next((v[1] for v in statement[1] if isinstance(v[1], list)), found)
    return found
