"""The reward graph of a pod: its trainings' curves between random, best constant and oracle."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from spice_engine.records import record
from spice_tui.models.chart_view import ChartInput
from spice_tui.models.plot import Reference
from spice_tui.models.series import Series

if TYPE_CHECKING:
    from spice_engine.protocol.authoring import PreviewInfo
    from spice_engine.protocol.pods import Episode, TrainingInfo

MEASURES = ("step", "sum", "regret")
"""Reward of a step (parts of different length compare), sum of rewards, share of regret closed.
Of pods that act in an environment the first two are the mean return of an episode."""
TITLES = {"step": "Reward per step", "sum": "Reward", "regret": "Regret closed"}

_LINES = (
    ("random", "random", "random"),
    ("best_constant", "best constant", "constant"),
    ("oracle", "oracle", "oracle"),
)
_PREVIEW_COLOR, _PREVIEW_MARKER = 1, 5
_FIRST_MEMBER, _COLORS = 2, 8


@record
class CurveOptions:
    """What to draw: `compare` earlier trainings, `members` of the current one, `held_out` lines."""

    measure: str = "step"
    compare: int = 0
    members: bool = False
    held_out: bool = True


@dataclass(slots=True)
class _Kept:
    """A series and how it was made."""

    series: Series
    measure: str
    taken: int = 0
    last: float = math.nan


class Curves:
    """Makes chart inputs of a pod's trainings; series of running ones grow in place."""

    def __init__(self) -> None:
        self._kept: dict[str, _Kept] = {}

    def chart(
        self,
        trainings: Sequence[TrainingInfo],
        preview: PreviewInfo | None = None,
        options: CurveOptions | None = None,
    ) -> ChartInput:
        """The chart of a pod's trainings; the one of the highest number is the current one."""
        options = options or CurveOptions()
        ordered = sorted(trainings, key=lambda one: one.number)
        current = ordered[-1] if ordered else None
        used = dict[str, _Kept]()
        series: list[Series] = []
        earlier = ordered[:-1][-options.compare :] if options.compare else []
        for back, one in enumerate(reversed(earlier), 1):
            title = f"training {one.number}"
            kept = self._series(f"training/{one.number}", title, one.episodes, options, used)
            kept.dim, kept.color, kept.marker, kept.priority = True, back % _COLORS, back, -back
            series.append(kept)
        if current is not None:
            series += self._current(current, options, used)
        if preview is not None and preview.episodes:
            key = f"preview/{preview.number}"
            kept = self._series(key, "preview", preview.episodes, options, used)
            kept.dashed, kept.priority = True, 2
            kept.color, kept.marker = _PREVIEW_COLOR, _PREVIEW_MARKER
            series.append(kept)
        self._kept = used
        return ChartInput(
            series=tuple(series),
            references=tuple(_references(current, preview, options)),
            title=_title(current, preview, options),
            x_kind="whole",
            x_until=_until(current, series),
            empty=_empty(current, preview),
        )

    def _current(
        self, training: TrainingInfo, options: CurveOptions, used: dict[str, _Kept]
    ) -> Iterator[Series]:
        title = f"training {training.number}"
        key = f"training/{training.number}"
        main = self._series(key, title, training.episodes, options, used)
        main.dim, main.color, main.marker, main.priority = False, 0, 0, 1
        yield main
        members = members_of(training.episodes) if options.members else {}
        for index, (name, episodes) in enumerate(members.items()):
            one = self._series(f"{key}/{name}", name, episodes, options, used)
            color = _FIRST_MEMBER + index % (_COLORS - _FIRST_MEMBER)
            one.color, one.marker, one.priority = color, color, 0
            yield one

    def _series(
        self,
        key: str,
        title: str,
        episodes: Sequence[Episode],
        options: CurveOptions,
        used: dict[str, _Kept],
    ) -> Series:
        kept = self._kept.get(key)
        if kept is None or kept.measure != options.measure or not _goes_on(kept, episodes):
            kept = _Kept(Series(key, title), options.measure)
        new = episodes[kept.taken :]
        kept.series.extend(
            [one.episode for one in new], [value_of(one, options.measure) for one in new]
        )
        if new:
            kept.taken, kept.last = len(episodes), new[-1].score
        used[key] = kept
        return kept.series


