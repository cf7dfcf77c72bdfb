"""What the fitters of a simulated pod are given, for one stretch of its steps after another."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from spice_engine.learning.hyperparameters import Auto, Fqi, Hyperparameters, Tabular
from spice_engine.learning.kernels.devices import Devices
from spice_engine.learning.kernels.network_devices import NetworkDevices
from spice_engine.learning.model import Model
from spice_engine.learning.simulated_batch import Batch
from spice_engine.learning.simulated_fit import Lesson
from spice_engine.learning.simulated_kernel import Kernel
from spice_engine.learning.simulated_steps import Rollout
from spice_engine.learning.simulated_values import View
from spice_engine.learning.simulator import Rows, Simulator
from spice_engine.records import record


@record
class Lessons:
    """What all lessons of one training have in common.

    `constants` are the rollouts of each action taken all the time. The other fields are as those
    of `Lesson`, over all steps.
    """

    simulator: Simulator
    view: View
    batch: Batch
    constants: Sequence[Rollout]
    settings: Hyperparameters
    seed: int
    check: Callable[[], None]
    compiled: Callable[[], Kernel | None]
    devices: Devices
    network_devices: NetworkDevices

    def on(self, steps: Rows, start: Model | None = None) -> Lesson:
        """The lesson of consecutive steps that begin where all do."""
        chosen = self.settings
        trees = chosen if isinstance(chosen, Fqi | Auto) else Fqi()
        table = chosen if isinstance(chosen, Tabular) else Tabular()
        return Lesson(
            view=self.view,
            batch=self.batch.within(steps),
            totals=np.array([one.rewards[: len(steps)].mean() for one in self.constants]),
            gamma=chosen.gamma,
            min_leaf=trees.min_leaf,
            max_depth=trees.max_depth,
            bins=trees.bins if isinstance(trees, Fqi) else Fqi().bins,
            table_bins=table.bins,
            table_features=table.features,
            shrinkage=table.shrinkage,
            seed=self.seed,
            simulator=self.simulator,
            settings=chosen,
            check=self.check,
            steps=steps,
            compiled=self.compiled,
            random_starts=table.random_starts,
            lanes=table.lanes,
            devices=self.devices,
            network_devices=self.network_devices,
            start=start,
        )
