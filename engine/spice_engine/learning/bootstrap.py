"""Confidence intervals of sums over time: the stationary bootstrap, block length by itself.

Steps near each other are alike, so drawing single steps anew would make a figure look surer than
it is. The stationary bootstrap (Politis and Romano 1994, "The Stationary Bootstrap") draws whole
stretches instead, of lengths that chance gives about one mean, from steps laid in a circle.

The mean length is that of Politis and White (2004, corrected by Patton, Politis and White 2009):
from how far back the autocorrelation reaches. Of several columns the longest counts, and it is no
shorter than the cube root of the number of steps: few steps hide how slow they are. There are at
most MAX_BLOCKS blocks, whatever the rules say: longer ones assume less, and cost less.

Intervals are percentiles, widened as Hesterberg (2015) has it for few blocks: as a t interval is
wider than a normal one.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from spice_engine.learning.features import Matrix
from spice_engine.records import record

LEVEL = 0.95
DRAWS = 400
MIN_STEPS = 10
"""Of fewer steps nothing is said."""
MAX_BLOCKS = 64
MIN_BLOCKS = 4
MAX_BINS = 8192
"""Of more steps equal stretches are added up first, which no block then cuts."""

Interval = tuple[float, float]


@record
class Resampled:
    """Sums [draws, columns] of a series drawn anew, about its own `sums` [columns].

    `block` is the mean length of a block, in steps; `blocks` how many of them a series has.
    """

    sums: Matrix
    draws: Matrix
    block: float
    blocks: float

    def interval(self, statistic: Callable[[Matrix], Matrix], level: float = LEVEL) -> Interval:
        """The interval of a statistic of the columns' sums [N, columns], which gives [N]."""
        return quantiles(statistic(self.draws), self.blocks, level)


def resample(columns: Matrix, seed: int = 0, draws: int = DRAWS) -> Resampled | None:
    """Draws the rows of a series [N, columns] anew, in blocks; None of fewer than MIN_STEPS."""
    count = len(columns)
    if count < MIN_STEPS:
        return None
    size = -(-count // MAX_BINS)
    # By the largest first, so that squares neither overflow nor vanish.
    unit = np.abs(columns).max(axis=0)
    unit = np.where(unit > 0, unit, 1.0)
    bins = np.add.reduceat(columns / unit, np.arange(0, count, size), axis=0)
    number = len(bins)
    length = max(_automatic_length(one) for one in bins.T)
    length = min(max(length, number ** (1 / 3), number / MAX_BLOCKS), number / MIN_BLOCKS)
    # Differences from the mean: prefix sums of them stay small, and so do their roundings.
    mean = bins.mean(axis=0)
    drawn = _sums(bins - mean, length, seed, draws)
    return Resampled(
        columns.sum(axis=0), (drawn + mean * number) * unit, length * size, number / length
    )


def quantiles(values: Matrix, blocks: float, level: float = LEVEL) -> Interval:
    """The middle `level` of drawn values [N], a little more of few blocks."""
    outside = _expanded((1 - level) / 2, blocks)
    low, high = np.quantile(values, [outside, 1 - outside]).tolist()
    return low, high


def _sums(bins: Matrix, length: float, seed: int, draws: int) -> Matrix:
    """Sums [draws, columns] of as many bins [N, columns] as there are, drawn in blocks."""
    count = len(bins)
    chance = np.random.default_rng([seed, count])
    most = math.ceil(count / length + 5 * math.sqrt(count / length) + 5)
    lengths = _geometric(chance, length, (draws, most))
    ends = np.minimum(np.cumsum(lengths, axis=1, dtype=np.int32), count)
    ends[:, -1] = count  # of thousands of draws hardly one has a block too few
    starts = chance.integers(0, count, size=(draws, most), dtype=np.int32)
    last = starts + ends
    last[:, 1:] -= ends[:, :-1]
    # A block may run over the end and on from the beginning, but is no longer than the series.
    sums = np.zeros((bins.shape[1], 2 * count + 1))
    np.cumsum(np.concatenate([bins, bins]).T, axis=1, out=sums[:, 1:])
    return np.stack([(one.take(last) - one.take(starts)).sum(axis=1) for one in sums], axis=1)


def _geometric(
    chance: np.random.Generator, mean: float, shape: tuple[int, int]
) -> np.ndarray[tuple[int, int], np.dtype[np.int32]]:
    """Lengths of a geometric distribution, from exponential ones, which are drawn faster."""
    if mean <= 1:
        return np.ones(shape, dtype=np.int32)
    drawn = chance.standard_exponential(shape, dtype=np.float32)
    drawn /= np.float32(-math.log1p(-1 / mean))
    return drawn.astype(np.int32) + np.int32(1)


def _automatic_length(series: Matrix) -> float:
    """The mean block length for a series [N]; 1 where neighbours are not alike."""
    count = len(series)
    reach = max(5, math.ceil(math.sqrt(math.log10(count))))
    lags = min(math.ceil(math.sqrt(count)) + reach, count - 1)
    covariances = _autocovariances(series, lags)
    if covariances[0] <= 0:
        return 1.0
    bar = 2 * math.sqrt(math.log10(count) / count)
    small = np.abs(covariances[1:] / covariances[0]) < bar
    furthest = _first_run(small, reach)
    window = min(2 * max(furthest, 1), lags)
    lag = np.arange(window + 1)
    weights = np.clip(2 * (1 - lag / window), 0.0, 1.0)  # flat to half the window, then falling
    weights[1:] *= 2  # both sides
    spectrum = float((weights * covariances[: window + 1]).sum())
    slope = float((weights * lag * covariances[: window + 1]).sum())
    if spectrum <= 0:
        return 1.0
    length = (slope * slope / (spectrum * spectrum)) ** (1 / 3) * count ** (1 / 3)
    return min(length, math.ceil(min(3 * math.sqrt(count), count / 3)))


def _autocovariances(series: Matrix, lags: int) -> Matrix:
    """Those of the lags 0 to `lags`."""
    centred = series - series.mean()
    size = 1 << (len(series) + lags).bit_length()
    power = np.abs(np.fft.rfft(centred, size)) ** 2
    return np.fft.irfft(power, size)[: lags + 1] / len(series)


def _first_run(small: np.ndarray[tuple[int], np.dtype[np.bool_]], reach: int) -> int:
    """How many lags there are before `reach` small ones in a row; before the last where none is."""
    run = 0
    for index, one in enumerate(small.tolist()):
        run = run + 1 if one else 0
        if run == reach:
            return index + 1 - reach
    return len(small) - run


def _expanded(outside: float, blocks: float) -> float:
    """The share to leave out at either side, of so many blocks."""
    freedom = max(blocks - 1, 1.0)
    z = _normal_quantile(1 - outside)
    # Student's t by Cornish and Fisher: enough for a handful of blocks.
    t = (
        z
        + (z**3 + z) / (4 * freedom)
        + (5 * z**5 + 16 * z**3 + 3 * z) / (96 * freedom**2)
        + (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / (384 * freedom**3)
    )
    return _normal_share(-t * math.sqrt(blocks / freedom))


def _normal_share(z: float) -> float:
    return 0.5 * math.erfc(-z / math.sqrt(2))


def _normal_quantile(share: float) -> float:
    """The inverse of `_normal_share`, by bisection."""
    low, high = -10.0, 10.0
    for _ in range(60):
        middle = (low + high) / 2
        if _normal_share(middle) < share:
            low = middle
        else:
            high = middle
    return (low + high) / 2
