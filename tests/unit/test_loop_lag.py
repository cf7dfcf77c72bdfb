"""The loop's lag is seen, and percentiles are read off the right buckets."""

import asyncio
import time

from spice_engine.loop_lag import EDGES, LoopLag


async def test_a_blocked_loop_shows_as_lag():
    lag = LoopLag()
    lag.start()
    await asyncio.sleep(0.12)
    time.sleep(0.2)  # noqa: ASYNC251 - blocking the loop is the point
    await asyncio.sleep(0.06)
    lag.stop()
    assert lag.samples >= 2
    assert lag.max > 0.1
    assert lag.percentile(1.0) == lag.max


def test_percentiles_are_at_most_a_quarter_too_high():
    lag = LoopLag()
    for late in [0.001] * 98 + [0.02, 0.2]:
        index = next(i for i, edge in enumerate(EDGES) if edge >= late)
        lag.counts[index] += 1
        lag.samples += 1
        lag.max = max(lag.max, late)
    assert 0.001 <= lag.percentile(0.5) <= 0.00125
    assert 0.02 <= lag.percentile(0.99) <= 0.025
    assert lag.percentile(1.0) == 0.2
