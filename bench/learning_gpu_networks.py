"""A population of networks on a GPU: a block of threads is a member, a thread a neuron.

What `learning_gpu.py` measures the GPU by; trainings learn networks through BLAS. The networks are
those of `networks.Networks`: two hidden layers of as many neurons, rectified, every action's value
regressed on its reward, Adam. A member's weights lie in shared memory for a step, its gradient and
moments in global memory; a batch goes in chunks of CHUNK samples. Sums have another order than BLAS
has, so both are equal up to rounding, which `agreement` looks at.
"""

from __future__ import annotations

import importlib
import math
import statistics
import time
from functools import cache
from typing import Any

import numpy as np

from spice_engine.learning.kernels.compiled import numba
from spice_engine.learning.networks import Networks

numba()
# A global name: the simulator puts itself in the place of the module that kernels refer to so.
cuda: Any = importlib.import_module("numba.cuda")

CHUNK = 8
CLIP = 1e9
_ONE, _NOTHING = np.float32(1.0), np.float32(0.0)
_FIRST, _SECOND, _EPSILON = np.float32(0.9), np.float32(0.999), np.float32(1e-8)


@cuda.jit(device=True)
def _load(flat, member, unit, features, hidden, actions, w1, w2, w3, b1, b2, b3):
    """A member's parameters to shared memory; rows of the second layer have one place more."""
    for row in range(features):
        w1[row * hidden + unit] = flat[member, row * hidden + unit]
    start = features * hidden
    b1[unit] = flat[member, start + unit]
    start += hidden
    for row in range(hidden):
        w2[row * (hidden + 1) + unit] = flat[member, start + row * hidden + unit]
    start += hidden * hidden
    b2[unit] = flat[member, start + unit]
    start += hidden
    for action in range(actions):
        w3[unit * actions + action] = flat[member, start + unit * actions + action]
    for action in range(unit, actions, hidden):
        b3[action] = flat[member, start + hidden * actions + action]


@cuda.jit(device=True)
def _layer(before, after, weights, bias, unit, rows, wide, hidden):
    """What a layer gives of a chunk: a weight is read once for all of its samples."""
    totals = cuda.local.array(CHUNK, np.float32)
    for sample in range(CHUNK):
        totals[sample] = bias[unit]
    for row in range(rows):
        weight = weights[row * wide + unit]
        for sample in range(CHUNK):
            totals[sample] += before[sample * rows + row] * weight
    for sample in range(CHUNK):
        after[sample * hidden + unit] = max(totals[sample], _NOTHING)
    cuda.syncthreads()


@cuda.jit(device=True)
def _forward(unit, features, hidden, actions, seen, one, two, out, w1, w2, w3, b1, b2, b3):
    """The layers of a chunk; `out` holds the targets before, and values minus targets after."""
    _layer(seen, one, w1, b1, unit, features, hidden, hidden)
    _layer(one, two, w2, b2, unit, hidden, hidden + 1, hidden)
    for place in range(unit, CHUNK * actions, hidden):
        sample, action = place // actions, place % actions
        total = b3[action]
        for row in range(hidden):
            total += two[sample * hidden + row] * w3[row * actions + action]
        out[place] = total - out[place]
    cuda.syncthreads()


@cuda.jit(device=True)
def _back_out(slopes, member, start, unit, hidden, actions, share, two, out, w3):
    """The last layer's gradient; `two` becomes the derivatives by what the second layer gives."""
    for action in range(actions):
        change = _NOTHING
        for sample in range(CHUNK):
            change += two[sample * hidden + unit] * out[sample * actions + action]
        slopes[member, start + unit * actions + action] += change * share
    for action in range(unit, actions, hidden):
        change = _NOTHING
        for sample in range(CHUNK):
            change += out[sample * actions + action]
        slopes[member, start + hidden * actions + action] += change * share
    for sample in range(CHUNK):
        inward = _NOTHING
        for action in range(actions):
            inward += out[sample * actions + action] * w3[unit * actions + action]
        active = two[sample * hidden + unit] > _NOTHING
        two[sample * hidden + unit] = inward * share if active else _NOTHING
    cuda.syncthreads()


