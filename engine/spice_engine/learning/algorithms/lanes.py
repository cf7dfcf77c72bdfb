"""Q-learning by trial: a population of members, seeds times settings, in lanes of a kernel.

Every member walks through time, mostly takes the best action that it knows and learns from the
reward of the one taken alone: Watkins, Learning from delayed rewards, 1989, with eligibility traces
where `trace` is above 0. Settings differ in step size and in whether the next state counts. Those
that do best on the last steps of a fit, which they have not seen, are taken, and the tables of
their seeds are averaged. Cells begin at the mean reward of each action, so that one that is never
visited chooses the best constant action.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from spice_engine.errors import InvalidRequest
from spice_engine.learning.algorithms.table import Integers, Table
from spice_engine.learning.algorithms.tiles import Tiles
from spice_engine.learning.evaluation import choose
from spice_engine.learning.features import Matrix
from spice_engine.learning.hyperparameters import Tabular
from spice_engine.learning.kernels.devices import Devices
from spice_engine.learning.kernels.population import Course, Exploration, Population
from spice_engine.learning.task import Check
from spice_engine.records import record

JUDGED = 0.3
"""Share of a fit's steps, its last, on which settings are judged."""
MOST_BYTES = 256 * 2**20
"""Of a population's tables: finer ones are left out."""
_BYTES = 4


@record
class Setting:
    """What members with different seeds share: step size and discount."""

    rate: float
    gamma: float


def settings_of(chosen: Tabular) -> list[Setting]:
    """Step sizes below, at and above the one that is set, each without and with the discount."""
    factors = (1.0,) if chosen.spread == 1 else (1 / chosen.spread, 1.0, chosen.spread)
    gammas = (0.0,) if chosen.gamma == 0 else (0.0, chosen.gamma)
    every = [
        Setting(min(1.0, chosen.learning_rate * factor), gamma)
        for gamma in gammas
        for factor in factors
    ]
    return every[: max(1, chosen.lanes)]


def check_room(cells: int, actions: int, chosen: Tabular) -> None:
    """Raises InvalidRequest where tables of so many cells are more than all members may take."""
    wanted = cells * actions * chosen.lanes * _BYTES
    if wanted > MOST_BYTES:
        raise InvalidRequest(
            f"{chosen.lanes} lanes with up to {cells} cells and {actions} actions take "
            f"{wanted / 2**20:.0f} MiB; {MOST_BYTES / 2**20:.0f} MiB are the most.",
            hint="Set fewer lanes, features, bins or tilings.",
        )


class Trial:
    """How tables learn by trial: the hyperparameters, a seed, and the devices to learn on."""

    def __init__(self, chosen: Tabular, seed: int, devices: Devices) -> None:
        self._chosen, self._seed, self._devices = chosen, seed, devices

    @property
    def told(self) -> dict[str, Any]:
        """The device that the last tables learned on, and why it was not another."""
        notes = {"notes": list(self._devices.notes)} if self._devices.notes else {}
        return {"device": self._devices.name, **notes}

    def fit(
        self,
        tables: Sequence[Table],
        counts: Sequence[int],
        cells: Sequence[Integers],
        rewards: Matrix,
        check: Check,
    ) -> Tiles:
        """The tables of the best setting, learned from rewards [N, A] of consecutive steps.

        `cells` [N] of each table are those of the steps, `counts` how many each has.
        """
        starts = np.concatenate([[0], np.cumsum(counts)[:-1]])
        tiles = np.stack([cell + start for cell, start in zip(cells, starts, strict=True)], axis=1)
        # Of numbers around 0 and 1 single precision tells the most apart.
        shift, spread = float(rewards.mean()), float(rewards.std())
        scale = spread if spread > 0 else 1.0
        scaled = (rewards - shift) / scale
        settings = settings_of(self._chosen)
        best = 0
        cut = len(rewards) - int(JUDGED * len(rewards))
        if len(settings) > 1 and 1 < cut < len(rewards):
            learned = self._learn(tiles[:cut], scaled[:cut], sum(counts), settings, check)
            best = _best(learned, tiles[cut:], scaled[cut:])
        learned = self._learn(tiles, scaled, sum(counts), settings, check)
        found = learned[best] * scale
        level = shift
        if settings[best].gamma:
            # What is still to come is as much for every action: out, so that values are rewards.
            level -= float(found[tiles].sum(axis=1).mean())
        fitted = list[Table]()
        for table, start, count in zip(tables, starts.tolist(), counts, strict=True):
            mean = found[start : start + count] + level / len(tables)
            fitted.append(Table(table.columns, table.edges, mean))
        return Tiles(tuple(fitted))

    def _learn(
        self,
        tiles: Integers,
        rewards: Matrix,
        cells: int,
        settings: Sequence[Setting],
        check: Check,
    ) -> list[Matrix]:
        """The mean table [cells, A] of each setting's members after `passes` over the steps."""
        chosen = self._chosen
        # What follows the last step is not known: its own state stands for it.
        ends = np.concatenate([tiles, tiles[-1:]]).astype(np.uint32)
        course = Course(np.ascontiguousarray(ends), rewards.astype(np.float32), cells)
        members = np.arange(chosen.lanes) % len(settings)
        rates = np.array([setting.rate for setting in settings], dtype=np.float32)
        gammas = np.array([setting.gamma for setting in settings], dtype=np.float32)
        tilings = tiles.shape[1]
        population = Population.make(
            course,
            rates[members] / np.float32(tilings),
            gammas[members],
            np.full(chosen.lanes, chosen.trace, dtype=np.float32),
            Exploration(chosen.exploration, chosen.exploration_decay, chosen.exploration_end),
            self._seed,
        )
        start = rewards.mean(axis=0) / tilings
        population.values[:] = start.astype(np.float32)[None, :, None]
        self._devices.learn(population, course, chosen.passes, check)
        return [
            population.values[:, :, members == index].mean(axis=2, dtype=np.float64)
            for index in range(len(settings))
        ]


def _best(learned: Sequence[Matrix], tiles: Integers, rewards: Matrix) -> int:
    """The setting whose mean table gets most on steps that it has not seen; of equals the first."""
    scores: list[float] = []
    for table in learned:
        picked = choose(table[tiles].sum(axis=1))
        scores.append(float(rewards[np.arange(len(picked)), picked].sum()))
    return int(np.argmax(scores))
