"""One step as rows: both states with what differs, each action's reward and its line of code."""

from __future__ import annotations

from typing import TYPE_CHECKING

from spice_engine.records import record
from spice_tui.models import scale
from spice_tui.models.styled import (
    BAD,
    CHOSEN,
    CROSS,
    GOOD,
    LABEL,
    NONE,
    SERIES,
    TITLE,
    Line,
    bar,
)
from spice_tui.theme.symbols import symbols

if TYPE_CHECKING:
    from spice_engine.protocol.views import Step, StepReward

_VALUE = 12
_LEAST_NAME, _MOST_NAME = 8, 32
_BAR = 12


@record
class FieldChange:
    """A field before and after the step; `change` is None where one of them is unknown."""

    name: str
    current: float | None
    following: float | None

    @property
    def change(self) -> float | None:
        """How much it has grown."""
        if self.current is None or self.following is None:
            return None
        return self.following - self.current

    @property
    def differs(self) -> bool:
        """Whether it is another value, or known only once."""
        return self.current != self.following


def changes(step: Step) -> list[FieldChange]:
    """All fields of both states, in order."""
    names = dict.fromkeys([*step.current, *step.following])
    return [FieldChange(name, step.current.get(name), step.following.get(name)) for name in names]


def lines(step: Step, width: int) -> list[Line]:
    """The stepper's rows."""
    return [_head(step), Line(), *_states(step, width), Line(), *_rewards(step, width)]


def _head(step: Step) -> Line:
    line = Line().add(f"Step {step.row + 1} of {step.rows}", TITLE)
    line.add(f"  {scale.moment(step.time)} to {scale.moment(step.next_time)}", LABEL)
    return line.add("  held out" if step.held_out else "  in sample", LABEL)


def _named(names: list[str], width: int) -> int:
    longest = max((len(name) for name in names), default=0) + 1
    return max(_LEAST_NAME, min(longest, _MOST_NAME, width // 3))


def _states(step: Step, width: int) -> list[Line]:
    fields, signs = changes(step), symbols()
    name = _named([one.name for one in fields], width)
    head = Line().add(f"{'  Field':<{name + 2}}", TITLE)
    head.add(f"{'current':>{_VALUE}}{'next':>{_VALUE}}{'change':>{_VALUE}}", LABEL)
    page = [head]
    for one in fields:
        change = one.change
        sign, style = " ", NONE
        if one.differs:
            sign, style = signs.mark, CROSS
            if change is not None:
                sign = signs.up if change > 0 else signs.down
        line = Line().add(f"{sign} ", style).add(f"{one.name[: name - 1]:<{name}}")
        line.add(f"{scale.number(one.current):>{_VALUE}}")
        line.add(f"{scale.number(one.following):>{_VALUE}}", style)
        told = f"{'+' if (change or 0) > 0 else ''}{scale.number(change)}" if one.differs else ""
        page.append(line.add(f"{told:>{_VALUE}}", style))
    return page


def _rewards(step: Step, width: int) -> list[Line]:
    name = _named([_done(one) for one in step.rewards], width)
    most = max((abs(one.value) for one in step.rewards if one.value is not None), default=0.0)
    page = [Line().add(f"{'    Action':<{name + 4}}", TITLE).add(f"{'reward':>{_VALUE}}", LABEL)]
    for one in step.rewards:
        page.append(_reward(one, step, name, most))
        place = f"{one.file}:{one.line}" if one.file and one.line else one.file
        told = ": ".join(part for part in (place, one.code.strip()) if part)
        if told:
            page.append(Line().add(" " * 4).add(told, LABEL))
    signs = symbols()
    key = Line().add("    ").add(f"{signs.cursor} chosen  ", CROSS).add(f"{signs.ok} best", GOOD)
    return [*page, Line(), key]


def _done(one: StepReward) -> str:
    """The action, with the value that it was given where it has a range."""
    return one.action if one.action_value is None else f"{one.action} {one.action_value:.6g}"


def _reward(one: StepReward, step: Step, name: int, most: float) -> Line:
    signs = symbols()
    chosen, best = one.action == step.chosen, one.action == step.best
    line = Line().add(f"{signs.cursor if chosen else ' '} ", CROSS)
    line.add(f"{signs.ok if best else ' '} ", GOOD)
    line.add(f"{_done(one)[: name - 1]:<{name}}", CHOSEN if chosen else NONE)
    if one.value is None:
        return line.add(f"{'-':>{_VALUE}}  ").add(one.error or "no reward", BAD)
    line.add(f"{scale.number(one.value):>{_VALUE}}  ", BAD if one.value < 0 else NONE)
    share = abs(one.value) / most if most else 0.0
    line.add(f"{bar(share, _BAR):<{_BAR}}", BAD if one.value < 0 else SERIES)
    return line if one.lawful else line.add(f"  {signs.warning} not lawful here", BAD)
