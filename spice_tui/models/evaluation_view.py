"""An evaluation as people read it: bars between reference lines, actions, confidence, verdict."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import zip_longest
from typing import Any, cast

from spice_engine.records import record
from spice_tui.models import scale
from spice_tui.models.styled import (
    BAD,
    GOOD,
    LABEL,
    NONE,
    SERIES,
    TITLE,
    Line,
    bar,
    tone,
    wrapped,
)
from spice_tui.models.verdict import beside_serving, looked_at
from spice_tui.theme.symbols import symbols

PARTS = (("in sample", "in_sample"), ("held out", "held_out"))

_LEVELS = (
    ("policy", "score", SERIES),
    ("random", "random", tone("random")),
    ("best constant", "best_constant", tone("constant")),
    ("oracle", "oracle", tone("oracle")),
)
_NAME, _VALUE = 16, 10
_BAR, _COUNT = 9, 13


@record
class Level:
    """One score of a part: per step, and where it lies between the least and the greatest."""

    title: str
    value: float
    share: float
    style: int


@record
class PartScores:
    """The scores of one part of the data; `regret_closed` is a share, None where unknown.

    `between` is where it lies at 95 %. Where `episodes` were played, the scores are their mean
    returns, else rewards of a step.
    """

    title: str
    steps: int
    levels: tuple[Level, ...]
    regret_closed: float | None
    between: tuple[float, float] | None = None
    episodes: int = 0


@record
class ActionUse:
    """How often an action was taken in each part, as a share, and its mean reward there."""

    action: str
    taken: tuple[tuple[int, float], ...]
    rewards: tuple[float | None, ...]


@record
class EvaluationView:
    """What there is to show of an evaluation."""

    facts: tuple[tuple[str, str], ...] = ()
    parts: tuple[PartScores, ...] = ()
    actions: tuple[ActionUse, ...] = ()
    candidates: tuple[tuple[str, float | None, bool], ...] = ()
    confidence: str = ""
    sentences: tuple[str, ...] = ()


def evaluation_view(evaluation: Mapping[str, Any] | None) -> EvaluationView:
    """Sort an evaluation into what is shown; unknown or missing figures are left out."""
    if not evaluation:
        return EvaluationView(sentences=("Not evaluated yet.",))
    found = [
        (title, cast("Mapping[str, Any]", evaluation[key]))
        for title, key in PARTS
        if isinstance(evaluation.get(key), Mapping)
    ]
    return EvaluationView(
        facts=tuple(_facts(evaluation)),
        parts=tuple(_part(title, part) for title, part in found),
        actions=tuple(_actions([part for _, part in found])),
        candidates=tuple(_candidates(evaluation.get("candidates"))),
        confidence=_confidence(evaluation.get("reliability")),
        sentences=tuple(_sentences(evaluation)),
    )


def _number(value: Any) -> float | None:
    if isinstance(value, Mapping):
        value = cast("Mapping[str, Any]", value).get("score")
    return float(value) if isinstance(value, int | float) else None


def _facts(evaluation: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    algorithm = str(evaluation.get("algorithm") or "")
    candidate = str(evaluation.get("candidate") or "")
    if candidate and candidate != algorithm:
        algorithm = f"{algorithm} ({candidate})" if algorithm else candidate
    since = _number(evaluation.get("held_out_from"))
    held_out = "nothing" if since is None else f"from {scale.moment(since)} on"
    environment = str(evaluation.get("environment") or "")
    pairs = (
        ("Problem", str(evaluation.get("problem_class") or "")),
        ("Environment", environment),
        ("Algorithm", algorithm),
        ("Held out", "fresh episodes" if environment else held_out),
        looked_at(evaluation),
        beside_serving(evaluation),
    )
    yield from (pair for pair in pairs if pair[1])


def _part(title: str, part: Mapping[str, Any]) -> PartScores:
    steps = int(_number(part.get("steps")) or 0)
    episodes = int(_number(part.get("episodes")) or 0)
    whole = 1 if episodes else steps or 1
    values = [
        (name, value / whole, style)
        for name, key, style in _LEVELS
        if (value := _number(part.get(key))) is not None
    ]
    least = min((value for _, value, _ in values), default=0.0)
    span = max((value for _, value, _ in values), default=0.0) - least
    levels = (
        Level(name, value, (value - least) / span if span > 0 else 1.0, style)
        for name, value, style in values
    )
    closed = _number(part.get("regret_closed"))
    return PartScores(title, steps, tuple(levels), closed, _between(part), episodes)


def _between(part: Mapping[str, Any]) -> tuple[float, float] | None:
    found = cast("Mapping[str, Any]", part.get("intervals") or {}).get("regret_closed")
    if not found:
        return None
    low, high = (_number(one) for one in cast("list[Any]", found))
    return None if low is None or high is None else (low, high)


def _actions(parts: Sequence[Mapping[str, Any]]) -> Iterator[ActionUse]:
    counts = [cast("Mapping[str, int]", part.get("actions_taken") or {}) for part in parts]
    rewards = [cast("Mapping[str, Any]", part.get("reward_per_action") or {}) for part in parts]
    names = dict.fromkeys(name for one in counts for name in one)
    sums = [sum(one.values()) or 1 for one in counts]
    for name in names:
        taken = [one.get(name, 0) for one in counts]
        shares = tuple((count, count / sums[i]) for i, count in enumerate(taken))
        yield ActionUse(name, shares, tuple(_number(one.get(name)) for one in rewards))


def _candidates(found: Any) -> Iterator[tuple[str, float | None, bool]]:
    for one in cast("list[Mapping[str, Any]]", found or []):
        yield str(one.get("name", "")), _number(one.get("folds_score")), bool(one.get("chosen"))


def _confidence(found: Any) -> str:
    if not isinstance(found, Mapping):
        return ""
    trust = cast("Mapping[str, float]", found)
    return (
        f"Says {trust.get('confidence', 0.0):.0%} on average held out and is right in "
        f"{trust.get('right', 0.0):.0%}; off by {trust.get('error', 0.0):.1%}{_chance(trust)}."
    )


def _chance(trust: Mapping[str, float]) -> str:
    """What of the calibration error chance alone would make."""
    chance = trust.get("chance")
    return f" (chance alone: {chance:.1%})" if chance else ""


def _sentences(evaluation: Mapping[str, Any]) -> Iterator[str]:
    """Its own notes where it has any, and what its flags mean."""
    for note in cast("list[Any]", evaluation.get("notes") or []):
        yield str(note)
    if evaluation.get("nothing_to_learn"):
        yield "Nothing to learn: random, the best constant action and the oracle score alike."
        return
    if evaluation.get("constant_policy"):
        yield "It has learned one constant action: it takes the same one on every step."
    if evaluation.get("overfitted"):
        yield "Overfitted: held out it closes less of the regret than in sample, beyond chance."
    if evaluation.get("beats_best_constant") is False:
        yield "It does not beat the best constant action held out."
    if not isinstance(evaluation.get("held_out"), Mapping):
        yield "Nothing was held out: how it does on data it has not seen is unknown."


# -- as lines


def lines(view: EvaluationView, width: int) -> list[Line]:
    """The pane's rows; parts stand beside each other where there is room."""
    signs = symbols()
    page: list[Line] = []
    for text in view.sentences:
        page += wrapped(f"{signs.warning} {text}", width, BAD, hang=2)
    for name, value in view.facts:
        page.append(Line().add(f"{name:<{_NAME}}", LABEL).add(value))
    blocks = [_part_lines(part, _block(width, view.parts)) for part in view.parts]
    if len(blocks) > 1 and _block(width, view.parts) < width:
        page += [Line(), *_beside(blocks, _block(width, view.parts))]
    else:
        for block in blocks:
            page += [Line(), *block]
    if view.actions:
        page += [Line(), *_action_lines(view, width)]
    if view.confidence:
        page += [Line(), Line().add("Confidence", TITLE), *wrapped(view.confidence, width)]
    if len(view.candidates) > 1:
        acted = any(part.episodes for part in view.parts)
        head = Line().add(f"{'Candidates':<{_NAME}}", TITLE)
        page += [Line(), head.add("return" if acted else "score on folds", LABEL)]
        for name, score, chosen in view.candidates:
            sign = signs.ok if chosen else " "
            line = Line().add(f"{sign} ", GOOD).add(f"{name:<{_NAME + 8}} ")
            page.append(line.add(f"{scale.number(score):>{_VALUE}}"))
    return page


