"""What is told of a pod that learns on: when, and how a new version compares with what served."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, cast

from spice_engine.protocol.pods import ContinualInfo

if TYPE_CHECKING:
    from spice_engine.pods.live import Pod
    from spice_engine.pods.model import Manifest


def comparison(evaluation: Mapping[str, Any] | None) -> Mapping[str, Any] | None:
    """How the version compares with the one that served; None of one that serves in any case.

    What it holds is in `spice_engine.learning.continual`.
    """
    found = cast("object", (evaluation or {}).get("continual"))
    return cast("Mapping[str, Any]", found) if isinstance(found, Mapping) else None


def is_taken_up(evaluation: Mapping[str, Any] | None) -> bool:
    """Whether the version serves from its training on."""
    found = comparison(evaluation)
    return found is None or bool(found["taken_up"])


def in_words(version: int, evaluation: Mapping[str, Any] | None) -> str:
    """The decision in a sentence or two; empty where there was none."""
    found = comparison(evaluation)
    if found is None:
        return ""
    difference, other = float(found["difference"]), f"v{found['against']}"
    if not difference:
        than = f"as good as {other}"
    else:
        than = f"{abs(difference):.3g} {'better' if difference > 0 else 'worse'} than {other}"
    taken = "was taken up" if found["taken_up"] else "was not taken up"
    return (
        f"v{version} {taken}: a step of the newest fold ({found['steps']} steps, which neither "
        f"has learned from) is {than}. {_why(found)}"
    )


def _why(found: Mapping[str, Any]) -> str:
    rows = f"{found['new_rows']} new rows"
    if found["reason"] != "drift":
        return f"Trained by its schedule, with {rows}."
    return f"Trained because of drift among {rows}: {drift_in_words(found['drift'])}."


def drift_in_words(found: Mapping[str, Any]) -> str:
    """What a look for drift has found, as in `the level of price went from 1.2 to 3.4`."""
    if not found["what"]:
        return "too few rows to compare with"
    what = "the reward" if found["kind"] == "reward" else f"the {found['kind']} of {found['what']}"
    if found["kind"] == "spread":
        return f"{what} is another"
    return f"{what} went from {found['before']:.4g} to {found['now']:.4g}"


def rows_needed(manifest: Manifest) -> int:
    """New rows that a training waits for: as many as asked for, and those of a newest fold.

    Imports NumPy at its first call.
    """
    from spice_engine.learning.split import MIN_FOLD_STEPS

    wanted = manifest.training.continual
    return max(wanted.new_rows if wanted else 0, manifest.span + MIN_FOLD_STEPS)


def learning_on(pod: Pod) -> ContinualInfo | None:
    """How the pod is trained again by itself; None where that is never, or not yet known."""
    manifest, until = pod.manifest, pod.learned_until
    wanted = manifest.training.continual if manifest else None
    if manifest is None or wanted is None or until is None or pod.policy is None:
        return None
    return ContinualInfo(
        every=wanted.every,
        drift=wanted.drift,
        needed=rows_needed(manifest),
        fresh=pod.table.rows_after(until) if pod.table is not None else 0,
        next=pod.next_training,
        decided=pod.decided,
    )
