"""Binds actions to the effects of dataspaces, and the names in effects and laws to fields."""

from __future__ import annotations

import ast
import math
from collections import ChainMap
from collections.abc import Iterator, Mapping, Sequence
from itertools import islice

from spice_engine.errors import Place
from spice_engine.learning.effect_check import check_effects, dotted
from spice_engine.learning.reward_syntax import ACTION_VALUE, parse
from spice_engine.learning.source import Source
from spice_engine.pods.model import Action, BoundEffect, Dataspace, Effect, Law
from spice_engine.pods.read_actions import ActionEntry, Argument, Do
from spice_engine.pods.reader import Reader, rename
from spice_engine.records import record
from spice_engine.yaml_tree import resolve

_MOST_CODE_COMPARED = 32 * 1024
_MOST_NAMES_COMPARED = 2_000


@record
class _Own:
    """A dataspace action and whose it is."""

    space: Dataspace
    effect: Effect

    @property
    def path(self) -> str:
        """`from.name.action`."""
        return f"{self.space.prefix}.{self.effect.name}"


@record
class _Use:
    """A piece of code, and the names in it that are assigned (by place) or used at all."""

    names: frozenset[str]
    assigned: tuple[tuple[str, ast.expr], ...]

    def fields(self, names: Mapping[str, str]) -> dict[str, str]:
        """The names in it that are those of fields, and these."""
        return {name: names[name] for name in sorted(self.names) if name in names}

    @property
    def args(self) -> tuple[str, ...]:
        """`x` of each `args.x`."""
        args = (name for name in self.names if name.startswith("args."))
        return tuple(sorted(name.removeprefix("args.") for name in args))


def bind(
    reader: Reader,
    entries: Sequence[ActionEntry],
    spaces: Sequence[Dataspace],
    fields: Sequence[str],
) -> tuple[tuple[Action, ...], tuple[Law, ...]]:
    """The actions of a pod, those hoisted from its dataspaces last, and all laws.

    `fields` are all columns of the pod. Notes what is wrong with the effects and laws, too.
    """
    binder = _Binder(reader, spaces, fields)
    actions = (*(binder.action(entry) for entry in entries), *binder.hoisted(entries))
    laws = binder.laws()
    binder.check()
    return actions, laws