def _block(width: int, parts: Sequence[PartScores]) -> int:
    half = (width - 2) // 2
    return half if len(parts) > 1 and half >= _NAME + _VALUE + 10 else width


def _beside(blocks: Sequence[Sequence[Line]], width: int) -> Iterator[Line]:
    # Of few steps there is no interval: one part may have a row less.
    for one, other in zip_longest(*blocks):
        left, right = one or Line(), other or Line()
        left.to(width).add("  ")
        left.text, left.styles = left.text + right.text, left.styles + right.styles
        yield left


def _part_lines(part: PartScores, width: int) -> list[Line]:
    head = Line().add(part.title.capitalize(), TITLE)
    if part.episodes:
        head.add(f"  {part.episodes} episodes, return", LABEL)
    else:
        head.add(f"  {part.steps} steps, reward per step", LABEL)
    page = [head]
    room = max(4, width - _NAME - _VALUE - 2)
    for one in part.levels:
        line = Line().add(f"{one.title:<{_NAME}}", one.style)
        line.add(f"{scale.number(one.value):>{_VALUE}} ", NONE)
        page.append(line.add(bar(max(one.share, 0.5 / room), room), one.style))
    closed = part.regret_closed
    line = Line().add(f"{'regret closed':<{_NAME}}", LABEL)
    if closed is None:
        page.append(line.add(f"{'-':>{_VALUE}}"))
    else:
        style = GOOD if closed > 0 else BAD
        line.add(f"{f'{closed:.1%}':>{_VALUE}} ", style)
        page.append(line.add(bar(closed, room), style))
    if part.between is not None:
        low, high = part.between
        line = Line().add(f"{'  with 95 %':<{_NAME}}", LABEL)
        page.append(line.add(f"{low:.1%} to {high:.1%}", LABEL))
    return page


def _action_lines(view: EvaluationView, width: int) -> Iterator[Line]:
    room = _BAR if width >= _NAME + len(view.parts) * (_BAR + _COUNT + _VALUE) else 0
    head = Line().add(f"{'Action':<{_NAME}}", TITLE)
    for part in view.parts:
        head.add(f"{part.title:>{room + _COUNT}}{'reward':>{_VALUE}}", LABEL)
    yield head
    for one in view.actions:
        line = Line().add(f"{one.action[: _NAME - 1]:<{_NAME}}")
        for (count, share), reward in zip(one.taken, one.rewards, strict=True):
            if room:
                line.add(f" {bar(share, room - 1):<{room - 1}}", SERIES)
            line.add(f"{count:>{_COUNT - 6}}{share:>6.0%}{scale.number(reward):>{_VALUE}}")
        yield line