@cuda.jit(device=True)
def _back_layer(slopes, member, start, unit, rows, hidden, before, after):
    """The gradient of a layer's weights and biases, a column for each thread."""
    mine = cuda.local.array(CHUNK, np.float32)
    bias = _NOTHING
    for sample in range(CHUNK):
        mine[sample] = after[sample * hidden + unit]
        bias += mine[sample]
    slopes[member, start + rows * hidden + unit] += bias
    for row in range(rows):
        change = _NOTHING
        for sample in range(CHUNK):
            change += before[sample * rows + row] * mine[sample]
        slopes[member, start + row * hidden + unit] += change


@cuda.jit(device=True)
def _back_through(unit, hidden, one, two, w2):
    """`one` becomes the derivatives by what the first layer gives."""
    totals = cuda.local.array(CHUNK, np.float32)
    for sample in range(CHUNK):
        totals[sample] = _NOTHING
    for column in range(hidden):
        weight = w2[unit * (hidden + 1) + column]
        for sample in range(CHUNK):
            totals[sample] += two[sample * hidden + column] * weight
    cuda.syncthreads()
    for sample in range(CHUNK):
        active = one[sample * hidden + unit] > _NOTHING
        one[sample * hidden + unit] = totals[sample] if active else _NOTHING
    cuda.syncthreads()


@cuda.jit(device=True)
def _adam(flat, mean, square, slopes, member, unit, hidden, total, rate, left, kept):
    """Kingma and Ba 2015; `left` and `kept` are what is missing of the moments' weights."""
    height, spread = rate / (_ONE - left), _ONE / (_ONE - kept)
    for place in range(unit, total, hidden):
        slope = slopes[member, place]
        slopes[member, place] = _NOTHING
        moved = _FIRST * mean[member, place] + (_ONE - _FIRST) * slope
        size = _SECOND * square[member, place] + (_ONE - _SECOND) * slope * slope
        mean[member, place] = moved
        square[member, place] = size
        root = np.float32(math.sqrt(size * spread))
        flat[member, place] -= height * moved / (root + _EPSILON)


