"""What a gymnasium environment shows, as numbers: the components of its observation space."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import numpy as np
from gymnasium import spaces

from spice_engine.errors import InvalidEnvironment
from spice_engine.learning.environments.environment import Matrix
from spice_engine.learning.environments.gym_facts import Component

MAX_COMPONENTS = 4_096
"""Numbers of one observation; each is a field of the pod."""

Space = Any
"""A space of gymnasium's, whose types say little."""


def components(space: Space) -> tuple[Component, ...]:
    """All components, in the order of `flat`.

    Raises InvalidEnvironment where a part of the space is not made of a fixed count of numbers,
    or there are more than MAX_COMPONENTS.
    """
    found: list[Component] = []
    for one in _components(space, ""):
        found.append(one)
        if len(found) > MAX_COMPONENTS:
            raise InvalidEnvironment(
                f"An observation has more than {MAX_COMPONENTS} numbers.",
                hint="Images are not learned from: take an environment that shows its state.",
            )
    return tuple(found)


def flat(space: Space, batch: Any, lanes: int) -> Matrix:
    """The components [N, C] of a batch of observations, as a vector environment gives them."""
    parts = [np.asarray(part).reshape(lanes, -1) for part in _parts(space, batch)]
    whole = parts[0] if len(parts) == 1 else np.concatenate(parts, axis=1)
    return whole.astype(np.float64)


def _components(space: Space, path: str) -> Iterator[Component]:
    named = _named_parts(space)
    if named is not None:
        for name, part in named:
            yield from _components(part, f"{path}{name}.")
    elif isinstance(space, spaces.Box):
        bounds = zip(_numbers(space, "low"), _numbers(space, "high"), strict=True)
        for index, (low, high) in enumerate(bounds):
            yield Component(f"{path}{index}", 0, low, high)
    elif isinstance(space, spaces.Discrete):
        (count,), (start,) = _numbers(space, "n"), _numbers(space, "start")
        yield Component(path.rstrip(".") or "0", int(count), start)
    elif isinstance(space, spaces.MultiDiscrete):
        codes = zip(_numbers(space, "nvec"), _numbers(space, "start"), strict=True)
        for index, (count, start) in enumerate(codes):
            yield Component(f"{path}{index}", int(count), start)
    elif isinstance(space, spaces.MultiBinary):
        for index in range(math.prod(space.shape)):
            yield Component(f"{path}{index}", 0, 0.0, 1.0)
    else:
        raise InvalidEnvironment(
            f"Observations of the kind {type(space).__name__} are not learned from.",
            hint="Take an environment whose observations are Box, Discrete, MultiDiscrete or "
            "MultiBinary, or a Tuple or Dict of these.",
        )


def _numbers(space: Any, name: str) -> list[float]:
    """An attribute of a space, a number or an array, as a list."""
    return np.asarray(getattr(space, name), dtype=np.float64).ravel().tolist()


def _named_parts(space: Any) -> list[tuple[Any, Space]] | None:
    """The parts of a Tuple by number, of a Dict by name; None of other spaces."""
    inner: Any = getattr(space, "spaces", None)
    if isinstance(space, spaces.Tuple):
        return [(index, inner[index]) for index in range(len(inner))]
    if isinstance(space, spaces.Dict):
        return list(inner.items())
    return None


def _parts(space: Space, batch: Any) -> Iterator[Any]:
    named = _named_parts(space)
    if named is None:
        yield batch
        return
    for name, part in named:
        yield from _parts(part, batch[name])
