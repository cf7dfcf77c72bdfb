"""What the code in a manifest may name: states and fields, functions, arguments, variables."""

from __future__ import annotations

import builtins
import math
import re
from collections.abc import Iterator

from spice_engine.learning.formula import MATH_FUNCTIONS, MATH_NUMBERS, PLAIN_FUNCTIONS
from spice_engine.learning.reward_check import MATH
from spice_engine.learning.reward_kinds import ATTRIBUTES
from spice_engine.learning.reward_syntax import (
    ACTION_VALUE,
    FUNCTIONS,
    INTERPRETATIONS,
    STATES,
)
from spice_engine.pods.outline import Declared, Outline
from spice_engine.pods.yaml_brackets import Entry, Steps
from spice_engine.protocol.authoring import Completion

MAX_BEFORE = 200
KEYWORDS = ("if", "else", "elif", "for", "in", "and", "or", "not", "pass", "break", "continue")
_KEYWORDS_OF_EFFECTS = ("if", "else", "elif", "and", "or", "not", "pass")
_ASSIGNED = re.compile(r"^\s*([A-Za-z_]\w*)\s*(?:=(?!=)|[-+*/]=)", re.MULTILINE)
_LOOPED = re.compile(r"^\s*for\s+([A-Za-z_]\w*)\s+in\b", re.MULTILINE)
_ARGUMENT = re.compile(r"\bargs\.([A-Za-z_]\w*)")

# The end of the line before the cursor.
_SUBSCRIPT = re.compile(rf"\b({'|'.join(STATES)})\[\s*(?:([\"'])([^\"'\]]*))?$")
_DOTTED = re.compile(rf"\b({'|'.join(STATES)})\.([\w.]*)$")
_MEMBER = re.compile(r"([A-Za-z_][\w.]*)\.(\w*)$")
_WORD = re.compile(r"[A-Za-z_]\w*$")

STATE_MEANINGS = {
    "current_state": "The state before the action.",
    "next_state": "The state after the action.",
    "prev_state": "The old name of current_state.",
    "new_state": "The old name of next_state.",
    "current_state_interpretations": "What was said about the time before the action, or None.",
    "next_state_interpretations": "What was said about the time after the action, or None.",
}
REWARD = "What the action was worth; the code must set it."
VALUE = "The value of the action, within its range."
ARGS = "The arguments that the pod's action gives: actions[].do.args."