@cache
def make_descend(features: int, hidden: int, actions: int) -> Any:
    """The kernel for networks of a shape, launched with a block of `hidden` threads a member.

    `flat`, `mean`, `square`, `slopes` [M, P]: parameters, moments, room for the gradient; `inputs`
    [N, D], `targets` [N, A]; `rows` [steps, batch] of them are learned from; `rates` [M]; `done`
    steps were made before.
    """
    second = (features + 1) * hidden
    third = second + (hidden + 1) * hidden
    total = third + (hidden + 1) * actions
    first_size, second_size, third_size = features * hidden, hidden * (hidden + 1), hidden * actions
    input_size, layer_size, output_size = CHUNK * features, CHUNK * hidden, CHUNK * actions

    @cuda.jit
    def descend(flat, mean, square, slopes, inputs, targets, rows, rates, done):
        w1 = cuda.shared.array(first_size, np.float32)
        w2 = cuda.shared.array(second_size, np.float32)
        w3 = cuda.shared.array(third_size, np.float32)
        b1 = cuda.shared.array(hidden, np.float32)
        b2 = cuda.shared.array(hidden, np.float32)
        b3 = cuda.shared.array(actions, np.float32)
        seen = cuda.shared.array(input_size, np.float32)
        one = cuda.shared.array(layer_size, np.float32)
        two = cuda.shared.array(layer_size, np.float32)
        out = cuda.shared.array(output_size, np.float32)
        member, unit = cuda.blockIdx.x, cuda.threadIdx.x
        batch = rows.shape[1]
        share = _ONE / np.float32(batch)
        left, kept = _ONE, _ONE
        for _ in range(done):
            left, kept = left * _FIRST, kept * _SECOND
        for step in range(rows.shape[0]):
            cuda.syncthreads()
            _load(flat, member, unit, features, hidden, actions, w1, w2, w3, b1, b2, b3)
            for start in range(0, batch, CHUNK):
                for place in range(unit, input_size, hidden):
                    row = rows[step, start + place // features]
                    seen[place] = inputs[row, place % features]
                for place in range(unit, output_size, hidden):
                    row = rows[step, start + place // actions]
                    out[place] = targets[row, place % actions]
                cuda.syncthreads()
                _forward(
                    unit, features, hidden, actions, seen, one, two, out, w1, w2, w3, b1, b2, b3
                )
                _back_out(slopes, member, third, unit, hidden, actions, share, two, out, w3)
                _back_layer(slopes, member, second, unit, hidden, hidden, one, two)
                _back_through(unit, hidden, one, two, w2)
                _back_layer(slopes, member, 0, unit, features, hidden, seen, one)
                cuda.syncthreads()
            left, kept = left * _FIRST, kept * _SECOND
            _adam(
                flat, mean, square, slopes, member, unit, hidden, total, rates[member], left, kept
            )

    return descend


class Case:
    """Inputs, targets, batches, and members that know nothing."""

    def __init__(self, members: int, sizes: tuple[int, int, int], batch: int, steps: int) -> None:
        features, hidden, actions = sizes
        random = np.random.default_rng(0)
        self.sizes, self.members = sizes, members
        self.inputs = random.normal(size=(4_096, features)).astype(np.float32)
        self.targets = random.normal(size=(4_096, actions)).astype(np.float32)
        self.rows = random.integers(0, 4_096, (steps, batch)).astype(np.uint32)
        self.networks = Networks(members, (features, hidden, hidden, actions), random)
        self.rate = 1e-3

    def on_cpu(self) -> None:
        """All steps through BLAS, every member on the same batches."""
        batch = self.rows.shape[1]
        for rows in self.rows:
            for some in self.networks.blocks(batch):
                count = len(self.networks.flat[some])
                inputs = np.repeat(self.inputs[rows][None], count, axis=0)
                layers = self.networks.forward(inputs, some)
                outward = (layers[-1] - self.targets[rows]) * np.float32(1 / batch)
                gradient = self.networks.gradient(layers, outward, some)
                self.networks.descend(gradient, self.rate, CLIP, some)

    def to_gpu(self) -> list[Any]:
        """The kernel's arguments, on the device."""
        flat = self.networks.flat
        rates = np.full(self.members, self.rate, dtype=np.float32)
        nothing = np.zeros_like(flat)
        arrays = (
            flat, nothing, nothing, nothing, self.inputs, self.targets, self.rows, rates,
        )  # fmt: skip
        return [cuda.to_device(array.copy()) for array in arrays]

    def on_gpu(self, given: list[Any], done: int) -> None:
        """All steps on the device."""
        make_descend(*self.sizes)[self.members, self.sizes[1]](*given, done)
        cuda.synchronize()


def agreement() -> float:
    """How far GPU and BLAS are apart after some steps, in shares of how far they have come."""
    case = Case(members=2, sizes=(5, 8, 3), batch=16, steps=4)
    before = case.networks.flat.copy()
    given = case.to_gpu()
    case.on_gpu(given, 0)
    case.on_cpu()
    way = np.abs(case.networks.flat - before).max()
    return float(np.abs(given[0].copy_to_host() - case.networks.flat).max() / way)


def samples_per_second(members: int, batch: int, steps: int, rounds: int) -> tuple[float, float]:
    """Of 64-64 networks on the GPU and through BLAS on the CPU; medians."""
    case = Case(members, (64, 64, 3), batch, steps)
    given = case.to_gpu()
    case.on_gpu(given, 0)
    taken: list[float] = []
    for turn in range(rounds):
        begin = time.perf_counter()
        case.on_gpu(given, steps * (turn + 1))
        taken.append(time.perf_counter() - begin)
    # The CPU's time grows with the members: a few of them are enough to see it.
    some = Case(min(members, 64), (64, 64, 3), batch, min(steps, 20))
    some.on_cpu()
    begin = time.perf_counter()
    some.on_cpu()
    cpu = time.perf_counter() - begin
    count = members * batch * steps
    return count / statistics.median(taken), some.members * some.rows.size / cpu
