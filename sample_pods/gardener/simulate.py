"""A garden bed, its weather and its valve, in steps of ten minutes. Standard library only.

    python simulate.py --seed 1 --out data/garden.csv

Sun and air follow the day; the weather changes between fair, cloudy and wet over hours, and before
it rains the air gets humid. The soil dries by evaporation, which heat, sun and dry air speed up,
and takes up rain and what the valve gives. In the recording a careless gardener runs the valve by
hand and by chance, so that the soil is met in every state.

    time         seconds since 1970, UTC
    temperature  of the air, degrees Celsius
    humidity     of the air, per cent
    sun          share of the strongest sun, 0 to 1
    moisture     of the soil, per cent; the plants like it between 22 and 32

A seed always gives one series.
"""

from __future__ import annotations

import argparse
import csv
import math
import random
from dataclasses import dataclass
from pathlib import Path

STEP_SECONDS = 600
STEPS_PER_DAY = 144
VALVE = {"close_valve": 0.0, "open_valve_half": 0.5, "open_valve_full": 1.0}
"""How far each action opens the valve."""


@dataclass(frozen=True)
class Climate:
    """What the garden is like; rates are by step of ten minutes."""

    mean_temperature: float = 20.0
    swing: float = 7.0
    """How far day and night are from the mean."""
    valve_gain: float = 0.9
    """Per cent of moisture that an open valve brings."""
    rain_gain: float = 0.6
    drying: float = 0.007
    """Share of the moisture that leaves a shady soil in mild air."""
    change_chance: float = 1 / 30
    """How likely the weather changes; it stays five hours on average."""


@dataclass(frozen=True)
class Reading:
    """What the sensors say at one time; the fields are the columns of the file."""

    time: int
    temperature: float
    humidity: float
    sun: float
    moisture: float


class Garden:
    """Steps through time, ten minutes a step."""

    def __init__(self, seed: int, start: int = 1756684800, climate: Climate | None = None) -> None:
        self._climate = climate or Climate()
        self._rng = random.Random(seed)
        self._time = start
        self._weather = "fair"
        self._cloud = 0.2
        self._spell = 0.0
        self._humidity = 55.0
        self._moisture = self._rng.uniform(20, 30)
        self.raining = False

    def step(self, valve: float) -> Reading:
        """Ten minutes with the valve so far open, 0 to 1; then the sensors are read."""
        climate, rng = self._climate, self._rng
        self._change_weather()
        hour = self._time % 86400 / 3600
        height = max(0.0, math.sin(math.pi * (hour - 6) / 12))
        sun = height * (1 - 0.85 * self._cloud)
        # Warm and cold spells come and go over days.
        self._spell = 0.999 * self._spell + rng.gauss(0, 0.15)
        day = climate.swing * math.sin(math.pi * (hour - 9) / 12) * (1 - 0.5 * self._cloud)
        temperature = climate.mean_temperature + self._spell + day
        wanted = {"fair": 45.0, "cloudy": 65.0, "wet": 92.0}[self._weather] - 0.8 * day
        self._humidity += 0.12 * (wanted - self._humidity) + rng.gauss(0, 0.8)
        # Rain needs humid air, so humidity announces it.
        self.raining = self._weather == "wet" and self._humidity > 82
        thirst = 0.35 + 0.05 * max(0.0, temperature - 12) + 0.8 * sun
        thirst *= 1.3 - 0.6 * self._humidity / 100
        self._moisture *= 1 - climate.drying * thirst
        self._moisture += climate.valve_gain * valve + climate.rain_gain * self.raining
        # What soil of this kind can't hold runs off.
        self._moisture = min(max(self._moisture, 3.0), 45.0)
        reading = Reading(
            time=self._time,
            temperature=round(temperature + rng.gauss(0, 0.1), 2),
            humidity=round(min(max(self._humidity + rng.gauss(0, 0.5), 5.0), 100.0), 1),
            sun=round(sun, 3),
            moisture=round(self._moisture + rng.gauss(0, 0.1), 2),
        )
        self._time += STEP_SECONDS
        return reading

    def _change_weather(self) -> None:
        if self._rng.random() < self._climate.change_chance:
            self._weather = self._rng.choices(("fair", "cloudy", "wet"), (0.5, 0.35, 0.15))[0]
        cover = {"fair": 0.15, "cloudy": 0.7, "wet": 0.95}[self._weather]
        self._cloud += 0.2 * (cover - self._cloud)


class CarelessGardener:
    """Opens the valve now and then, forgets it for hours, and forgets the garden for days."""

    def __init__(self, seed: int) -> None:
        self._rng = random.Random(seed)
        self._left = 0
        self.valve = 0.0

    def step(self) -> float:
        """How far the valve is open in the next ten minutes."""
        if self._left == 0:
            opened = self.valve > 0
            self.valve = 0.0 if opened else self._rng.choice((0.5, 1.0))
            self._left = self._rng.randint(24, 120) if opened else self._rng.randint(6, 30)
        self._left -= 1
        return self.valve


def main() -> None:
    """Write a file of readings."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--rows", type=int, default=4320, help="readings; 4320 are 30 days")
    parser.add_argument("--start", type=int, default=1756684800, help="time of the first reading")
    parser.add_argument("--out", type=Path, default=Path("data/garden.csv"))
    options = parser.parse_args()
    garden = Garden(options.seed, options.start)
    gardener = CarelessGardener(options.seed)
    options.out.parent.mkdir(parents=True, exist_ok=True)
    with options.out.open("w", newline="", encoding="utf-8") as out:
        writer = csv.writer(out)
        writer.writerow(Reading.__annotations__)
        for _ in range(options.rows):
            writer.writerow(vars(garden.step(gardener.step())).values())


if __name__ == "__main__":
    main()
