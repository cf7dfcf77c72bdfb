"""A search over parameters as rows and pictures: its trials, the best so far, what matters."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any

from spice_tui.models import scale
from spice_tui.models.plot import Plotter, gutter
from spice_tui.models.plot_page import View
from spice_tui.models.search_rows import text
from spice_tui.models.series import Series
from spice_tui.models.styled import LABEL, TITLE, Line, bar

if TYPE_CHECKING:
    from spice_engine.protocol.searches import (
        Importance,
        SearchInfo,
        SearchParameter,
        TrialInfo,
    )

ACTIVE_SEARCH = frozenset({"running", "stopping", "killing"})
"""States of a search that is not over."""

MOST_LINES = 80
"""Trials in parallel coordinates: more are a blot."""
_BEST = 0.1
_CHART_ROWS, _AXES_ROWS = 9, 9
_GOOD, _BEST_COLOR, _OTHER = 0, 2, 7


def search_title(search: SearchInfo) -> str:
    """A search in a line."""
    what = search.pod or (" ".join(search.command) if search.command else "by code")
    name = f" {search.name}" if search.name else ""
    wanted = f" of {search.trials}" if search.trials else ""
    done = sum(search.counts.values())
    return f"Search {search.id}{name}: {search.method}, {done}{wanted} trials, {what}"


def best_words(search: SearchInfo) -> str:
    """The best trial, or that there is none yet."""
    if search.best is None or search.best.value is None:
        return f"{search.state}; no value yet"
    params = ", ".join(f"{name}={text(value)}" for name, value in search.best.params.items())
    value = scale.number(search.best.value)
    return f"{search.state}; best {value} by trial {search.best.number}: {params}"


def trial_words(search: SearchInfo, trial: TrialInfo) -> str:
    """All of one trial: its value and its point in full, and why it ended as it did."""
    params = ", ".join(f"{name}={text(value)}" for name, value in trial.params.items())
    value = "no value" if trial.value is None else f"{search.metric or 'value'} {trial.value:.6g}"
    why = f"; {trial.message}" if trial.message else ""
    return f"Trial {trial.number}: {trial.state}, {value}, {params}{why}"


def valued(trials: Iterable[TrialInfo]) -> list[TrialInfo]:
    """The trials that came to a value, by number."""
    found = [
        one
        for one in trials
        if one.state == "complete" and one.value is not None and math.isfinite(one.value)
    ]
    return sorted(found, key=lambda one: one.number)


def best_so_far(trials: Sequence[TrialInfo], goal: str) -> list[tuple[int, float]]:
    """By number of trials, the best value until then."""
    pick = min if goal == "min" else max
    found: list[tuple[int, float]] = []
    for one in valued(trials):
        value = float(one.value or 0.0)
        found.append((one.number, pick(found[-1][1], value) if found else value))
    return found


def axis_of(one: SearchParameter) -> Callable[[Any], float]:
    """Tells where a value stands on its parameter's axis, from 0 to 1."""
    if one.values is not None:
        places = {json.dumps(choice): place for place, choice in enumerate(one.values)}
        last = max(1, len(places) - 1)
        return lambda value: places.get(json.dumps(value), 0) / last
    return lambda value: _on_range(one, float(value))


def _on_range(one: SearchParameter, value: float) -> float:
    low, high = one.low or 0.0, one.high or 0.0
    mirrored = one.scale == "reverse_log"
    number = low + high - value if mirrored else value
    if one.scale != "linear":
        low, high, number = math.log(low), math.log(high), math.log(max(number, low))
    place = (number - low) / (high - low) if high > low else 0.5
    return 1.0 - place if mirrored else place