def _goes_on(kept: _Kept, episodes: Sequence[Episode]) -> bool:
    if not kept.taken:
        return True
    return len(episodes) >= kept.taken and episodes[kept.taken - 1].score == kept.last


def members_of(episodes: Sequence[Episode]) -> dict[str, list[Episode]]:
    """Episodes by what their detail names: a member, an algorithm, or a family of candidates.

    Candidates are named as `tree 3`: a family's word and a number. Empty when there is just one.
    """
    found: dict[str, list[Episode]] = {}
    for one in episodes:
        detail = one.detail
        name = detail.get("member") or detail.get("algorithm") or detail.get("candidate") or ""
        if words := str(name).split():
            found.setdefault(words[0], []).append(one)
    return found if len(found) > 1 else {}


def value_of(episode: Episode, measure: str) -> float | None:
    """An episode's height in the graph; None where it failed or the figure is unknown."""
    if episode.error:
        return None
    if measure == "regret":
        return _number(episode.detail.get("regret_closed"))
    if measure == "sum":
        return episode.score
    if "episodes" in episode.detail:
        return episode.score
    steps = sum(episode.actions_taken.values())
    return episode.score / steps if steps else None


def _number(value: Any) -> float | None:
    # Reference lines of an evaluation may name the action they take.
    if isinstance(value, Mapping):
        value = value.get("score")
    return float(value) if isinstance(value, int | float) and math.isfinite(value) else None


def _references(
    current: TrainingInfo | None, preview: PreviewInfo | None, options: CurveOptions
) -> Iterator[Reference]:
    """Lines of the current training, or of the preview of a pod that has none."""
    source = current if current is not None and current.episodes else preview
    if source is None or not source.episodes:
        return
    if options.measure == "regret":
        yield Reference("best constant", 0.0, "constant")
        yield Reference("oracle", 1.0, "oracle")
    else:
        last = source.episodes[-1]
        # While it trains, the oracle may be a first guess; the evaluation has searched on.
        part = (source.evaluation or {}).get("in_sample")
        figures = part if isinstance(part, Mapping) else last.detail
        steps = _steps(figures) or sum(last.actions_taken.values())
        yield from _lines(figures, steps, options.measure, "")
    part = (source.evaluation or {}).get("held_out")
    if not isinstance(part, Mapping) or not options.held_out:
        return
    if options.measure == "regret":
        value = _number(part.get("regret_closed"))
        if value is not None:
            yield Reference("held out", value)
    elif options.measure == "step" and (steps := _steps(part)):
        # Sums over parts of different length do not compare; rewards of a step do.
        yield from _lines(part, steps, "step", ", held out")
        value = _number(part.get("score"))
        if value is not None:
            yield Reference("held out", value / steps)


def _steps(figures: Mapping[str, Any]) -> int:
    """What a score is divided by for that of a step; a mean return of episodes stays whole."""
    return 1 if "episodes" in figures else int(figures.get("steps") or 0)


def _title(current: TrainingInfo | None, preview: PreviewInfo | None, options: CurveOptions) -> str:
    source = current if current is not None and current.episodes else preview
    played = source is not None and source.episodes and "episodes" in source.episodes[-1].detail
    return (
        "Return of an episode" if played and options.measure == "step" else TITLES[options.measure]
    )


def _lines(
    figures: Mapping[str, Any], steps: int, measure: str, suffix: str
) -> Iterator[Reference]:
    for name, title, tone in _LINES:
        value = _number(figures.get(name))
        if value is None or (measure == "step" and not steps):
            continue
        yield Reference(title + suffix, value / steps if measure == "step" else value, tone)


def _until(current: TrainingInfo | None, series: Sequence[Series]) -> float | None:
    """Where the axis ends: at the number of episodes asked for, or at the last there is."""
    if current is None:
        return None
    if current.ended is None:
        return float(current.episodes_wanted) or None
    return max((one.xs[-1] for one in series if len(one)), default=None)


def _empty(current: TrainingInfo | None, preview: PreviewInfo | None) -> str:
    if current is not None and current.error:
        return f"Training {current.number} failed: {current.message or current.error}"
    if current is None and preview is None:
        return "Not trained yet."
    return "No episode yet."
