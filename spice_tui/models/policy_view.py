"""A whole policy as people read it: what it does how often, its rules, and what it looks at."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from spice_tui.models import scale
from spice_tui.models.short_names import ShortNames
from spice_tui.models.styled import BAD, LABEL, SERIES, TITLE, Line, bar, wrapped
from spice_tui.models.verdict import KINDS
from spice_tui.theme.symbols import symbols

if TYPE_CHECKING:
    from spice_engine.protocol.judging import ActionUse, PolicyExplanation, PolicyRule
    from spice_tui.models.questions import Question

_NAME, _VALUE, _COUNT = 16, 10, 7
_BAR, _MOST_BAR, _MOST_NAME = 9, 30, 64
_COLUMN, _CHANGED = 12, 7
_GLUE = "\u00a0"


def lines(
    kept: Question | None,
    asked: Question | None,
    names: ShortNames,
    serving: int | None,
    width: int,
) -> list[Line]:
    """The page's rows: what is being asked, and the last answer with its age."""
    page: list[Line] = []
    if asked is not None:
        what = f"policy {asked.about[0]}" if asked.about else "the policy"
        page += wrapped(f"{symbols().running} Explaining {what}; esc gives up.", width, TITLE)
    elif kept is not None and kept.error:
        page += wrapped(f"{symbols().warning} {kept.error}", width, BAD)
    found: PolicyExplanation | None = kept.answer if kept is not None else None
    if found is None:
        if asked is None:
            page += wrapped(_hint(serving), width, LABEL)
        return page
    if found.policy_version != serving and asked is None:
        now = f"v{serving} serves" if serving else "none serves"
        text = f"This is v{found.policy_version}; {now} now. enter explains that one."
        page += wrapped(f"{symbols().warning} {text}", width, BAD)
    return [*page, *explanation(found, names, width)]


def _hint(serving: int | None) -> str:
    if not serving:
        return "No policy yet: t trains the pod."
    return f"enter explains what policy v{serving} does, and why: rules, fields, weights."


def explanation(found: PolicyExplanation, names: ShortNames, width: int) -> list[Line]:
    """The rows of an answer."""
    found = _shortened(found, names)
    return [
        *_facts(found, names, width),
        Line(),
        *_actions(found, width),
        Line(),
        *_rules(found, width),
        *_fields(found, width),
        *_features(found, width),
    ]


def _shortened(found: PolicyExplanation, names: ShortNames) -> PolicyExplanation:
    """The same with short names of fields, which are most of every row."""
    of = names.of
    return replace(
        found,
        actions=[
            replace(one, typical={of(name): value for name, value in one.typical.items()})
            for one in found.actions
        ],
        rules=[
            replace(one, conditions=[of(condition) for condition in one.conditions])
            for one in found.rules
        ],
        fields=[replace(one, field=of(one.field)) for one in found.fields],
        features={of(name): size for name, size in found.features.items()},
        weights={of(name): one for name, one in found.weights.items()},
    )


def _facts(found: PolicyExplanation, names: ShortNames, width: int) -> Iterator[Line]:
    kind = KINDS.get(found.kind, found.kind)
    yield Line().add(f"{'Policy':<{_NAME}}", LABEL).add(f"v{found.policy_version}", TITLE)
    yield Line().add(f"{'Algorithm':<{_NAME}}", LABEL).add(f"{found.algorithm}, {kind}")
    line = Line().add(f"{'Looked at':<{_NAME}}", LABEL).add(f"{found.steps:,} steps")
    if of_its_own(found):
        yield line.add(" of its own episode")
        text = "Its actions change what it sees next: this is what it meets by its own doing."
        yield from wrapped(text, width, LABEL)
    else:
        yield line.add(" of the data")
    if names.prefixes:
        short = ", ".join(names.prefixes)
        yield Line().add(f"{'Names without':<{_NAME}}", LABEL).add(short, LABEL)


def of_its_own(found: PolicyExplanation) -> bool:
    """Whether the steps are those of the policy's own episode, as a simulated pod has them."""
    return found.lost_by == "values"


# -- what it does