class Code:
    """The code at one path of a manifest: which language it is, and what it may name."""

    def __init__(self, outline: Outline, steps: Steps) -> None:
        self.outline = outline
        self.steps = steps
        self.is_reward = steps[:1] == ("training",)
        self.is_law = "laws" in steps
        self.space: Steps = steps[:2]

    @property
    def functions(self) -> frozenset[str]:
        """Functions that can be called by their plain names."""
        return FUNCTIONS if self.is_reward else PLAIN_FUNCTIONS

    @property
    def of_math(self) -> frozenset[str]:
        """What `math` has here."""
        return MATH if self.is_reward else MATH_FUNCTIONS | MATH_NUMBERS

    @property
    def valued(self) -> bool:
        """Whether `action_value` is there: where the action that the code is of has a range."""
        scan = self.outline.scan
        ranged = [
            item.steps
            for item in scan.children(("actions",))
            if scan.at((*item.steps, "range")) is not None
        ]
        if self.is_law:
            return bool(ranged)
        if self.is_reward:
            name = scan.value(*self.steps[:-1], "reward")
            return name in {scan.value(*steps, "name") for steps in ranged}
        own = next((one.path for one in self.outline.effects if one.entry.steps == self.steps), "")
        done = (scan.value(*steps, "do", "name").replace("/", ".") for steps in ranged)
        return bool(own) and own in done

    def variables(self) -> dict[str, tuple[int, str]]:
        """Names that the code assigns, and that of `reward_init`: the line (0-based) and its text.

        Those of fields are left out.
        """
        found: dict[str, tuple[int, str]] = {}
        sources = [self.outline.scan.at(self.steps)]
        if self.is_reward and self.steps != ("training", "reward_init"):
            sources.insert(0, self.outline.scan.at(("training", "reward_init")))
        for entry in sources:
            for name, line, text in self._assigned(entry):
                found.setdefault(name, (line, text))
        return found

    def _assigned(self, entry: Entry | None) -> Iterator[tuple[str, int, str]]:
        if entry is None:
            return
        first = entry.line + 1 if entry.block else entry.value_line
        for number, text in enumerate(self.outline.scan.code(entry).split("\n")):
            for match in (*_ASSIGNED.finditer(text), *_LOOPED.finditer(text)):
                yield match[1], first + number, text.strip()

    def arguments(self) -> tuple[str, ...]:
        """`x` of every `args.x` that an action gives to this effect, or that its code names."""
        outline, names = self.outline, dict[str, None]()
        own = next((one.path for one in outline.effects if one.entry.steps == self.steps), "")
        for item in outline.scan.children(("actions",)):
            done = outline.scan.value(*item.steps, "do", "name").replace("/", ".")
            if own and done == own:
                given = outline.scan.children((*item.steps, "do", "args"))
                names.update(dict.fromkeys(one.key for one in given if one.key))
        entry = outline.scan.at(self.steps)
        if entry is not None:
            names.update(dict.fromkeys(_ARGUMENT.findall(outline.scan.code(entry))))
        return tuple(names)

    def own_fields(self) -> tuple[Declared, ...]:
        """The measurements of the dataspace whose code it is."""
        return tuple(
            one
            for one in self.outline.fields
            if one.space == self.space and one.kind == "measurement"
        )

    # -- completion

    def complete(self, before: str, rest: str) -> tuple[int, str, list[Completion]]:
        """Where what is typed begins, what is typed, and all that may stand there.

        `before` and `rest` are the code's line up to the cursor and from there on.
        """
        if "#" in _without_texts(before):
            return len(before), "", []
        # The patterns look back from the end, at each character of what they are given.
        skipped = max(len(before) - MAX_BEFORE, 0)
        start, typed, found = self._at_end(before[skipped:], rest)
        return skipped + start, typed, found

    def _at_end(self, before: str, rest: str) -> tuple[int, str, list[Completion]]:
        if self.is_reward:
            if match := _SUBSCRIPT.search(before):
                return self._subscript(match, rest)
            if match := _DOTTED.search(before):
                return self._dotted(match)
        if match := _MEMBER.search(before):
            return self._member(match)
        match = _WORD.search(before)
        start = match.start() if match else len(before)
        return start, before[start:], list(self._words())

    def _subscript(self, match: re.Match[str], rest: str) -> tuple[int, str, list[Completion]]:
        quote, typed = match[2] or "", match[3] or ""
        start = match.start(3) if quote else match.end()
        close = quote or '"'
        end = "" if rest.startswith(close) else close + ("" if rest.startswith("]") else "]")
        begin = "" if quote else close
        found = [
            Completion(one.name, f"{begin}{one.name}{end}", "field", self.detail(one))
            for one in self.outline.fields
        ]
        return start, typed, found

    def _dotted(self, match: re.Match[str]) -> tuple[int, str, list[Completion]]:
        start, typed = match.start(2) - 1, match[2]
        found: list[Completion] = []
        for one in self.outline.fields:
            label = one.dotted if typed.count(".") or _fits(one.dotted, typed) else one.name
            found.append(Completion(label, f'["{one.name}"]', "field", self.detail(one)))
        found += [
            Completion(one.dotted, f".{one.dotted}", "field", "The old form, which still works.")
            for one in self.outline.fields
            if all(part.isidentifier() for part in one.dotted.split("."))
        ]
        return start, typed, found

    def _member(self, match: re.Match[str]) -> tuple[int, str, list[Completion]]:
        owner, typed = match[1], match[2]
        start = match.start(2)
        if owner == "math":
            return start, typed, [_of_math(name) for name in sorted(self.of_math)]
        if not self.is_reward:
            if owner == "args":
                found = [Completion(name, name, "field", ARGS) for name in self.arguments()]
                return start, typed, found
            # A full name is typed, part by part.
            names = [Completion(one.dotted, one.dotted, "field", self.detail(one))
                     for one in self.outline.fields]  # fmt: skip
            return match.start(1), match[0], names
        notes = [Completion(name, name, "field", "Of an interpretation.") for name in ATTRIBUTES]
        return start, typed, notes

    def _words(self) -> Iterator[Completion]:
        for name, (line, text) in self.variables().items():
            if not (self.is_reward and name == "reward"):
                yield Completion(name, name, "field", f"Line {line + 1}: {text}")
        if self.valued:
            yield Completion(ACTION_VALUE, ACTION_VALUE, "value", VALUE)
        if self.is_reward:
            yield from self._words_of_rewards()
        else:
            yield from self._words_of_effects()
        for name in sorted(self.functions):
            yield Completion(name, f"{name}(", "function", summary(name))
        yield Completion("math", "math.", "function", "Functions and numbers of mathematics.")
        if not self.is_law:
            for name in KEYWORDS if self.is_reward else _KEYWORDS_OF_EFFECTS:
                yield Completion(name, name, "value")

    def _words_of_rewards(self) -> Iterator[Completion]:
        yield Completion("reward", "reward", "value", REWARD)
        for state in ("current_state", "next_state"):
            yield Completion(state, f'{state}["', "value", STATE_MEANINGS[state])
        for name in INTERPRETATIONS:
            yield Completion(name, name, "value", STATE_MEANINGS[name])
        for state in ("next_state", "current_state"):
            for one in self.outline.fields:
                access = f'{state}["{one.name}"]'
                yield Completion(f"{one.name} ({state})", access, "field", self.detail(one))

    def _words_of_effects(self) -> Iterator[Completion]:
        for one in self.own_fields():
            yield Completion(one.short, one.short, "field", self.detail(one))
        for one in self.outline.fields:
            if one.name.isidentifier():
                yield Completion(one.name, one.name, "field", self.detail(one))
        if not self.is_law:
            arguments = self.arguments()
            if arguments:
                yield Completion("args", "args.", "value", ARGS)
            for name in arguments:
                yield Completion(f"args.{name}", f"args.{name}", "field", ARGS)

    @staticmethod
    def detail(one: Declared) -> str:
        """A field in a few words, with where it is declared."""
        of = "part of the time" if one.kind == "time" else one.kind
        local = ", local" if one.local else ""
        return f"{one.dotted} ({of}{local}), line {one.entry.line + 1}"


def summary(name: str) -> str:
    """The first sentence of what Python says of a function, `math.` before those of math."""
    owner, _, short = name.rpartition(".")
    function = getattr(math if owner else builtins, short, None)
    lines = (getattr(function, "__doc__", None) or "").strip().splitlines()
    text = next((line.strip() for line in lines if line.strip() and "->" not in line), "")
    return text.partition(". ")[0].rstrip(".") + "." if text else ""


def _of_math(name: str) -> Completion:
    value = getattr(math, name)
    if callable(value):
        return Completion(name, f"{name}(", "function", summary(f"math.{name}"))
    return Completion(name, name, "value", f"{value}")


def _fits(name: str, typed: str) -> bool:
    return bool(typed) and name.startswith(typed)


def _without_texts(line: str) -> str:
    return re.sub(r"\"[^\"]*\"?|'[^']*'?", "", line)
