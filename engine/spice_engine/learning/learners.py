"""From hyperparameters to the learner that they are of."""

from __future__ import annotations

from spice_engine.learning.algorithms.auto import AutoLearner
from spice_engine.learning.algorithms.fqi import FqiLearner
from spice_engine.learning.algorithms.linear_learner import LinearLearner
from spice_engine.learning.algorithms.network_learner import NetworkLearner
from spice_engine.learning.algorithms.tabular import TabularLearner
from spice_engine.learning.hyperparameters import Auto, Dql, Fqi, Hyperparameters, Linear, Sacd, Vpg
from spice_engine.learning.kernels.devices import Accelerator
from spice_engine.learning.task import Learner


def make_learner(
    settings: Hyperparameters, episodes: int, seed: int, accelerator: Accelerator = "auto"
) -> Learner:
    """The learner that the hyperparameters are of, for at most so many episodes.

    The `accelerator` counts for tables that learn in lanes, and changes none; and for networks,
    where `cuda` may change them by rounding.
    """
    if isinstance(settings, Auto):
        return AutoLearner(settings, episodes, seed)
    if isinstance(settings, Fqi):
        return FqiLearner(settings, episodes, seed)
    if isinstance(settings, Linear):
        return LinearLearner(settings, episodes)
    if isinstance(settings, Dql | Vpg | Sacd):
        return NetworkLearner(settings, episodes, seed, accelerator)
    return TabularLearner(settings, episodes, seed, accelerator)
