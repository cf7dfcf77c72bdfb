"""A pod's simulator compiled: states tried in columns and whole rollouts, at machine speed.

It gives what `Simulator` and `Stepper` give, bit for bit, or says that it can't: then they do it
themselves, and say what is wrong where something is. Nothing here may be imported by the engine.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from spice_engine.learning.features import Matrix
from spice_engine.learning.simulated_compile import compile_apart, load, warm, warm_learning
from spice_engine.learning.simulated_kernel_code import Uncompiled
from spice_engine.learning.simulated_kernel_drivers import FOLLOW, GREEDY, WANDER
from spice_engine.learning.simulated_kernel_models import Asked, no_model
from spice_engine.learning.simulated_kernel_text import write_module
from spice_engine.learning.simulator import Cube, Lawful, Rows, Simulator

WORTH_STEPS = 8_000
"""Steps of a training from which compiling pays: it takes a second or two once for each pod."""

_LOOK_SECONDS = 0.02
_SLICE = 50_000
"""Steps of a rollout between two looks at whether it is still wanted: some ten milliseconds."""
Taken = tuple[NDArray[np.int64], Matrix, NDArray[np.bool_], Matrix]
"""What a rollout is made of: actions, rewards, lawful, local states."""


class Kernel:
    """The compiled functions of one simulator."""

    def __init__(self, simulator: Simulator) -> None:
        """Writes and loads the module; its functions are compiled by `warm`, or when first called.

        Raises Uncompiled where the pod's code has no such form.
        """
        self._simulator = simulator
        self.module = module = write_module(simulator)
        self._functions = load(module)
        world = simulator.world
        columns = world.values[:, list(module.columns)].T
        self.data: Matrix = np.ascontiguousarray(columns, np.float64)
        self.initial: Matrix = np.ascontiguousarray(simulator.initial, np.float64)
        self.actions = len(world.actions)

    @cached_property
    def fixed(self) -> Matrix:
        """The rewards [A, T - 1] of the actions whose reward no balance changes.

        Raises what user code raises.
        """
        simulator = self._simulator
        fixed: Matrix = np.zeros((self.actions, len(simulator.world.values) - 1))
        for action, is_fixed in enumerate(simulator.fixed):
            if is_fixed:
                fixed[action] = simulator.fixed_rewards(action)
        return fixed

    def warm(self) -> None:
        """Compiles what trying states and rollouts take, or finds it on the disk.

        No code of the user's runs, so that a thread of its own may do this.
        """
        warm(self._functions, self.module)

    def warm_learning(self) -> None:
        """The same for what a population takes."""
        warm_learning(self._functions, self.module)

    @cached_property
    def learn(self) -> Callable[..., bool]:
        """The driver of that name, for a population."""
        return self._functions["learn"]

    def expand(self, rows: Rows, local: Matrix) -> tuple[Matrix, Cube, Lawful] | None:
        """Rewards [N, A], following [N, A, K] and lawful [N, A] of every action; None: trouble."""
        count = len(rows)
        rewards: Matrix = np.empty((count, self.actions))
        following: Cube = np.empty((count, self.actions, len(self.initial)))
        lawful: Lawful = np.empty((count, self.actions), dtype=np.bool_)
        trouble = self._functions["expand"](
            _plain(rows), _floats(local), self.data, self.fixed, rewards, following, lawful
        )
        return None if trouble else (rewards, following, lawful)

    def lawful(self, rows: Rows, local: Matrix) -> Lawful | None:
        """Which actions [N, A] the laws allow; None: trouble."""
        lawful: Lawful = np.empty((len(rows), self.actions), dtype=np.bool_)
        masks = self._functions["masks"]
        return None if masks(_plain(rows), _floats(local), self.data, lawful) else lawful

    def follow(self, steps: Rows, actions: Sequence[int]) -> Taken | None:
        """As `Stepper.follow`; None: trouble."""
        orders = np.array(actions, dtype=np.int64).reshape(-1, 1)
        return self._roll(FOLLOW, steps, orders)

    def wander(self, steps: Rows, orders: Sequence[Sequence[int]]) -> Taken | None:
        """As `Stepper.wander`; None: trouble."""
        return self._roll(WANDER, steps, np.array(orders, dtype=np.int64))

    def greedy(self, steps: Rows) -> Taken | None:
        """As `Stepper.greedy`; None: trouble."""
        return self._roll(GREEDY, steps, _NO_ORDERS)

    def act(self, steps: Rows, asked: Asked) -> Taken | None:
        """As `Stepper.act` with the chooser that `asked` is the compiled form of; None: trouble."""
        return self._roll(asked.mode, steps, _NO_ORDERS, asked)

    def _roll(
        self,
        mode: int,
        steps: Rows,
        orders: NDArray[np.int64],
        asked: Asked | None = None,
    ) -> Taken | None:
        count, first = len(steps), int(steps[0]) if len(steps) else 0
        actions = np.zeros(count, dtype=np.int64)
        rewards: Matrix = np.zeros(count)
        lawful = np.zeros(count, dtype=np.bool_)
        local: Matrix = np.zeros((count + 1, len(self.initial)))
        local[0] = self.initial
        model = (asked or no_model(self.actions, len(self.initial))).arrays
        done = 0
        while True:
            stop = min(done + _SLICE, count)
            done = self._functions["roll"](
                mode, done, stop, first, orders, self.data, self.fixed,
                local, actions, rewards, lawful, *model,
            )  # fmt: skip
            if done < 0:
                return None
            if done >= count:
                return actions, rewards, lawful, local
            self._simulator.check()


_NO_ORDERS = np.zeros((1, 1), dtype=np.int64)


def _plain(rows: Rows) -> Rows:
    return np.ascontiguousarray(rows, np.int64)


def _floats(values: Matrix) -> Matrix:
    return np.ascontiguousarray(values, np.float64)


class Compiling:
    """Builds a simulator's kernel in a thread, which swaps it in as `simulator.kernel`.

    Until then, and where there is none, the simulator works as ever: results are the same. With
    `apart` a process of its own compiles, so that a training goes on at its full speed meanwhile.
    """

    def __init__(self, simulator: Simulator, *, apart: bool = False) -> None:
        self._simulator = simulator
        self._apart = apart
        self._kernel: Kernel | None = None
        self._thread = threading.Thread(target=self._build, name="compiling", daemon=True)
        self._thread.start()

    def _build(self) -> None:
        # What can't be compiled is done by NumPy for ever.
        with suppress(Uncompiled, ImportError, OSError):
            if self._apart:
                compile_apart(write_module(self._simulator))
            kernel = Kernel(self._simulator)
            kernel.warm()
            self._simulator.kernel = kernel
            kernel.warm_learning()
            self._kernel = kernel

    def wait(self, check: Callable[[], None]) -> Kernel | None:
        """The kernel once it is there; None where there is none. `check` may raise to end this."""
        while self._thread.is_alive():
            self._thread.join(_LOOK_SECONDS)
            check()
        return self._kernel


def worth_compiling(steps: int) -> bool:
    """Whether a training of so many steps gains by a kernel."""
    return steps >= WORTH_STEPS
