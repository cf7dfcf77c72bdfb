"""Where networks learn: on the processor, or on a GPU where that is said."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from typing import Any, TypeVar

import numpy as np

from spice_engine.learning.catalog import NETWORKS
from spice_engine.learning.kernels.devices import Accelerator, open_gpu
from spice_engine.learning.networks import MakeNetworks, Networks

WORTH_STEP = 2**22
"""Samples of a gradient step times weights from which a GPU pays, as an estimate: however small it
is, the launches and copies of a step take a third of a millisecond, in which a core does so much.
`bench/learning_gpu.py` measures it."""

T = TypeVar("T")
Begin = Callable[[MakeNetworks], Iterator[T]]
"""An algorithm that begins to learn, with populations that are made so."""


class NetworkDevices:
    """The devices that the networks of one training learn on.

    Both agree up to rounding, which may turn a choice between equal actions. So `auto` is the
    processor: a device that happens to be there changes no policy.
    """

    def __init__(self, accelerator: Accelerator = "auto") -> None:
        self._asked = accelerator == "cuda"
        self._name = ""
        self._notes: list[str] = []
        self._given_up = False

    @classmethod
    def of(cls, algorithm: str, accelerator: Accelerator) -> NetworkDevices:
        """Those of an algorithm's training; the networks of `auto` are too small for a GPU."""
        return cls(accelerator if algorithm in NETWORKS else "cpu")

    @property
    def told(self) -> dict[str, Any]:
        """Where networks learn, and why not elsewhere; nothing where no GPU was asked for."""
        if not self._asked or not self._name:
            return {}
        return {"device": self._name, **({"notes": list(self._notes)} if self._notes else {})}

    def learn(self, begin: Begin[T], batch: int) -> Iterator[T]:
        """What the algorithm that `begin` begins gives, without end.

        `batch` are each network's samples of a gradient step. Where a GPU gives up, the processor
        begins anew, and goes on with what would have come next.
        """
        given = 0
        for one in self._on_gpu(begin, batch):
            yield one
            given += 1
        self._name = "cpu"
        yield from islice(begin(Networks), given, None)

    def _on_gpu(self, begin: Begin[T], batch: int) -> Iterator[T]:
        """The same as long as a GPU is asked for and can."""
        if not self._asked or self._given_up:
            return
        gpu = open_gpu()
        if isinstance(gpu, str):
            self._give_up(gpu)
            return
        from spice_engine.learning.kernels.network_on_cuda import GpuNetworks
        from spice_engine.learning.kernels.on_cuda import Unusable, first_line, of_driver

        def make(members: int, sizes: Sequence[int], chance: np.random.Generator) -> Networks:
            made = GpuNetworks(members, sizes, chance)
            self._weigh(members * batch, made.flat.shape[1])
            return made

        self._name = gpu.name
        try:
            yield from begin(make)
        except Unusable as error:
            self._give_up(str(error))
        except Exception as error:  # numba has a kind for each trouble of a driver
            if not of_driver(error):
                raise
            self._give_up(f"The GPU gave up: {first_line(error)}")

    def _weigh(self, samples: int, weights: int) -> None:
        least = -(-WORTH_STEP // weights)
        if samples < least and not self._notes:
            self._note(
                f"The processor may well be faster: of networks of {weights} weights a GPU pays "
                f"from about {least} samples a step, these have {samples}."
            )

    def _give_up(self, why: str) -> None:
        self._given_up = True
        self._note(f"{why.rstrip('.')}. The processor is used.")

    def _note(self, note: str) -> None:
        if note not in self._notes:
            self._notes.append(note)
