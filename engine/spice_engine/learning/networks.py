"""Populations of multilayer perceptrons of one shape that learn side by side, in single precision.

A member's parameters lie in one row of `flat` [M, P], so that a layer's weights are a view
[M, in, out] and one product over matrices serves all members: BLAS does the arithmetic. Members
go in blocks whose activations and moments stay in the processor's cache.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise
from typing import Self

import numpy as np
from numpy.typing import NDArray

from spice_engine.errors import InvalidRequest
from spice_engine.records import record

Floats = NDArray[np.float32]
Matrix = NDArray[np.float64]

MAX_PARAMETERS = 20_000_000
"""80 MB; with moments, copies and gradients a learner takes some ten times as much."""

BETAS = (0.9, 0.999)
"""Of Adam: how much of its two moments stays at a step."""
_EPSILON = 1e-8
_CHUNK = 8_192
"""Parameters that Adam goes over at a time: five arrays of so many stay near."""
_BLOCK = 65_536
"""Numbers of a hidden layer that a block of members has, at most."""


@record
class Network:
    """What was learned, for asking only: `weights` [M, in, out] and `biases` [M, 1, out] by layer.

    Rectified linear units between the layers; the values are the means over the members.
    """

    weights: tuple[Matrix, ...]
    biases: tuple[Matrix, ...]

    @property
    def members(self) -> int:
        """How many networks are averaged."""
        return len(self.weights[0])

    @property
    def sizes(self) -> tuple[int, ...]:
        """Features, neurons of each hidden layer, actions."""
        return (self.weights[0].shape[1], *(one.shape[2] for one in self.weights))

    def values(self, observations: Matrix) -> Matrix:
        """Values [N, A] of observations [N, D], in double precision."""
        hidden: Matrix = np.matmul(observations, self.weights[0]) + self.biases[0]
        return self.after_first(hidden)

    def scaled(self, scale: float, offset: Matrix) -> Network:
        """The network whose values are these, times `scale`, plus `offset` [A]."""
        *inner, weights = self.weights
        *before, biases = self.biases
        return Network((*inner, weights * scale), (*before, biases * scale + offset))

    def after_first(self, hidden: Matrix) -> Matrix:
        """The same from what the first layer gives [M, N, H], before it is rectified."""
        for weights, biases in zip(self.weights[1:], self.biases[1:], strict=True):
            hidden = np.matmul(np.maximum(hidden, 0.0), weights) + biases
        return hidden[0] if len(hidden) == 1 else hidden.mean(axis=0)


class Networks:
    """`members` networks that learn; `sizes` are features, neurons of each hidden layer, outputs.

    Raises InvalidRequest where they are more than MAX_PARAMETERS. What `forward` and `gradient`
    give lies in buffers that their next call with inputs of the same shape overwrites.
    """

    def __init__(self, members: int, sizes: Sequence[int], chance: np.random.Generator) -> None:
        self.members = members
        self.sizes = tuple(sizes)
        count = sum((rows + 1) * columns for rows, columns in pairwise(sizes))
        if members * count > MAX_PARAMETERS:
            raise InvalidRequest(
                f"Networks of {count} weights each, {members} of them, are too large: "
                f"{MAX_PARAMETERS} weights in all are the most.",
                hint="Lower the hyperparameters hidden or members.",
            )
        self.flat: Floats = np.zeros((members, count), np.float32)
        self._adam = _Adam(self.flat)
        self._buffers: dict[tuple[object, ...], Floats] = {}
        self.weights, self.biases = self._layers(self.flat)
        for layer, weights in enumerate(self.weights):
            # He et al. 2015 for rectified layers; outputs begin near nothing.
            last = layer == len(self.weights) - 1
            deviation = 0.01 if last else math.sqrt(2.0 / weights.shape[1])
            weights[...] = chance.normal(0.0, deviation, weights.shape)

    def _layers(self, flat: Floats) -> tuple[list[Floats], list[Floats]]:
        """Views of the weights [m, in, out] and biases [m, 1, out] in rows of parameters [m, P]."""
        weights: list[Floats] = []
        biases: list[Floats] = []
        start = 0
        for rows, columns in pairwise(self.sizes):
            middle, end = start + rows * columns, start + (rows + 1) * columns
            weights.append(flat[:, start:middle].reshape(len(flat), rows, columns))
            biases.append(flat[:, middle:end].reshape(len(flat), 1, columns))
            start = end
        return weights, biases

    def copy(self) -> Self:
        """A population of the same parameters that learns by itself."""
        made = type(self).__new__(type(self))
        made.members, made.sizes = self.members, self.sizes
        made.flat = self.flat.copy()
        made._adam = _Adam(made.flat)
        made._buffers = {}
        made.weights, made.biases = made._layers(made.flat)
        return made

    def resume(self, network: Network) -> None:
        """Begin with what a network of the same members and hidden layers has learned.

        Where there is one output more than it has, that is the level of a state's values and the
        others are the leads. Nothing happens where the shapes are others.
        """
        outputs = network.sizes[-1]
        leads = self.sizes[-1] == outputs + 1
        shape = (*network.sizes[:-1], outputs + leads)
        if network.members != self.members or shape != self.sizes:
            return
        for mine, theirs in zip(
            (*self.weights, *self.biases), (*network.weights, *network.biases), strict=True
        ):
            mine[..., : theirs.shape[-1]] = theirs
            if theirs.shape[-1] < mine.shape[-1]:
                mine[..., -1] = theirs.mean(axis=-1)

    def follow(self, other: Networks, share: float) -> None:
        """Goes the `share` of the way to another population: a target network's step."""
        if share == 1.0:
            self.flat[...] = other.flat
            return
        for mine, theirs in zip(
            _chunks(self.flat.reshape(-1)), _chunks(other.flat.reshape(-1)), strict=True
        ):
            np.add(mine, np.float32(share) * (theirs - mine), out=mine)

    def blocks(self, rows: int) -> Iterator[slice]:
        """Which members to take together where each has so many rows."""
        size = max(1, _BLOCK // max(1, rows * max(self.sizes[1:])))
        for start in range(0, self.members, size):
            yield slice(start, min(start + size, self.members))

    def forward(self, inputs: Floats, some: slice = slice(None)) -> list[Floats]:
        """What every layer gives [m, N, out], the inputs first and the outputs last.

        `inputs` are [m, N, D], or [N, D] for all of `some` members alike. Where a population lies
        on a GPU only the outputs come from there.
        """
        layers = [inputs]
        last = len(self.weights) - 1
        for layer, (weights, biases) in enumerate(zip(self.weights, self.biases, strict=True)):
            mine = weights[some]
            shape = (len(mine), layers[-1].shape[-2], weights.shape[2])
            out = np.matmul(layers[-1], mine, out=self._buffer(("out", layer), shape))
            out += biases[some]
            if layer < last:
                np.maximum(out, np.float32(0.0), out=out)
            layers.append(out)
        return layers

    def gradient(self, layers: list[Floats], outward: Floats, some: slice = slice(None)) -> Floats:
        """Derivatives [m, P] of a loss whose derivatives by the outputs are `outward` [m, N, out].

        `layers` are those of `forward`, with inputs [m, N, D]; the hidden ones are used up.
        """
        count, rows = outward.shape[0], outward.shape[1]
        gradient = self._buffer(("gradient",), (count, self.flat.shape[1]))
        by_weights, by_biases = self._layers(gradient)
        ones = self._ones(rows)
        for layer in range(len(self.weights) - 1, -1, -1):
            before = layers[layer]
            np.matmul(before.transpose(0, 2, 1), outward, out=by_weights[layer])
            np.matmul(ones, outward, out=by_biases[layer])
            if layer:
                weights = self.weights[layer][some]
                inward = self._buffer(("in", layer), before.shape)
                np.matmul(outward, weights.transpose(0, 2, 1), out=inward)
                _keep_where_active(inward, before)
                outward = inward
        return gradient

    def descend(
        self, gradient: Floats, rate: float, longest: float, some: slice = slice(None)
    ) -> None:
        """One step of Adam along `gradient` [m, P]; longer ones than `longest` are shortened."""
        lengths = np.sqrt(np.matmul(gradient[:, None, :], gradient[:, :, None])[:, 0, 0])
        if float(lengths.max()) > longest:
            gradient *= np.minimum(1.0, longest / np.maximum(lengths, 1e-30))[:, None]
        self._adam.step(gradient, rate, some)

    def step(
        self,
        layers: list[Floats],
        outward: Floats,
        rate: float,
        longest: float,
        decay: float = 0.0,
        some: slice = slice(None),
    ) -> None:
        """All that a gradient step is: `gradient`, `descend`, and `shrink` by `rate` times `decay`.

        `layers` are those of the last `forward`.
        """
        self.descend(self.gradient(layers, outward, some), rate, longest, some)
        self.shrink(rate * decay, some)

    def shrink(self, share: float, some: slice = slice(None)) -> None:
        """Draws all parameters to 0 by a share of them (Loshchilov & Hutter 2019)."""
        if share:
            self.flat[some] *= np.float32(max(0.0, 1.0 - share))

    def check_finite(self) -> None:
        """Raises InvalidRequest where learning went astray."""
        if not np.isfinite(self.flat).all():
            raise InvalidRequest(
                "The networks have lost their way: their weights are no finite numbers any more.",
                hint="Lower the hyperparameter learning_rate.",
            )

    def network(self, *, leads: bool = False) -> Network:
        """What has been learned so far.

        With `leads` the last output is the value of the state and those before are the actions'
        leads, of which the mean is taken off: Q(a) = V + z(a) - mean z, folded into the last layer.
        """
        self.check_finite()
        weights = [one.astype(np.float64) for one in self.weights]
        biases = [one.astype(np.float64) for one in self.biases]
        if leads:
            weights[-1], biases[-1] = _fold(weights[-1]), _fold(biases[-1])
        return Network(tuple(weights), tuple(biases))

    def _buffer(self, name: tuple[object, ...], shape: tuple[int, ...]) -> Floats:
        key = (*name, shape)
        found = self._buffers.get(key)
        if found is None:
            found = self._buffers[key] = np.empty(shape, np.float32)
        return found

    def _ones(self, rows: int) -> Floats:
        key = ("ones", rows)
        found = self._buffers.get(key)
        if found is None:
            found = self._buffers[key] = np.ones((1, rows), np.float32)
        return found


MakeNetworks = Callable[[int, Sequence[int], np.random.Generator], Networks]
"""What makes a population as `Networks` does, on the processor or on a GPU."""


class _Adam:
    """Kingma & Ba 2015, in place, over parameters [M, P].

    The moments are kept without the factors 1 - beta, which go into the step: two passes less.
    Every member has had the same number of steps, or is about to.
    """

    def __init__(self, flat: Floats) -> None:
        self._flat = flat
        self._mean: Floats = np.zeros_like(flat)
        self._square: Floats = np.zeros_like(flat)
        self._steps = np.zeros(len(flat), np.int64)
        self._room: Floats = np.empty(_CHUNK, np.float32)

    def step(self, gradient: Floats, rate: float, some: slice) -> None:
        """One step of some members, along `gradient` [m, P]."""
        self._steps[some] += 1
        size, epsilon = adam_factors(int(self._steps[some][0]), rate)
        for chunks in zip(
            _chunks(gradient.reshape(-1)),
            _chunks(self._mean[some].reshape(-1)),
            _chunks(self._square[some].reshape(-1)),
            _chunks(self._flat[some].reshape(-1)),
            strict=True,
        ):
            self._go(*chunks, size, epsilon)

    def _go(
        self,
        gradient: Floats,
        mean: Floats,
        square: Floats,
        flat: Floats,
        size: np.float32,
        epsilon: np.float32,
    ) -> None:
        room = self._room[: len(gradient)]
        mean *= np.float32(BETAS[0])
        mean += gradient
        np.multiply(gradient, gradient, out=room)
        square *= np.float32(BETAS[1])
        square += room
        np.sqrt(square, out=room)
        room += epsilon
        np.divide(mean, room, out=room)
        room *= size
        flat -= room


def adam_factors(done: int, rate: float) -> tuple[np.float32, np.float32]:
    """What step number `done` takes moments by that are kept without their factors: size, epsilon.

    It goes by size * mean / (sqrt(square) + epsilon).
    """
    first, second = BETAS
    height = math.sqrt((1 - second**done) / (1 - second))
    size = np.float32(rate * (1 - first) / (1 - first**done) * height)
    return size, np.float32(_EPSILON * height)


def _chunks(flat: Floats) -> Iterator[Floats]:
    return (flat[start : start + _CHUNK] for start in range(0, len(flat), _CHUNK))


def _keep_where_active(inward: Floats, active: Floats) -> None:
    """Zeroes derivatives where a rectified unit gave 0; uses up what the units gave.

    By their bits, in three passes that vector instructions do: a positive number is a positive
    integer, whose negative has its first bit set, which becomes all bits: a mask.
    """
    bits = active.view(np.int32)
    np.negative(bits, out=bits)
    np.right_shift(bits, 31, out=bits)
    mine = inward.view(np.int32)
    np.bitwise_and(mine, bits, out=mine)


def _fold(last: Matrix) -> Matrix:
    """Outputs z(1) … z(A), V as A values V + z(a) - mean z."""
    leads, level = last[..., :-1], last[..., -1:]
    return leads - leads.mean(axis=-1, keepdims=True) + level