class SearchPictures:
    """Draws a search: the best so far, parallel coordinates, importance."""

    def __init__(self) -> None:
        self._plotter = Plotter()
        self._axes = Plotter()

    def lines(
        self,
        search: SearchInfo,
        trials: Sequence[TrialInfo],
        importance: Sequence[Importance],
        width: int,
    ) -> list[Line]:
        """All of it, one below the other."""
        found = valued(trials)
        if len(found) < 2:
            return [Line().add("Two trials with a value, and there is a picture.", LABEL)]
        return [
            *self._curve(search, found, width),
            Line(),
            *self._parallel(search, found, width),
            Line(),
            *importance_lines(importance, width),
        ]

    def _curve(self, search: SearchInfo, trials: Sequence[TrialInfo], width: int) -> list[Line]:
        curve = best_so_far(trials, search.goal)
        best = _series("best", "best so far", curve, _GOOD, priority=1)
        points = [(one.number, float(one.value or 0.0)) for one in trials]
        every = _series("every", "trials", points, _OTHER, dim=True)
        view = View(1, max(2, trials[-1].number), x_kind="whole")
        title = f"Best {search.metric or 'value'} so far"
        picture = self._plotter.draw(
            [every, best], (), view, (width, _CHART_ROWS), title=title, place=False
        )
        return _lines(picture.texts, picture.styles)

    def _parallel(self, search: SearchInfo, trials: Sequence[TrialInfo], width: int) -> list[Line]:
        """Each trial a line through its values; the best tenth stands out."""
        sign = 1.0 if search.goal == "min" else -1.0
        ordered = sorted(trials, key=lambda one: sign * float(one.value or 0.0))[:MOST_LINES]
        good = max(1, round(len(ordered) * _BEST))
        names = [one.name for one in search.parameters]
        axes = [(one.name, axis_of(one)) for one in search.parameters]
        values = [float(one.value or 0.0) for one in ordered]
        low, high = min(values), max(values)
        lines: list[Series] = []
        for place, one in enumerate(ordered):
            ys = [place_of(one.params[name]) for name, place_of in axes]
            value = float(one.value or 0.0)
            ys.append((value - low) / (high - low) if high > low else 0.5)
            color = _BEST_COLOR if place == 0 else _GOOD if place < good else _OTHER
            lines.append(
                _series(
                    f"{one.number}",
                    "",
                    list(enumerate(ys)),
                    color,
                    dim=place >= good,
                    priority=len(ordered) - place,
                )
            )
        picture = self._axes.draw(
            lines,
            (),
            View(0, len(names), y_lo=0.0, y_hi=1.0),
            (width - 1 + gutter(width), _AXES_ROWS),
            axis=False,
            place=False,
        )
        # Its first row names series, its left edge ticks from 0 to 1: neither says anything here.
        body = _lines(
            [row[picture.left :] for row in picture.texts[1:]],
            [row[picture.left :] for row in picture.styles[1:]],
        )
        labels = [*names, search.metric or "value"]
        tops = [*(_end(search, name, high=True) for name in names), scale.number(high)]
        bottoms = [*(_end(search, name, high=False) for name in names), scale.number(low)]
        room = len(body[0].text)
        return [
            Line().add("Parallel coordinates", TITLE).add(", the best tenth in colour", LABEL),
            _spread(labels, room, TITLE),
            _spread(tops, room, LABEL),
            *body,
            _spread(bottoms, room, LABEL),
        ]


def importance_lines(importance: Sequence[Importance], width: int) -> list[Line]:
    """A bar a parameter: how much of the differences among trials it explains by itself."""
    lines = [Line().add("Importance", TITLE).add(", of each parameter by itself", LABEL)]
    if not importance:
        return [*lines, Line().add("Three trials with a value are needed.", LABEL)]
    names = min(max(len(one.name) for one in importance), 16)
    for one in importance:
        line = Line().add(one.name[:names]).to(names).add(f" {one.share:4.0%} ")
        line.add(bar(one.share, max(4, width - names - 16)))
        if one.direction is not None and abs(one.direction) >= 0.1:
            way = "up" if one.direction > 0 else "down"
            line.add(f" {way}", LABEL)
        lines.append(line)
    return lines


def _end(search: SearchInfo, name: str, *, high: bool) -> str:
    one = next(one for one in search.parameters if one.name == name)
    if one.values is not None:
        return text(one.values[-1 if high else 0])
    return text(one.high if high else one.low)


def _spread(words: Sequence[str], width: int, style: int) -> Line:
    """Words under axes that are spread over a width, each cut to its room."""
    line, last = Line(), len(words) - 1
    room = max(3, width // max(1, last) - 1)
    for place, word in enumerate(words):
        shown = word if len(word) <= room else f"{word[: room - 1]}…"
        at = round(place * (width - 1) / max(1, last))
        begin = at if place == 0 else at - len(shown) + 1 if place == last else at - len(shown) // 2
        if begin > len(line.text):
            line.to(begin)
        elif line.text:
            line.add(" ")
        line.add(shown, style)
    return line


def _series(
    key: str,
    title: str,
    points: Sequence[tuple[float, float]],
    color: int,
    *,
    dim: bool = False,
    priority: int = 0,
) -> Series:
    xs, ys = [x for x, _ in points], [y for _, y in points]
    return Series(key, title, xs, ys, color=color, dim=dim, priority=priority)


def _lines(texts: Sequence[str], styles: Sequence[bytes]) -> list[Line]:
    return [Line(one, two) for one, two in zip(texts, styles, strict=True)]
