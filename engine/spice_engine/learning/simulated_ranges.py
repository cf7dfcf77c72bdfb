"""Actions with a range in pods whose actions change their state: which values are tried.

What a value is worth shows only later, in what the state that it leaves allows. So it is asked of
policies: a pilot learns to choose among a few levels on the first part of the training steps, and
is judged by its episode on the rest. Of even levels those are begun with that the pilot does best
with. Then, in rounds, the levels that it takes and the middles beside them take the place of all,
as long as it does better with them. Few levels are learned from better than many: every one more
leads to further states, which all have to be told apart.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from spice_engine.learning.kernels.devices import Devices
from spice_engine.learning.kernels.network_devices import NetworkDevices
from spice_engine.learning.levels import Level, groups_of
from spice_engine.learning.ranges import Ranges
from spice_engine.learning.simulated_batch import constants_of, make_batch, wanderings
from spice_engine.learning.simulated_choosers import act
from spice_engine.learning.simulated_fit import fit_trees
from spice_engine.learning.simulated_lessons import Lessons
from spice_engine.learning.simulated_steps import Rollout, Stepper
from spice_engine.learning.simulated_values import View
from spice_engine.learning.simulator import Simulator
from spice_engine.records import record

if TYPE_CHECKING:
    from spice_engine.learning.simulated_training import SimulatedTask

EVEN = (3, 5, 9)
"""How many even levels are tried, the fewest first."""
MOST = 9
"""Levels of one range."""
MOST_IN_ALL = 32
"""Actions of a pod, levels included, unless its ranges are many: more are never compiled."""
ROUNDS = 5
"""Of halving: from five levels on the last intervals are a 128th of the range."""
PILOTS = 4
"""Trees that a pilot grows: shallow and deeper ones, half of them looking ahead."""
MOST_STEPS = 2_000
"""The newest steps of the training part that a pilot learns from and is judged on."""
JUDGED = 3
"""One in so many of these steps is judged on: the last ones."""
SELDOM = 100
"""A level that is taken less than once in so many steps is not among those that are kept."""

Check = Callable[[], None]
TaskOf = Callable[[tuple[Level, ...]], "SimulatedTask"]
"""What there is to learn where these are the levels."""
Values = Mapping[str, tuple[float, ...]]
"""The values of each range, ascending."""


@record
class _Tried:
    """How a pilot did with some values: its score, and how often it took each."""

    values: Values
    score: float
    taken: Mapping[tuple[str, float | None], float]


def find_levels(
    actions: Sequence[str], ranges: Ranges, task_of: TaskOf, check: Check
) -> tuple[Level, ...]:
    """The levels of all actions, in their order, by the training part alone.

    Raises what user code raises.
    """
    share = (MOST_IN_ALL - (len(actions) - len(ranges))) // max(len(ranges), 1)
    most = min(MOST, max(share, EVEN[0]))

    def attempt(values: Values) -> _Tried:
        levels = _levels(actions, ranges, values)
        score, counts = _pilot(task_of(levels), check)
        taken = {(one.action, one.value): n for one, n in zip(levels, counts, strict=True)}
        return _Tried(values, score, taken)

    best = attempt(_even(ranges, EVEN[0]))
    for count in EVEN[1:]:
        if count <= most:
            best = max(best, attempt(_even(ranges, count)), key=lambda one: one.score)
    for _ in range(ROUNDS):
        closer = {
            action: halved(known, [best.taken.get((action, value), 0) for value in known], most)
            for action, known in best.values.items()
        }
        if closer == best.values:
            break
        tried = attempt(closer)
        if tried.score <= best.score:
            break
        best = tried
    return _levels(actions, ranges, best.values)


def _even(ranges: Ranges, count: int) -> Values:
    return {
        action: tuple(np.linspace(float(one["from"]), float(one["to"]), count).tolist())
        for action, one in ranges.items()
    }


def halved(values: Sequence[float], taken: Sequence[float], most: int) -> tuple[float, ...]:
    """Of `values` [V], ascending, those that are `taken` [V], and the middles beside them.

    What is taken most comes first, where that is more than `most`. Where none is taken, the values.
    """
    kept: dict[float, None] = {}
    order = sorted(range(len(values)), key=lambda index: -taken[index])
    for index in order:
        if not taken[index]:
            break
        beside = [other for other in (index - 1, index + 1) if 0 <= other < len(values)]
        middles = [(values[index] + values[other]) / 2 for other in beside]
        if len(kept.keys() | {values[index], *middles}) <= most:
            kept.update(dict.fromkeys((values[index], *middles)))
    return tuple(sorted(kept)) or tuple(values)


def _levels(actions: Sequence[str], ranges: Ranges, values: Values) -> tuple[Level, ...]:
    found: dict[str, Level] = {}
    for action in actions:
        if action not in ranges:
            found[action] = Level(action)
            continue
        for value in values[action]:
            level = Level(action, value, str(ranges[action]["unit"]))
            found.setdefault(level.name, level)  # values that nobody could tell apart are one
    return tuple(found.values())


def _pilot(task: SimulatedTask, check: Check) -> tuple[float, list[int]]:
    """The score of the best of a few trees where they are judged, and how often it takes each
    level [A], those left out that it takes seldom.
    """
    steps = task.split.train[-MOST_STEPS:]
    rows = int(steps[-1]) + 2
    # Cut off, so that nothing held out can have a say.
    world = replace(
        task.world,
        values=task.world.values[:rows],
        times=task.world.times[:rows],
        first=int(steps[0]),
    )
    cut = len(steps) - len(steps) // JUDGED
    learned, judged = steps[:cut], steps[min(cut + task.span, len(steps) - 1) :]
    simulator = Simulator(world, check)
    stepper, view = Stepper(simulator), View.of(task.layout, world, steps)
    actions = len(world.actions)
    constants = [stepper.follow(learned, [action] * cut) for action in range(actions)]
    walks = wanderings(stepper, learned, actions, task.seed, groups_of(world.levels))
    rollouts = [*walks, stepper.greedy(learned), *constants_of(constants, world.levels)]
    lessons = Lessons(
        simulator=simulator,
        view=view,
        batch=make_batch(simulator, learned, rollouts, task.seed),
        constants=constants,
        settings=task.hyperparameters,
        seed=task.seed,
        check=check,
        compiled=lambda: None,
        devices=Devices("cpu"),
        network_devices=NetworkDevices("cpu"),
    )
    models = [
        fitted.model
        for _, fitted in zip(range(PILOTS), fit_trees(lessons.on(learned)), strict=False)
    ]
    found: list[Rollout] = []
    for model in models:
        check()
        found.append(act(simulator, stepper, model, view, judged))
    best = max(range(PILOTS), key=lambda index: found[index].score)
    taken = act(simulator, stepper, models[best], view, steps).actions
    counts: list[int] = np.bincount(taken, minlength=actions).tolist()
    return found[best].score, [n if n * SELDOM >= len(steps) else 0 for n in counts]
