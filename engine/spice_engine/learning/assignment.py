"""From the plain data that a trainer is sent to what there is to learn from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from spice_engine.errors import InsufficientData, InvalidData, Place
from spice_engine.learning.features import Layout, Matrix
from spice_engine.learning.hyperparameters import Hyperparameters, parse, parse_for_simulated
from spice_engine.learning.levels import Level
from spice_engine.learning.notes import Notes
from spice_engine.learning.policy import Policy
from spice_engine.learning.ranges import find_levels, level_matrix
from spice_engine.learning.reward_file import load_reward_file
from spice_engine.learning.reward_program import RewardProgram, compile_rewards
from spice_engine.learning.source import Source
from spice_engine.learning.split import Split, Steps, split_steps
from spice_engine.learning.task import Check, Task
from spice_engine.workers.arrays import ArrayRef, load

if TYPE_CHECKING:
    from spice_engine.learning.gym_training import GymTask
    from spice_engine.learning.simulated_training import SimulatedTask

LOOKED_AT = 20_000
"""Steps of a pod that are all looked at, however wide they are."""
LOOKED_AT_CELLS = 6_000_000
"""Steps times features, as far as steps are more than those: 48 MB."""


def read_program(params: dict[str, Any], levels: Sequence[Level] = ()) -> RewardProgram:
    """The rewards of `params["rewards"]` for `actions` and `fields`; raises InvalidRewards.

    Of actions with ranges they read their value behind the fields; with `levels` each has its own.
    """
    rewards, actions, fields = params["rewards"], params["actions"], params["fields"]
    ranges: dict[str, Any] = params.get("ranges") or {}
    if rewards is None:
        return compile_rewards(actions, fields, None, None, levels=levels)
    if "file" in rewards:
        place = Place(**rewards["place"]) if rewards["place"] else None
        path, functions = rewards["file"], rewards["functions"]
        return load_reward_file(path, functions, actions, fields, place, ranges, levels)
    init = Source.from_dict(rewards["init"]) if rewards["init"] else None
    codes = {name: Source.from_dict(code) for name, code in rewards["actions"].items()}
    return compile_rewards(actions, fields, init, codes, ranges, levels)


def check_fits(policy: Policy, params: dict[str, Any]) -> None:
    """Raise InvalidPolicy where a policy was made for another shape than the params' pod."""
    policy.check_fits(
        params["fields"],
        params["actions"],
        params["span"],
        params["granularity"],
        params.get("ranges") or (),
    )


