"""A comparison of policies as people read it: in words, scores, and each pair's difference."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, cast

from spice_engine.records import record
from spice_tui.models import scale
from spice_tui.models.styled import (
    AXIS,
    BAD,
    CHOSEN,
    GOOD,
    LABEL,
    NONE,
    SERIES,
    TITLE,
    Line,
    bar,
    wrapped,
)
from spice_tui.theme.symbols import symbols

if TYPE_CHECKING:
    from spice_engine.protocol.judging import (
        ComparedPair,
        ComparedPolicy,
        Comparison,
        ComparisonProgress,
    )
    from spice_tui.models.questions import Question

MOST = 6
"""Policies that one comparison may have."""

_SCORE, _BETWEEN, _CLOSED = 9, 20, 8
_LEAST_BAR, _MOST_BAR = 8, 30
_GAIN, _CHANCE = 12, 11
_HINT = (
    "enter chooses versions or algorithms to compare on the same steps; algorithms are trained "
    "for it, which changes nothing."
)


@record
class Scored:
    """One policy: reward per step and regret closed, each with its interval where it is known."""

    name: str
    score: float | None
    between: tuple[float, float] | None
    closed: float | None
    unseen: bool
    best: bool


def scored(found: Comparison) -> list[Scored]:
    """All policies in the order they were asked for."""
    return [_scored(one, found.better) for one in (found.first, found.second, *found.others)]


def _scored(one: ComparedPolicy, better: str) -> Scored:
    part: Mapping[str, Any] = one.evaluation
    steps = part.get("steps") or 1
    score = _number(part.get("score"))
    between = cast("Mapping[str, Any]", part.get("intervals") or {}).get("score")
    return Scored(
        one.name,
        None if score is None else score / steps,
        (between[0] / steps, between[1] / steps) if between else None,
        _number(part.get("regret_closed")),
        one.unseen,
        one.name == better,
    )


def _number(value: Any) -> float | None:
    return float(value) if isinstance(value, int | float) else None


def lines(
    kept: Question | None,
    asked: Question | None,
    progress: ComparisonProgress | None,
    serving: int | None,
    width: int,
) -> list[Line]:
    """The page's rows: how far what is being asked is, and the last answer with its age."""
    page: list[Line] = []
    if asked is not None:
        page += _going(asked, progress, width)
    elif kept is not None and kept.error:
        page += wrapped(f"{symbols().warning} {kept.error}", width, BAD)
    found: Comparison | None = kept.answer if kept is not None else None
    if kept is None or found is None:
        if asked is None:
            page += wrapped(_HINT, width, LABEL)
        return page
    if kept.serving != serving and asked is None:
        then = f"v{kept.serving} served" if kept.serving else "none served"
        now = f"v{serving} does" if serving else "none does"
        text = f"Compared when {then}; {now} now. enter compares again."
        page += wrapped(f"{symbols().warning} {text}", width, BAD)
    return [*page, *comparison(found, width)]


def _going(asked: Question, progress: ComparisonProgress | None, width: int) -> Iterator[Line]:
    run, names = symbols().running, ", ".join(asked.about)
    yield from wrapped(f"{run} Comparing {names}; esc gives up.", width, TITLE)
    if progress is not None and progress.place < len(progress.policies):
        count, place = len(progress.policies), progress.place
        text = f"Trains {progress.policies[place]} ({place + 1} of {count})"
        if progress.score is not None:
            text += f": episode {progress.episode}, score {scale.number(progress.score)}"
        yield from wrapped(f"{text}.", width, LABEL)


def progress_of(
    all_of_them: Iterable[ComparisonProgress], pod: str, asked: Question | None
) -> ComparisonProgress | None:
    """How the question does that was asked about a pod, if it is told by now."""
    if asked is None:
        return None
    return next(
        (one for one in all_of_them if one.pod == pod and tuple(one.policies) == asked.about), None
    )


# -- an answer


def comparison(found: Comparison, width: int) -> list[Line]:
    """The rows of an answer."""
    page = list(wrapped(found.words, width, GOOD if found.better else TITLE))
    page.append(Line())
    times = f"{scale.moment(found.start)} to {scale.moment(found.end)}"
    page.append(Line().add("Steps  ", LABEL).add(f"{found.steps:,}"))
    page += [Line().add("From   ", LABEL).add(times), Line()]
    policies = scored(found)
    page += _scores(policies, width)
    page += [Line(), *_pairs(found.pairs, width)]
    return page


