"""What there is to know of a gymnasium environment, and how a pod sees it; without gymnasium."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from spice_engine.learning.reward_program import RewardProgram
from spice_engine.records import record

DONE = "is_done"
"""A component that every environment has: 1 once an episode is over."""

DONE_COLUMN = -1


@record
class Component:
    """One number of an observation.

    `label` is its path in the space: `2`, or `speed.0`. `count` is 0 for a measure, which lies
    within `low` and `high`, and else how many codes there are, of which `low` is the first.
    """

    label: str
    count: int = 0
    low: float = -math.inf
    high: float = math.inf


@record
class Facts:
    """What is known of an environment before it is stepped.

    `threshold` is the mean return that it states as solved, None where it states none; `limit`
    the steps of an episode at most.
    """

    components: tuple[Component, ...]
    actions: int
    threshold: float | None
    limit: int


@record
class Gym:
    """An environment as a pod sees it: gymnasium's id, and what else `make` is given.

    `columns` has the component of each of the pod's fields, in their order, DONE_COLUMN for the
    field that says whether the episode is over. `rewards` are the pod's own, over its fields; None
    for the environment's.
    """

    id: str
    options: Mapping[str, Any]
    columns: tuple[int, ...]
    rewards: RewardProgram | None = None
