"""A synthetic market whose next move can be told in part: half-hourly candles of one coin.

    python market.py --seed 1 --out data/prices.csv

The price is the sum of two parts on a logarithmic scale: a *worth* that people slowly change
their mind about, and a *misprice* that wears off (mean reversion). Now and then a wave of buying
or selling carries the worth up or down for some hours (momentum). A wave is announced: volume and
the buyers' share of it change one candle before the price does. All else is noise.

    time               seconds since 1970, UTC: when the candle begins
    open, close        price of one coin in USD at both ends of the half hour
    volume             coins traded
    buyers             share of the volume that buyers began, in per cent
    premium            close over the mean of the last day's closes, in per cent

What a candle says is known when it ends. Standard library only; a seed always gives one series.
"""

from __future__ import annotations

import argparse
import csv
import math
import random
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

CANDLE_SECONDS = 1800
CANDLES_PER_DAY = 48


@dataclass(frozen=True)
class Market:
    """The market's parameters, by candle.

    They were fixed before any manifest was written or tuned, and have not been changed since:
    what a pod learns here is not what the market was bent to.
    """

    first_price: float = 100.0
    noise: float = 0.0035
    """Standard deviation of what moves the misprice by chance."""
    reversion: float = 0.2
    """Share of the misprice that wears off."""
    tide: float = 0.0003
    """The most that the slow tide moves the worth."""
    tide_candles: float = 480.0
    """How long a tide takes to come and go."""
    wave_chance: float = 1 / 40
    """How likely a wave begins while there is none."""
    wave_end: float = 1 / 10
    """How likely a wave ends."""
    wave: float = 0.003
    """How far a wave moves the worth."""
    volume: float = 120.0
    wave_volume: float = 2.5
    """How many times the volume a wave brings."""
    volume_noise: float = 0.25
    """Standard deviation of the volume's logarithm."""
    lean: float = 15.0
    """By how many per cent a wave changes the buyers' share."""
    lean_noise: float = 8.0


@dataclass(frozen=True)
class Candle:
    """One half hour of trading; the fields are the columns of the file."""

    time: int
    open: float
    close: float
    volume: float
    buyers: float
    premium: float


def trade(seed: int, start: int = 1756684800, market: Market | None = None) -> Iterator[Candle]:
    """Candle after candle, without an end; `start` is the first one's time."""
    market = market or Market()
    rng = random.Random(seed)
    phase = rng.uniform(0, 2 * math.pi)
    worth = misprice = 0.0
    direction = 0
    last = market.first_price
    day: deque[float] = deque(maxlen=CANDLES_PER_DAY)
    number = 0
    while True:
        # The wave that was announced in the last candle moves this one.
        worth += market.tide * math.sin(2 * math.pi * number / market.tide_candles + phase)
        worth += market.wave * direction
        misprice += rng.gauss(0, market.noise) - market.reversion * misprice
        if direction:
            if rng.random() < market.wave_end:
                direction = 0
        elif rng.random() < market.wave_chance:
            direction = rng.choice((-1, 1))
        close = market.first_price * math.exp(worth + misprice)
        day.append(close)
        rhythm = 1 + 0.3 * math.sin(2 * math.pi * number / CANDLES_PER_DAY)
        volume = market.volume * rhythm * math.exp(rng.gauss(0, market.volume_noise))
        volume *= market.wave_volume if direction else 1
        buyers = 50 + market.lean * direction + rng.gauss(0, market.lean_noise)
        yield Candle(
            time=start + number * CANDLE_SECONDS,
            open=round(last, 3),
            close=round(close, 3),
            volume=round(volume, 1),
            buyers=round(min(max(buyers, 0.0), 100.0), 1),
            premium=round(100 * (close * len(day) / sum(day) - 1), 3),
        )
        last = close
        number += 1


def main() -> None:
    """Write a file of candles."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--rows", type=int, default=1440, help="candles; 1440 are 30 days")
    parser.add_argument("--start", type=int, default=1756684800, help="time of the first candle")
    parser.add_argument("--out", type=Path, default=Path("data/prices.csv"))
    options = parser.parse_args()
    options.out.parent.mkdir(parents=True, exist_ok=True)
    with options.out.open("w", newline="", encoding="utf-8") as out:
        writer = csv.writer(out)
        writer.writerow(Candle.__annotations__)
        for _, candle in zip(range(options.rows), trade(options.seed, options.start), strict=False):
            writer.writerow(vars(candle).values())


if __name__ == "__main__":
    main()
