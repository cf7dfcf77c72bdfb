"""Kernels for CUDA: passes and steps of a population of networks, sums of products in tiles.

All that a layer does is a product of matrices. Its parameters are a matrix [K + 1, J] whose last
row are the biases, and what it is given has a last column of ones. A block of threads makes one
tile of one member's product: what it needs comes through shared memory, `depth` terms at a time,
and a thread has `each` x `each` sums in registers. Sums have one order, so equal inputs give equal
bits on one device; BLAS's have another, so both agree to rounding only. Indices are unsigned: of
signed ones it would be tested at each access whether they count from the end.

Everything is flat: a layer is `layer[(member * N + row) * J + neuron]`, parameters, gradients and
moments are `flat[member * P + place]`, as in `networks.Networks`. Importing this module imports
numba.cuda.
"""

from __future__ import annotations

import math
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spice_engine.learning.kernels.cuda import cuda, device
from spice_engine.learning.networks import BETAS
from spice_engine.records import record

OUTPUTS, HIDDEN, SLOPES, INWARD = range(4)
"""What a product is: see `make_multiply`."""

Floats = NDArray[np.float32]

_ONE, _NOTHING = np.float32(1.0), np.float32(0.0)
_LEAST = np.float32(1e-30)
_FIRST, _SECOND = np.float32(BETAS[0]), np.float32(BETAS[1])