def _actions(found: PolicyExplanation, width: int) -> Iterator[Line]:
    name = _name_width((one.action for one in found.actions), width)
    typical = list(found.actions[0].typical) if found.actions else []
    # The last column's right edge is the figure's own: one cell is the least that parts them.
    left = width - name - 1 - _COUNT - 5 - _VALUE
    room = _BAR if left >= _BAR else 0
    typical = typical[: max(0, (left - room) // (_COLUMN + 1))]
    head = Line().add(f"{'Action':<{name}}", TITLE)
    head.add(f"{'taken':>{room + _COUNT + 6}}{'reward':>{_VALUE}}", LABEL)
    for field in typical:
        head.add(f" {_tail(f'mean {field}', _COLUMN):>{_COLUMN}}", LABEL)
    yield head
    for one in found.actions:
        yield _action(one, found.steps, typical, name, room)


def _action(one: ActionUse, steps: int, typical: Sequence[str], name: int, room: int) -> Line:
    share = one.taken / max(steps, 1)
    line = Line().add(f"{_head(one.action, name):<{name}} ")
    if room:
        line.add(f"{bar(share, room):<{room}}", SERIES)
    line.add(f"{one.taken:>{_COUNT},}{share:>5.0%}{scale.number(one.reward):>{_VALUE}}")
    for field in typical:
        line.add(f" {scale.number(one.typical.get(field)):>{_COLUMN}}")
    return line


# -- rules


def _rules(found: PolicyExplanation, width: int) -> Iterator[Line]:
    shown = len(found.rules)
    if not found.rules_exact:
        yield Line().add("About as these rules", TITLE)
        text = f"A small tree beside it: it does the same on {found.rules_agree:.1%} of the steps."
        yield from wrapped(text, width, LABEL)
    elif shown < found.rules_total:
        head = Line().add(f"{'Rules':<{_NAME}}", TITLE)
        yield head.add(f"the {shown} of {found.rules_total} that apply most", LABEL)
    else:
        yield Line().add("Rules", TITLE)
    if _laws_step_in(found):
        text = "Where laws forbid what a rule says, the best lawful action was taken."
        yield from wrapped(text, width, LABEL)
    name = _name_width((one.action for one in found.rules), width - 5)
    for one in found.rules:
        yield from _rule(one, found.steps, name, width)


def _laws_step_in(found: PolicyExplanation) -> bool:
    """Whether rules speak of an action on more steps than it was taken on."""
    taken = {one.action: one.taken for one in found.actions}
    wanted: dict[str, int] = {}
    for one in found.rules:
        wanted[one.action] = wanted.get(one.action, 0) + one.steps
    exact = of_its_own(found) and found.rules_exact
    return exact and any(steps > taken.get(action, 0) for action, steps in wanted.items())


def _rule(one: PolicyRule, steps: int, name: int, width: int) -> Iterator[Line]:
    share = one.steps / max(steps, 1)
    # A line ends between conditions, unless one alone is too long for it.
    whole = [c.replace(" ", _GLUE) if len(c) <= width - 9 else c for c in one.conditions]
    when = f"when {' and '.join(whole)}" if whole else "always"
    for line in wrapped(when, width, hang=5):
        line.text = line.text.replace(_GLUE, " ")
        yield line
    line = Line().add("then ", LABEL).add(f"{_head(one.action, name):<{name}}", TITLE)
    line.add(f"{f'{share:.1%}':>7} ")
    rest = f" reward {scale.number(one.reward):>8}"
    room = min(_MOST_BAR, width - len(line.text) - len(rest) - 2)
    if room >= 4:
        line.add(f"{bar(share, room):<{room}}", SERIES)
    yield line.add(rest, LABEL)


# -- what it looks at


def _fields(found: PolicyExplanation, width: int) -> Iterator[Line]:
    if not found.fields:
        return
    yield Line()
    yield Line().add("If a field told of another time", TITLE)
    lost = "value, as the policy sees it," if of_its_own(found) else "reward"
    yield from wrapped(f"{lost} lost a step, and the share of choices changed", width, LABEL)
    most = max(one.lost for one in found.fields)
    name = _name_width((one.field for one in found.fields), width - _CHANGED)
    # Beside the longest bar, not at the far edge of a wide pane.
    edge = min(width - _CHANGED, name + _VALUE + 1 + _MOST_BAR)
    for one in found.fields:
        line = _bar_line(one.field, one.lost, most, name, edge + 1)
        yield line.to(edge).add(f"{one.changed:>{_CHANGED}.1%}")


def _features(found: PolicyExplanation, width: int) -> Iterator[Line]:
    if found.weights:
        yield Line()
        yield from _weights(found.weights, [one.action for one in found.actions], width)
    elif found.features:
        yield Line()
        yield Line().add("What features add", TITLE).add("  in size, on average", LABEL)
        most = max(found.features.values())
        name = _name_width(found.features, width)
        for feature, size in found.features.items():
            yield _bar_line(feature, size, most, name, width)


def _weights(
    weights: Mapping[str, Mapping[str, float]], actions: Sequence[str], width: int
) -> Iterator[Line]:
    """Features by actions; actions that have no room are counted."""
    name = _name_width(weights, width)
    fit = max(1, (width - name) // (_COLUMN + 1))
    shown = actions[:fit]
    head = Line().add("Weights of standardised features", TITLE)
    if len(shown) < len(actions):
        head.add(f"  of {len(shown)} of {len(actions)} actions", LABEL)
    yield head
    line = Line().add(" " * name)
    for action in shown:
        line.add(f" {_head(action, _COLUMN):>{_COLUMN}}", LABEL)
    yield line
    for feature, one in weights.items():
        line = Line().add(f"{_tail(feature, name):<{name}}")
        for action in shown:
            line.add(f" {scale.number(one.get(action)):>{_COLUMN}}")
        yield line


def _bar_line(title: str, value: float, most: float, name: int, width: int) -> Line:
    line = Line().add(f"{_tail(title, name):<{name}}").add(f"{scale.number(value):>{_VALUE}} ")
    room = min(_MOST_BAR, width - len(line.text) - 1)
    share = value / most if most > 0 else 0.0
    return line.add(bar(share, room), SERIES) if room >= 4 else line


def _name_width(names: Iterable[str], width: int) -> int:
    """As wide as the longest, but half of the width at most."""
    longest = max((len(name) for name in names), default=0)
    return max(8, min(longest, _MOST_NAME, width // 2))


def _head(text: str, width: int) -> str:
    return text if len(text) <= width else text[: width - 1] + symbols().ellipsis


def _tail(text: str, width: int) -> str:
    """The end of a name: what is left out at its beginning many share."""
    return text if len(text) <= width else symbols().ellipsis + text[1 - width :]
