"""Which of a simulated pod's models is chosen: by the folds, and what they can't tell apart."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from spice_engine.learning.algorithms.constant import Constant
from spice_engine.learning.algorithms.forest import Forest
from spice_engine.learning.algorithms.tree import fit_tree
from spice_engine.learning.model import Model
from spice_engine.learning.simulated_fit import Fitted
from spice_engine.learning.simulated_steps import Rollout
from spice_engine.learning.simulated_trials import Trial, leading

pytestmark = pytest.mark.numbers

STEPS = 400
TREE = fit_tree(np.zeros((9, 1)), np.zeros((9, 2)))
NOISE = np.random.default_rng(5).normal(size=STEPS)
GAINS = np.full(STEPS, 0.5)


def trial(family: str, model: Model, rewards: NDArray[np.float64]) -> Trial:
    """One that earns so much on the only fold."""
    one = Rollout(
        actions=np.zeros(STEPS, dtype=np.int64),
        rewards=rewards,
        lawful=np.ones(STEPS, dtype=np.bool_),
        local=np.empty((STEPS + 1, 0)),
    )
    return Trial(family, 0, Fitted(model, 0.0, {}), one, [one])


def chosen(tree: NDArray[np.float64], forest: NDArray[np.float64]) -> str:
    """The family that is chosen of a constant action, a tree and a forest."""
    trials = [
        trial("constant", Constant(np.zeros(2)), np.zeros(STEPS)),
        trial("tree", TREE, tree),
        trial("forest", Forest((TREE,)), forest),
    ]
    return leading(trials).family


def test_a_tree_that_is_better_by_chance_gives_way_to_a_forest() -> None:
    luck = NOISE - NOISE.mean() + 0.01
    assert chosen(GAINS + luck, GAINS) == "forest"


def test_a_tree_that_is_better_beyond_chance_stays() -> None:
    assert chosen(GAINS + 0.2, GAINS) == "tree"


def test_of_two_that_do_the_same_the_simpler_stays() -> None:
    assert chosen(GAINS, GAINS) == "tree"


def test_a_forest_that_gains_no_more_than_chance_is_not_taken() -> None:
    assert chosen(GAINS, NOISE - NOISE.mean() + 0.01) == "tree"
    assert chosen(np.zeros(STEPS) - 1, NOISE - NOISE.mean() + 0.01) == "constant"
