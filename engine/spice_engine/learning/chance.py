"""Whether a gain is more than chance alone may give, on steps that are not independent."""

from __future__ import annotations

import math

import numpy as np

from spice_engine.learning.features import Matrix

BLOCKS = 18
BLOCK_SHARE = 0.8
"""So many of the asked errors are asked of the few blocks: what pays in rare events only, in four
stretches of all and nowhere else, is 2.2 errors from nothing."""


def beyond_chance(gains: Matrix, errors: float) -> bool:
    """Whether gains [N], one for each step in the order of time, add up to so many standard errors.

    So many standard errors of independent steps, and BLOCK_SHARE of them by the sums of BLOCKS
    stretches of time. Where data and rewards are slow, whole stretches gain or lose by one and
    the same chance, and steps counted one by one would take any of it for knowledge.
    """
    largest = float(np.abs(gains).max(initial=0.0))
    if not largest:
        return False
    gains = gains / largest  # so that squares neither overflow nor vanish
    total = float(gains.sum())
    error = math.sqrt(float((gains * gains).sum()))
    blocks = min(BLOCKS, len(gains))
    if blocks > 1:
        starts = np.arange(blocks) * len(gains) // blocks
        sums = np.add.reduceat(gains, starts)
        error = max(error, BLOCK_SHARE * math.sqrt(blocks * float(sums.var(ddof=1))))
    return total > errors * error