@record
class Tile:
    """How a product is cut: `side` rows and columns a block, each thread `each` of both.

    Over a member's parameters go at most `parts` blocks of `stretch` threads.
    """

    side: int = 32
    each: int = 4
    depth: int = 16
    stretch: int = 128
    parts: int = 64

    @property
    def threads(self) -> int:
        """Of one block."""
        return (self.side // self.each) ** 2


@device
def _stage(
    tile: Floats,
    source: Floats,
    at: int,
    first: int,
    begin: int,
    lines: int,
    inner: int,
    line_step: int,
    inner_step: int,
    ones_line: int,
    ones_inner: int,
    side: int,
    depth: int,
    threads: int,
) -> None:
    """Has all threads of a block copy a piece of a matrix to shared memory: `side` lines of `depth`
    terms from (`first`, `begin`) on, zeros beyond the matrix, and ones where it has them.

    Neighbours read what lies together in memory. A row of the tile has a place more than lines, so
    that threads that write a column meet in no bank.
    """
    for cell in range(cuda.threadIdx.x, side * depth, threads):
        line, step = cell % side, cell // side
        if inner_step == 1:
            line, step = cell // depth, cell % depth
        value, row, column = _NOTHING, first + line, begin + step
        if row < lines and column < inner:
            value = _ONE
            if row != ones_line and column != ones_inner:
                value = source[np.uint64(at + row * line_step + column * inner_step)]
        tile[np.uint32(step * (side + 1) + line)] = value


@cache
def make_multiply(tile: Tile) -> Any:
    """The kernel of products: (row tiles, column tiles, members) blocks of `tile.threads`.

    It writes `out` [rows, columns], sums of `inner` products of `one` and `other`, which are

    - OUTPUTS, HIDDEN: what a layer gives [N, J] of the layer before [N, K] and parameters
      [K + 1, J]: rows N, inner K + 1, columns J; negative numbers of hidden ones become 0.
    - SLOPES: derivatives by the parameters [K + 1, J] of the layer before [N, K] and the
      derivatives by what the layer gives [N, J]: rows K + 1, inner N, columns J.
    - INWARD: derivatives by the layer before [N, K], in its place, of those by what the layer gives
      [N, J] and the parameters [K + 1, J]: rows N, inner J, columns K; none where `out` was 0.

    `apart` is how far two members' `one` are from each other, 0 where all have the same; `size` is
    P, and `start` where the layer's parameters begin among them.
    """
    side, each, depth = tile.side, tile.each, tile.depth
    across, wide = side // each, side + 1
    threads, room, sums = tile.threads, depth * wide, each * each

    @cuda.jit
    def multiply(
        one: Floats,
        other: Floats,
        out: Floats,
        kind: int,
        rows: int,
        inner: int,
        columns: int,
        apart: int,
        size: int,
        start: int,
    ) -> None:
        left = cuda.shared.array(room, np.float32)
        right = cuda.shared.array(room, np.float32)
        totals = cuda.local.array(sums, np.float32)
        thread, member = cuda.threadIdx.x, cuda.blockIdx.z
        top, edge = cuda.blockIdx.x * side, cuda.blockIdx.y * side
        down, along = thread // across, thread % across
        # Where a matrix begins, and how far its rows and columns are from each other.
        one_row, one_step, ones_row, ones_step = inner - 1, 1, -1, inner - 1
        other_at, other_step, other_column = start + member * size, columns, 1
        out_at = member * rows * columns
        if kind == SLOPES:
            one_row, one_step, ones_row, ones_step = 1, rows - 1, rows - 1, -1
            other_at, out_at = member * inner * columns, start + member * size
        elif kind == INWARD:
            one_row, ones_step = inner, -1
            other_step, other_column = 1, inner
        for place in range(sums):
            totals[place] = _NOTHING
        for begin in range(0, inner, depth):
            _stage(
                left, one, member * apart, top, begin, rows, inner, one_row, one_step,
                ones_row, ones_step, side, depth, threads,
            )  # fmt: skip
            _stage(
                right, other, other_at, edge, begin, columns, inner, other_column, other_step,
                -1, -1, side, depth, threads,
            )  # fmt: skip
            cuda.syncthreads()
            for step in range(depth):
                lefts, rights = np.uint32(step * wide + down), np.uint32(step * wide + along)
                for i in range(each):
                    value = left[lefts + np.uint32(i * across)]
                    for j in range(each):
                        totals[i * each + j] += value * right[rights + np.uint32(j * across)]
            cuda.syncthreads()
        for i in range(each):
            row = top + down + i * across
            for j in range(each):
                column = edge + along + j * across
                if row < rows and column < columns:
                    place = np.uint64(out_at + row * columns + column)
                    total = totals[i * each + j]
                    if kind == HIDDEN:
                        total = max(total, _NOTHING)
                    elif kind == INWARD:
                        total = total if out[place] > _NOTHING else _NOTHING
                    out[place] = total

    return multiply


@cache
def make_squares(threads: int) -> Any:
    """The kernel that sums up a gradient's squares: (parts, members) blocks of so many threads.

    `totals` [M * parts] become the sums of the parts of `slopes` [M * P].
    """

    @cuda.jit
    def squares(slopes: Floats, totals: Floats, size: int) -> None:
        found = cuda.shared.array(threads, np.float32)
        thread, part, member = cuda.threadIdx.x, cuda.blockIdx.x, cuda.blockIdx.y
        total = _NOTHING
        for place in range(part * threads + thread, size, cuda.gridDim.x * threads):
            slope = slopes[member * size + place]
            total += slope * slope
        found[thread] = total
        cuda.syncthreads()
        if thread == 0:
            total = _NOTHING
            for other in range(threads):
                total += found[other]
            totals[member * cuda.gridDim.x + part] = total

    return squares


@cache
def make_adam() -> Any:
    """The kernel of a step of Adam: (parts, members) blocks, after `make_squares`.

    As in `networks`: a gradient longer than `longest` is shortened, moments are kept without their
    factors, which are in `rate` and `epsilon`; what comes out is multiplied by `kept`.
    """

    @cuda.jit
    def adam(
        flat: Floats,
        mean: Floats,
        square: Floats,
        slopes: Floats,
        totals: Floats,
        size: int,
        longest: np.float32,
        rate: np.float32,
        epsilon: np.float32,
        kept: np.float32,
    ) -> None:
        member, parts = cuda.blockIdx.y, cuda.gridDim.x
        total = _NOTHING
        for part in range(parts):
            total += totals[member * parts + part]
        length, share = np.float32(math.sqrt(total)), _ONE
        if length > longest:
            share = longest / max(length, _LEAST)
        first, threads = cuda.blockIdx.x * cuda.blockDim.x, cuda.blockDim.x
        for own in range(first + cuda.threadIdx.x, size, parts * threads):
            place = np.uint64(member * size + own)
            slope = slopes[place] * share
            moved = mean[place] * _FIRST + slope
            spread = square[place] * _SECOND + slope * slope
            mean[place], square[place] = moved, spread
            step = rate * moved / (np.float32(math.sqrt(spread)) + epsilon)
            flat[place] = (flat[place] - step) * kept

    return adam


@cache
def make_follow() -> Any:
    """The kernel that goes a share of the way from `mine` to `theirs`, both [M * P]."""

    @cuda.jit
    def follow(mine: Floats, theirs: Floats, share: np.float32) -> None:
        for place in range(cuda.grid(1), mine.shape[0], cuda.gridsize(1)):
            mine[place] += share * (theirs[place] - mine[place])

    return follow
