"""An evaluation as people read it: the score between its reference lines, and a verdict."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from spice_tui.cli import output, values

PARTS = (("in sample", "in_sample"), ("held out", "held_out"))
FIGURES = (
    ("SCORE", "score"),
    ("RANDOM", "random"),
    ("BEST CONSTANT", "best_constant"),
    ("ORACLE", "oracle"),
    ("REGRET CLOSED", "regret_closed"),
)


def percent(value: Any) -> str:
    """A share in percent, `-` where there is none."""
    return f"{value:.1%}" if isinstance(value, int | float) else "-"


def regret_closed(evaluation: Mapping[str, Any] | None) -> Any:
    """The figure pods are judged by: the held-out one, None where nothing was held out.

    The in-sample figure never stands in for it: it looks the same and says much less.
    """
    return _part(evaluation or {}, "held_out").get("regret_closed")


def _part(evaluation: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    part = evaluation.get(name)
    return part if isinstance(part, Mapping) else {}


def _figure(part: Mapping[str, Any], name: str) -> str:
    value = part.get(name)
    if isinstance(value, Mapping):  # a reference line may name the action it takes
        value = value.get("score")
    return percent(value) if name == "regret_closed" else values.number(value, 5)


def verdict(evaluation: Mapping[str, Any]) -> str:
    """What the figures mean, in one sentence; nothing when the pod simply learned."""
    if evaluation.get("nothing_to_learn"):
        return "Nothing to learn: the best constant action, random and the oracle score alike."
    if evaluation.get("constant_policy"):
        return "It has learned one constant action: it takes the same one on every step."
    if evaluation.get("beats_best_constant") is False:
        return "It does not beat the best constant action on held-out data."
    return ""


def show(evaluation: Mapping[str, Any]) -> None:
    """Print the figures of both parts, then the verdict."""
    rows = [
        [title, *(_figure(_part(evaluation, key), name) for _, name in FIGURES)]
        for title, key in PARTS
        if _part(evaluation, key)
    ]
    if rows:
        columns = ["EVALUATION", *(title for title, _ in FIGURES)]
        output.table(columns, rows, right=columns[1:])
    text = verdict(evaluation)
    if text:
        output.line(output.paint(text, "yellow"))