class _Binder:
    """Does it for one manifest."""

    def __init__(self, reader: Reader, spaces: Sequence[Dataspace], fields: Sequence[str]) -> None:
        self._reader = reader
        self._spaces = spaces
        self._fields = frozenset(fields)
        owned = [_Own(space, effect) for space in spaces for effect in space.actions]
        self._effects = {own.path: own for own in owned}
        self._used: set[str] = set()
        self._code_length = 0
        self._all_names = _names_of_fields(spaces, fields)
        self._names_in: dict[str, Mapping[str, str]] = {}
        self._with_data = {
            space.field(one): space
            for space in spaces
            if space.data is not None
            for one in space.measurements
        }
        self._to_check: dict[str, tuple[Source, Mapping[str, str], Mapping[str, str | float]]] = {}
        self._laws_to_check: list[tuple[Source, Mapping[str, str]]] = []
        self._ranged: set[str] = set()

    def action(self, entry: ActionEntry) -> Action:
        """An action of the manifest, with the effect that it names, or that has its name."""
        own = self._named(entry.do) if entry.do else self._of_the_same_name(entry)
        if own is None:
            return Action(entry.name, entry.place, range=entry.range)
        self._used.add(own.path)
        place = entry.do.place if entry.do else entry.place
        given: Mapping[str, Argument] = entry.do.args if entry.do else {}
        effect = self._bound(entry.name, place, given, own, ranged=entry.range is not None)
        return Action(entry.name, entry.place, effect, entry.range)

    def _named(self, do: Do) -> _Own | None:
        path = do.name.replace("/", ".")
        own = self._effects.get(path)
        if own is None:  # the original took no notice of case
            same = [name for name in self._effects if name.lower() == path.lower()]
            own = self._effects[same[0]] if len(same) == 1 else None
        if own is None:
            close = self._reader.close_to(path, self._effects)
            few = ", ".join(islice(self._effects, 10))
            known = f" There are {few}." if few else ""
            hint = f" Did you mean '{close}'?" if close else known
            fix = rename(do.place, do.name, close) if close else None
            message = f"There is no dataspace action '{do.name}'.{hint}"
            self._reader.error("unknown_effect", do.place, message, fix)
        return own

    def _of_the_same_name(self, entry: ActionEntry) -> _Own | None:
        same = [own for own in self._effects.values() if own.effect.name == entry.name]
        if not same:
            return None
        if len(same) > 1:
            paths = " and ".join(own.path for own in same)
            message = f"The action '{entry.name}' may be {paths}: say which with 'do'."
            self._reader.error("ambiguous_effect", entry.place, message)
            self._used.update(own.path for own in same)
            return None
        (own,) = same
        message = f"The action '{entry.name}' has no 'do': it does '{own.path}'."
        fix = entry.fix_with_do(self._reader, own.path)
        self._reader.warning("bound_by_name", entry.place, message, fix)
        return own

    def hoisted(self, entries: Sequence[ActionEntry]) -> Iterator[Action]:
        """Dataspace actions that no action refers to are actions of the pod themselves."""
        taken = {entry.name for entry in entries}
        for own in self._effects.values():
            if own.path in self._used:
                continue
            name, place = own.effect.name, own.effect.code.place(1, 0)
            if name in taken:
                message = f"No action does '{own.path}', and its name '{name}' is taken."
                self._reader.error("ambiguous_effect", place, message)
                continue
            taken.add(name)
            yield Action(name, place, self._bound(name, place, {}, own))

    def _bound(
        self,
        action: str,
        place: Place,
        given: Mapping[str, Argument],
        own: _Own,
        *,
        ranged: bool = False,
    ) -> BoundEffect | None:
        """The effect with its names bound; None where it changes no field."""
        if not own.effect.code.text.strip():
            return None
        use = _use(own.effect.code)
        names = self._names(own.space)
        args = self._args(action, place, given, own, use, ranged=ranged)
        key = f"{action} {own.path}"
        if ranged:
            self._ranged.add(key)
        self._to_check[key] = (own.effect.code, self._to_compare(own.effect.code, use, names), args)
        self._warn_of_data(own, use, names)
        if not any(name in names for name, _ in use.assigned):
            return None
        return BoundEffect(own.effect.code, use.fields(names), args)

    def _names(self, space: Dataspace) -> Mapping[str, str]:
        """Every name of a field in code of a dataspace: its own measurements have short ones."""
        if space.path not in self._names_in:
            own = {one.name: space.field(one) for one in space.measurements}
            self._names_in[space.path] = ChainMap(own, self._all_names)
        return self._names_in[space.path]

    def _args(
        self,
        action: str,
        place: Place,
        given: Mapping[str, Argument],
        own: _Own,
        use: _Use,
        *,
        ranged: bool,
    ) -> dict[str, str | float]:
        given = dict(given)
        args: dict[str, str | float] = {}
        for name in use.args:
            argument = given.pop(name, None)
            if argument is None:  # the original took no notice of case
                same = next((other for other in given if other.lower() == name.lower()), None)
                argument = given.pop(same) if same is not None else None
            if argument is None:
                message = f"action '{action}' references undefined 'args.{name}'"
                self._reader.error("missing_argument", place, message)
                args[name] = 0.0
            elif ranged and argument.text.strip() == ACTION_VALUE:
                args[name] = ACTION_VALUE
            else:
                args[name] = self._argument(argument.text, argument.place, name)
        for name, argument in given.items():
            message = f"The argument '{name}' is not used by '{own.path}'."
            self._reader.warning("unused_argument", argument.place, message)
        return args

    def _argument(self, text: str, place: Place, name: str) -> str | float:
        value = resolve(text.strip())
        if isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value):
            return float(value)
        # A category's column may have dots of its own behind the first two.
        field = self._all_names.get(text) or text.replace(".", "_", 2)
        if field in self._fields:
            return field
        close = self._reader.close_to(text, self._all_names)
        hint = f" Did you mean '{close}'?" if close else ""
        message = f"The argument '{name}' is a number or a field: '{text}' is neither.{hint}"
        fix = rename(place, text, close) if close else None
        self._reader.error("unknown_field", place, message, fix)
        return 0.0

    def _warn_of_data(self, own: _Own, use: _Use, names: Mapping[str, str]) -> None:
        for name, node in use.assigned:
            if space := self._with_data.get(names.get(name, "")):
                place = own.effect.code.place(
                    node.lineno, node.col_offset, node.end_lineno or 0, node.end_col_offset or 0
                )
                message = (
                    f"'{name}' is of '{space.path}', which has data: what is written to it lasts "
                    "for one step only."
                )
                self._reader.warning("effect_on_data", place, message)

    def _to_compare(self, code: Source, use: _Use, names: Mapping[str, str]) -> Mapping[str, str]:
        """The names for the check: all of them, for guesses at what a wrong one should be.

        Of a very large manifest only those used: to compare each with all would take minutes.
        """
        self._code_length += len(code.text)
        large = self._code_length > _MOST_CODE_COMPARED or len(names) > _MOST_NAMES_COMPARED
        return use.fields(names) if large else names

    def laws(self) -> tuple[Law, ...]:
        """The laws of all dataspaces: they hold for the whole pod."""
        laws: list[Law] = []
        for space in self._spaces:
            names = self._names(space)
            for code in space.laws:
                use = _use(_stripped(code))
                self._laws_to_check.append((code, self._to_compare(code, use, names)))
                laws.append(Law(code, use.fields(names)))
        return tuple(laws)

    def check(self) -> None:
        """Note all findings in the code of effects and laws."""
        for finding in check_effects(self._to_check, self._laws_to_check, self._ranged):
            self._reader.finding(finding)


def _names_of_fields(spaces: Sequence[Dataspace], fields: Sequence[str]) -> dict[str, str]:
    """`from_name_field` and `from.name.field` of every field that code can name."""
    names = {field: field for field in fields if field.isidentifier()}
    for space in spaces:
        prefix = f"{space.source}_{space.name}_"
        for field in space.fields():
            short = field.removeprefix(prefix)
            if short.isidentifier():
                names[f"{space.prefix}.{short}"] = field
    return names


def _use(code: Source) -> _Use:
    """The names in a piece of code; none where it is no Python, which the check says."""
    statements, _ = parse(code)
    names: set[str] = set()
    assigned: list[tuple[str, ast.expr]] = []
    for statement in statements:
        for node in ast.walk(statement):
            if isinstance(node, ast.Name | ast.Attribute) and (name := dotted(node)):
                names.add(name)
                if isinstance(node.ctx, ast.Store):
                    assigned.append((name, node))
    return _Use(frozenset(names), tuple(assigned))


def _stripped(code: Source) -> Source:
    """A law without the blanks before it, which are no matter but would not parse."""
    return Source(code.text.strip(), code.file, code.line, code.column, code.exact)
