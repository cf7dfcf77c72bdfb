"""A pod's simulator compiled: states tried in columns and whole rollouts, at machine speed.

It gives what `Simulator` and `Stepper` give, bit for bit, or says that it can't: then they do it
themselves, and say what is wrong where something is. Nothing here may be imported by the engine.
"""

from __future__ import annotations

import hashlib
import os
import sys
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import cached_property
from pathlib import Path
from types import CodeType, ModuleType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spice_engine.learning.features import Matrix
from spice_engine.learning.kernels import compiled
from spice_engine.learning.simulated_kernel_code import Uncompiled
from spice_engine.learning.simulated_kernel_drivers import FOLLOW, GREEDY, WANDER
from spice_engine.learning.simulated_kernel_models import Asked, no_model
from spice_engine.learning.simulated_kernel_text import Module, write_module
from spice_engine.learning.simulator import Cube, Lawful, Rows, Simulator

WORTH_STEPS = 8_000
"""Steps of a training from which compiling pays: it takes a second or two once for each pod."""

MOST_MODULES = 64
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
        module = write_module(simulator)
        self._functions = _load(module)
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
        fixed: Matrix = np.zeros((self.actions, 0))
        rows = np.zeros(0, dtype=np.int64)
        self._expand(rows, np.zeros((0, len(self.initial))), fixed)
        self.lawful(rows, np.zeros((0, len(self.initial))))
        self._roll(GREEDY, rows, _NO_ORDERS, fixed)

    def warm_learning(self) -> None:
        """The same for what a population takes."""
        words, few = np.ones(1, dtype=np.uint64), np.zeros(1, dtype=np.float32)
        whole, none = np.zeros(1, dtype=np.int64), np.zeros(0)
        self.learn(
            np.zeros((1, 1, 2 * self.actions), dtype=np.float32), 0, 0, words, few, few, words,
            words[0], whole, np.zeros((1, len(self.initial))), 0, 0, 0, 0, 1.0, whole, none, whole,
            whole, self.data, np.zeros((self.actions, 0)), self.initial,
        )  # fmt: skip

    @cached_property
    def learn(self) -> Callable[..., bool]:
        """The driver of that name, for a population."""
        return self._functions["learn"]

    def expand(self, rows: Rows, local: Matrix) -> tuple[Matrix, Cube, Lawful] | None:
        """Rewards [N, A], following [N, A, K] and lawful [N, A] of every action; None: trouble."""
        return self._expand(rows, local, self.fixed)

    def _expand(
        self, rows: Rows, local: Matrix, fixed: Matrix
    ) -> tuple[Matrix, Cube, Lawful] | None:
        count = len(rows)
        rewards: Matrix = np.empty((count, self.actions))
        following: Cube = np.empty((count, self.actions, len(self.initial)))
        lawful: Lawful = np.empty((count, self.actions), dtype=np.bool_)
        trouble = self._functions["expand"](
            _plain(rows), _floats(local), self.data, fixed, rewards, following, lawful
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
        return self._roll(FOLLOW, steps, orders, self.fixed)

    def wander(self, steps: Rows, orders: Sequence[Sequence[int]]) -> Taken | None:
        """As `Stepper.wander`; None: trouble."""
        return self._roll(WANDER, steps, np.array(orders, dtype=np.int64), self.fixed)

    def greedy(self, steps: Rows) -> Taken | None:
        """As `Stepper.greedy`; None: trouble."""
        return self._roll(GREEDY, steps, _NO_ORDERS, self.fixed)

    def act(self, steps: Rows, asked: Asked) -> Taken | None:
        """As `Stepper.act` with the chooser that `asked` is the compiled form of; None: trouble."""
        return self._roll(asked.mode, steps, _NO_ORDERS, self.fixed, asked)

    def _roll(
        self,
        mode: int,
        steps: Rows,
        orders: NDArray[np.int64],
        fixed: Matrix,
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
                mode, done, stop, first, orders, self.data, fixed,
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

    Until then, and where there is none, the simulator works as ever: results are the same.
    """

    def __init__(self, simulator: Simulator) -> None:
        self._simulator = simulator
        self._kernel: Kernel | None = None
        self._thread = threading.Thread(target=self._build, name="compiling", daemon=True)
        self._thread.start()

    def _build(self) -> None:
        # What can't be compiled is done by NumPy for ever.
        with suppress(Uncompiled, ImportError, OSError):
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


def _load(module: Module) -> dict[str, Any]:
    """The functions of a module, to be compiled when they are called."""
    path = _file(module.text)
    code: CodeType = compile(module.text, str(path), "exec")
    # What numba kept of a function is only found again while its module can be imported.
    made = sys.modules.setdefault(path.stem, ModuleType(path.stem))
    namespace = vars(made)
    namespace["__file__"] = str(path)
    exec(code, namespace)
    for name in module.functions:
        # Small ones become part of their callers; numba finds those again by the module's file.
        small = name not in {"expand", "masks", "roll", "learn"}
        namespace[name] = compiled.njit(namespace[name], inline=small, apart=not small)
    return namespace


def _file(text: str) -> Path:
    """Where a module's text is kept, for numba to know it by.

    Where it can't be written nothing is kept of what is compiled either.
    """
    digest = hashlib.sha256(text.encode()).hexdigest()[:32]
    folder = compiled.cache_folder() / "pods"
    path = folder / f"pod_{digest}.py"
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        if not path.exists():
            _tidy(folder)
            # Beside it first, so that nobody ever finds half of it.
            part = path.with_suffix(f".{os.getpid()}.{threading.get_ident()}")
            part.write_text(text, "utf-8")
            part.rename(path)
    except OSError:
        return Path(path.name)
    return path


def _tidy(folder: Path) -> None:
    """Leaves the newest modules, and nothing of those whose writer was killed."""
    found = sorted(folder.iterdir(), key=lambda one: one.stat().st_mtime, reverse=True)
    for one in found[MOST_MODULES:]:
        one.unlink(missing_ok=True)
