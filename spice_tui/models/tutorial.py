"""The tutorial: steps that a newcomer does, each done when the world or the screen shows it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import field
from typing import TYPE_CHECKING

from spice_engine.records import record

if TYPE_CHECKING:
    from spice_tui.models.world import World

SAMPLE = "gardener"


@record
class Seen:
    """What a person has done so far that the world does not tell."""

    did: frozenset[str] = field(default_factory=frozenset[str])


@record
class Step:
    """`text` says what to do; `done` whether that has been done."""

    text: str
    done: Callable[[World, Seen], bool]


def _did(action: str) -> Callable[[World, Seen], bool]:
    return lambda _, seen: action in seen.did


def _trained(world: World, _: Seen) -> bool:
    pod = world.pods.get(SAMPLE)
    return pod is not None and pod.policy_version is not None and pod.training is None


STEPS: tuple[Step, ...] = (
    Step(
        f"The sample pod {SAMPLE} is loaded and trained. Watch its curve rise between the lines.",
        _trained,
    ),
    Step("Press r: the pod says what to do now, how sure it is, and why.", _did("pod.recommend")),
    Step("Press T: its data with the action it takes at each step.", _did("pod.timeline")),
    Step("Press W: walk through time and see which line gave which reward.", _did("pod.stepper")),
    Step("Press e: this is the manifest. f1 explains the key under the cursor.", _did("pod.edit")),
    Step(
        "Change a number in the rewards and press ctrl+s: the pod trains again at once.",
        _did("editor.save"),
    ),
    Step(
        "Press esc, then ctrl+p: every command is in there. ? shows the keys.",
        _did("app.palette"),
    ),
)

END = "That was the tutorial. :new NAME begins a pod of your own, q leaves."


def position(world: World, seen: Seen, step: int) -> int:
    """The step to show, when `step` was shown before: the first not done from there on."""
    while step < len(STEPS) and STEPS[step].done(world, seen):
        step += 1
    return step


def text(step: int) -> str:
    """What to show at a step; after the last one the end."""
    if step >= len(STEPS):
        return END
    return f"{step + 1}/{len(STEPS)}  {STEPS[step].text}"