@dataclass(frozen=True)
class Assignment:
    """A training call, read; its rows are those that may train."""

    params: dict[str, Any]

    @cached_property
    def values(self) -> Matrix:
        """The state table [T, F]."""
        # asarray makes plain views of the mapped files: slicing a memmap costs ten times as much.
        values = np.asarray(load(ArrayRef.from_dict(self.params["values"])))
        return values[: self.params["training_rows"]]

    @cached_property
    def times(self) -> NDArray[np.int64]:
        """The unix seconds [T] of its rows."""
        times = np.asarray(load(ArrayRef.from_dict(self.params["times"])))
        return times[: self.params["training_rows"]]

    @cached_property
    def hyperparameters(self) -> Hyperparameters:
        """Those of the algorithm; raises InvalidRequest where one is wrong."""
        read = parse_for_simulated if self.params.get("simulation") else parse
        return read(self.params["algorithm"], self.params.get("hyperparameters", {}))

    @cached_property
    def notes(self) -> Notes:
        """The interpretations, by the time of a row."""
        times = None if self.params.get("interpolation", True) else self.times.tolist()
        given = self.params.get("interpretations") or ()
        return Notes.from_dicts(given, self.params["granularity"], times)

    @cached_property
    def split(self) -> Split:
        """Which steps are for what; raises InsufficientData where not one window is full."""
        params = self.params
        rows, span, first = params["training_rows"], params["span"], params["first_datum"]
        if rows - first < span + 1:
            raise InsufficientData(
                f"insufficient data for training: {max(rows - first, 0)} complete buckets from "
                f"the first datum on, at least {span + 1} are needed.",
                hint="Add data, lengthen the period, or shorten the interval.",
            )
        return split_steps(rows, span, first, params["holdout"], self.most_steps)

    @property
    def most_steps(self) -> int | None:
        """How many steps are looked at; all where actions change the state that comes next."""
        if self.params.get("simulation"):
            return None
        return max(LOOKED_AT, LOOKED_AT_CELLS // max(len(self.layout().names), 1))

    def layout(self) -> Layout:
        """Local state, and what is 0 or 1 for a category, tag or time, has no past."""
        simulation = self.params.get("simulation")
        local = simulation["local"] if simulation else ()
        return Layout.choose(
            self.params["fields"],
            self.params["span"],
            self.params["training_rows"] - self.params["first_datum"] - self.params["span"],
            current={*local, *self.params.get("indicators", ())},
            kind=self.params.get("features", "levels"),
        )

    def gym_task(self) -> GymTask:
        """What a pod is that acts in an environment; raises InvalidEnvironment."""
        from spice_engine.learning.gym_algorithms import parse_for_gym
        from spice_engine.learning.gym_check import bind, facts_of

        params, given = self.params, self.params.get("hyperparameters", {})
        settings = parse_for_gym(params["algorithm"], given)
        facts = facts_of(params["gym"])
        binding = bind(params["gym"], facts)
        if binding.findings:
            raise binding.findings[0].error()
        from spice_engine.learning.environments.gym_facts import Gym
        from spice_engine.learning.gym_training import GymTask

        fields = tuple(params["fields"])
        return GymTask(
            gym=Gym(
                id=params["gym"]["environment"],
                options=params["gym"]["options"],
                columns=tuple(binding.columns[field] for field in fields),
                rewards=read_program(params) if params["rewards"] is not None else None,
            ),
            facts=facts,
            fields=fields,
            actions=tuple(params["actions"]),
            granularity=params["granularity"],
            fingerprint=params["fingerprint"],
            seed=params["seed"],
            algorithm=params["algorithm"],
            settings=settings,
            given=given,
            classic=params.get("confidence") == "classic",
        )

    @cached_property
    def serving(self) -> Policy | None:
        """The policy that serves, where the pod learns on; raises InvalidData without its file."""
        given = self.params.get("continual")
        if given is None:
            return None
        try:
            data = Path(given["policy"]).read_bytes()
        except OSError as error:
            raise InvalidData(
                f"The file of the policy that serves (v{given['version']}) cannot be read: "
                f"{error.strerror}.",
                hint="Train the pod by hand: spice-tui train.",
            ) from error
        return Policy.from_bytes(data)

    @property
    def levels(self) -> tuple[Level, ...]:
        """Those of the serving policy, where a pod with ranges learns on; else none."""
        return self.serving.levels if self.params.get("ranges") and self.serving else ()

    def _states(self, steps: Steps) -> tuple[Matrix, Matrix, NDArray[np.int64]]:
        return self.values[steps], self.values[steps + 1], self.times[steps]

    def _find_levels(
        self, program: RewardProgram, layout: Layout, check: Check
    ) -> tuple[Level, ...]:
        steps, ranges = self.split.train, self.params["ranges"]
        raw = layout.raw(self.values, steps)
        return find_levels(program, ranges, raw, self._states(steps), check, self.notes)

    def task(self, check: Check, levels: tuple[Level, ...] = ()) -> Task:
        """What a pod is that no action changes: every action's reward at every step.

        With `levels`, of these; else of those that are found on the training rows where actions
        have ranges. Raises InvalidRewards where the code cannot be used.
        """
        params, steps, layout = self.params, self.split.every, self.layout()
        values, times, program = self.values, self.times, read_program(self.params)
        if not levels and params.get("ranges"):
            levels = self.levels or self._find_levels(program, layout, check)
        names = tuple(level.name for level in levels) or tuple(params["actions"])
        return Task(
            values=values,
            rewards=level_matrix(program, levels, self._states(steps), check, self.notes),
            times=times,
            actions=names,
            layout=layout,
            span=params["span"],
            granularity=params["granularity"],
            split=self.split,
            fingerprint=params["fingerprint"],
            seed=params["seed"],
            holdout=params["holdout"],
            confidence=params.get("confidence", "calibrated"),
            levels=levels,
        )

    def paid(self, steps: Steps, levels: Sequence[Level], check: Check) -> Matrix:
        """Rewards [N, A] of any steps, those that the split does not look at, too."""
        program, states = read_program(self.params), self._states(steps)
        return level_matrix(program, levels, states, check, self.notes)

    def simulated_task(
        self, check: Check = lambda: None, levels: tuple[Level, ...] = ()
    ) -> SimulatedTask:
        """What a pod is whose actions change its state.

        With `levels`, of these; else of those that a pilot finds on the training part where actions
        have ranges. Raises what user code raises.
        """
        params = self.params
        if not levels and params.get("ranges"):
            from spice_engine.learning.simulated_ranges import find_levels

            levels = self.levels or find_levels(
                params["actions"], params["ranges"], self._simulated, check
            )
        return self._simulated(levels)

    def _simulated(self, levels: tuple[Level, ...]) -> SimulatedTask:
        from spice_engine.learning.effects import compile_effects
        from spice_engine.learning.simulated_training import SimulatedTask
        from spice_engine.learning.simulator import World

        params, simulation = self.params, self.params["simulation"]
        world = World(
            values=self.values,
            times=self.times,
            fields=tuple(params["fields"]),
            actions=tuple(level.name for level in levels) or tuple(params["actions"]),
            levels=levels,
            local=tuple(simulation["local"]),
            initial=simulation["initial"],
            effects=compile_effects(simulation, params["fields"], params["actions"], levels),
            program=read_program(params, levels),
            first=int(self.split.every[0]),
            notes=self.notes,
        )
        return SimulatedTask(
            world=world,
            layout=self.layout(),
            span=params["span"],
            granularity=params["granularity"],
            split=self.split,
            fingerprint=params["fingerprint"],
            seed=params["seed"],
            holdout=params["holdout"],
            algorithm=params["algorithm"],
            hyperparameters=self.hyperparameters,
            confidence=params.get("confidence", "calibrated"),
        )
