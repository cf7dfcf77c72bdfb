"""What the figures of a pod mean, in a sentence or two."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, cast

if TYPE_CHECKING:
    from spice_engine.protocol.authoring import PreviewInfo
    from spice_engine.protocol.pods import PodInfo

KINDS = {
    "constant": "one action",
    "linear": "weighted sums",
    "tree": "a tree",
    "forest": "random trees",
    "table": "a table",
    "network": "neural networks",
    "tiles": "tables of tile codes",
    "codes": "a table of codes",
    "encoded": "neural networks",
}
"""What the kinds of models are called."""


def of_pod(pod: PodInfo | None, preview: PreviewInfo | None = None) -> str:
    """The pod's state, how good its policy is, and how the preview of unsaved edits does."""
    if pod is None:
        return ""
    return "  ".join(_parts(pod, preview))


def _parts(pod: PodInfo, preview: PreviewInfo | None) -> Iterator[str]:
    if pod.training is not None:
        yield f"Training {pod.training} is under way."
    elif pod.state not in ("ready", "training"):
        yield f"The pod is {pod.state}."
    errors = [problem for problem in pod.problems if problem.severity == "error"]
    if errors:
        yield errors[0].message
    yield from _regrets(pod.evaluation or {})
    if pod.continual is not None and pod.continual.decided:
        yield pod.continual.decided
    if preview is not None and preview.state not in ("ended", ""):
        yield f"Preview: {preview.message or preview.state}{_held_out(preview.evaluation)}."


def _regrets(evaluation: Mapping[str, Any]) -> Iterator[str]:
    if evaluation.get("nothing_to_learn"):
        yield "Nothing to learn: every action is as good as another."
        return
    if evaluation.get("constant_policy"):
        yield "It always takes the same action."
    inside, outside = (regret_closed(evaluation, part) for part in ("in_sample", "held_out"))
    if inside is None and outside is None:
        return
    figures = [
        f"{value:.1%} {name}"
        for value, name in ((inside, "in sample"), (outside, "held out"))
        if value is not None
    ]
    yield f"Regret closed: {', '.join(figures)}."
    if evaluation.get("overfitted"):
        yield "It is overfitted: that is more apart than chance explains."
    if outside is not None and outside <= 0:
        yield "Held out it does not beat the best constant action."


def regret_closed(evaluation: Mapping[str, Any] | None, part: str = "held_out") -> float | None:
    """The figure pods are judged by, of one part of an evaluation; None where it has none."""
    found = (evaluation or {}).get(part)
    value = found.get("regret_closed") if isinstance(found, Mapping) else None
    return float(value) if isinstance(value, int | float) else None


def beside_serving(evaluation: Mapping[str, Any]) -> tuple[str, str]:
    """The version that served, and how a newer one did beside it; empty where none was."""
    given = evaluation.get("continual")
    if not isinstance(given, Mapping):
        return "", ""
    found = cast("Mapping[str, Any]", given)
    difference, low, high = found["difference"], found.get("low"), found.get("high")
    text = f"{difference:+.3g} a step"
    if low is not None and high is not None:
        text += f" ({low:+.3g} to {high:+.3g})"
    taken = "taken up" if found["taken_up"] else "not taken up"
    return f"Beside v{found['against']}", f"{text} on the newest {found['steps']} steps: {taken}"


def looked_at(evaluation: Mapping[str, Any]) -> tuple[str, str]:
    """How many of very many steps were learned from and judged; empty where all of them were."""
    given = evaluation.get("looked_at")
    if not isinstance(given, Mapping):
        return "", ""
    found = cast("Mapping[str, Any]", given)
    return "Looked at", f"{found['steps']:,} of {found['of']:,} steps, over all of time"


def _held_out(evaluation: Mapping[str, Any] | None) -> str:
    value = regret_closed(evaluation)
    return "" if value is None else f", {value:.1%} held out"