def _scores(policies: Sequence[Scored], width: int) -> Iterator[Line]:
    signs = symbols()
    fixed = 2 + _SCORE + _BETWEEN + _CLOSED
    name = max(6, min(max(len(one.name) for one in policies), width - fixed))
    room = min(_MOST_BAR, width - fixed - name - 2)
    head = Line().add(f"{'  Policy':<{name + 2}}", TITLE)
    head.add(f"{'per step':>{_SCORE}}{'with 95 %':>{_BETWEEN}}{'closed':>{_CLOSED}}", LABEL)
    yield head
    known = [one.score for one in policies if one.score is not None]
    least, span = min(known, default=0.0), max(known, default=0.0) - min(known, default=0.0)
    for one in policies:
        line = Line().add(f"{signs.ok} " if one.best else "  ", GOOD)
        line.add(f"{_cut(one.name, name):<{name}}", CHOSEN if one.best else NONE)
        line.add(f"{scale.number(one.score):>{_SCORE}}{_between(one.between):>{_BETWEEN}}")
        line.add(f"{'-' if one.closed is None else f'{one.closed:.1%}':>{_CLOSED}}")
        if room >= _LEAST_BAR and one.score is not None:
            share = (one.score - least) / span if span > 0 else 1.0
            line.add("  ").add(bar(max(share, 0.5 / room), room), SERIES)
        yield line
    seen = [one.name for one in policies if not one.unseen]
    if seen:
        yield from wrapped(f"Learned from these steps: {', '.join(seen)}.", width, LABEL)


def _pairs(pairs: Sequence[ComparedPair], width: int) -> Iterator[Line]:
    """Two rows a pair: who gains how much with which probability, and between what, in a picture.

    Where that is too wide, the names have a row of their own. All pictures have one scale, with
    zero, where neither gains, in it.
    """
    head = Line().add("Paired differences", TITLE)
    yield head.add("  what the first gains a step", LABEL)
    ends = [end for one in pairs for end in (one.low, one.high) if end is not None]
    least, most = min([0.0, *ends]), max([0.0, *ends])
    titles = [f"{one.first} over {one.second}" for one in pairs]
    said = [f"{one.better} is better" if one.better else "cannot tell" for one in pairs]
    apart = _longest(titles) + _GAIN + 2 + _CHANCE + _longest(said) > width
    name = 0 if apart else _longest(titles)
    for one, title, words in zip(pairs, titles, said, strict=True):
        style = GOOD if one.better else NONE
        line = Line().add(title, TITLE)
        if apart:
            yield line.add(f"  {words}", style)
            line = Line()
        line.to(name).add(f"{one.difference:>+{_GAIN}.4g}  ")
        line.add(f"{_chance(one.p):<{_CHANCE}}", LABEL)
        yield line if apart else line.add(words, style)
        if one.low is None or one.high is None:
            continue
        between = f"{one.low:+.4g} to {one.high:+.4g}"
        line = Line().add(f"  {between:<{max(_BETWEEN + 4, name + _GAIN)}}", LABEL)
        room = min(2 * _MOST_BAR, width - len(line.text) - 1)
        if room >= _LEAST_BAR and most > least:
            _picture(line, one, least, most, room)
        yield line


def _picture(line: Line, pair: ComparedPair, least: float, most: float, room: int) -> None:
    """The interval as a stroke, the difference as a dot, and zero as an upright stroke."""
    signs = symbols()

    def place(value: float) -> int:
        return round((value - least) / (most - least) * (room - 1))

    low, high = place(pair.low or 0.0), place(pair.high or 0.0)
    zero, dot = place(0.0), place(pair.difference)
    style = GOOD if pair.better else SERIES
    for cell in range(room):
        if cell == dot:
            line.add(signs.running, style)
        elif cell == zero:
            line.add(signs.vertical, AXIS)
        elif low <= cell <= high:
            line.add(signs.horizontal, style)
        else:
            line.add(" ")


def _between(found: tuple[float, float] | None) -> str:
    return "-" if found is None else f"{scale.number(found[0])} to {scale.number(found[1])}"


def _chance(p: float | None) -> str:
    if p is None:
        return "p unknown"
    return "p < 0.001" if p < 0.001 else f"p = {p:.2g}"


def _longest(texts: Sequence[str]) -> int:
    return max((len(text) for text in texts), default=0)


def _cut(text: str, width: int) -> str:
    return text if len(text) <= width else text[: width - 1] + symbols().ellipsis
