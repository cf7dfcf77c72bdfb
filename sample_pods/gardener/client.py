"""Let the pod water a simulated garden: tell it the readings, ask it, turn the valve.

    python client.py [http://127.0.0.1:8000] [--days 7] [--seed 99] [--pause 0]

Goes on where the pod's data end, in simulated time: a decision every half hour. Beside it the
same weather falls on a garden with a timer, which waters three hours every morning and evening.
Standard library only.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
import urllib.error
import urllib.request
from dataclasses import dataclass

from simulate import STEP_SECONDS, STEPS_PER_DAY, VALVE, Garden, Reading

POD = "/api/v0.1/pods/gardener"
STEPS_PER_DECISION = 3
HEALTHY = (22.0, 32.0)
COLUMNS = ("temperature", "humidity", "sun", "moisture")


@dataclass
class Diary:
    """What became of a garden: steps in all, steps in healthy soil, and water."""

    steps: int = 0
    healthy: int = 0
    water: float = 0.0

    def note(self, reading: Reading, valve: float) -> None:
        """One more step."""
        self.steps += 1
        self.healthy += HEALTHY[0] <= reading.moisture <= HEALTHY[1]
        self.water += valve * STEP_SECONDS / 3600

    def __str__(self) -> str:
        share = self.healthy / max(self.steps, 1)
        return f"healthy soil {share:.0%} of the time, valve fully open for {self.water:.0f} hours"


def post(base: str, readings: list[Reading]) -> None:
    """Readings as observations: names are those of the pod, `from.name.field`."""
    lines = ["time," + ",".join(f"sensors.garden.{name}" for name in COLUMNS)]
    for reading in readings:
        cells = (str(getattr(reading, name)) for name in ("time", *COLUMNS))
        lines.append(",".join(cells))
    body = "\n".join(lines).encode()
    headers = {"Content-Type": "text/csv"}
    request = urllib.request.Request(base + POD + "/observations", data=body, headers=headers)
    urllib.request.urlopen(request, timeout=10).close()


def ask(base: str) -> dict[str, object]:
    """What the pod would do now."""
    with urllib.request.urlopen(base + POD + "/recommendation", timeout=10) as reply:
        return json.load(reply)


def timer(now: int) -> float:
    """The other garden: half open from five to eight, in the morning and in the evening."""
    return 0.5 if 5 <= now % 43200 / 3600 < 8 else 0.0


def water(base: str, days: float, seed: int, pause: float) -> None:
    """The loop."""
    answer = ask(base)
    now = int(str(answer["end"]))
    ours, theirs = Garden(seed, now), Garden(seed, now)
    us, them = Diary(), Diary()
    for decision in range(round(days * STEPS_PER_DAY / STEPS_PER_DECISION)):
        valve = VALVE[str(answer["action"])]
        readings: list[Reading] = []
        for _ in range(STEPS_PER_DECISION):
            opened = timer(now)
            readings.append(ours.step(valve))
            us.note(readings[-1], valve)
            them.note(theirs.step(opened), opened)
            now += STEP_SECONDS
        if pause or decision % 48 == 0:
            last = readings[-1]
            print(
                f"{time.strftime('%d %b %H:%M', time.gmtime(last.time))}  "
                f"{last.temperature:4.1f} degrees, moisture {last.moisture:4.1f}  "
                f"{answer['action']} ({answer['confidence']:.0%} sure)"
            )
        post(base, readings)
        time.sleep(pause)
        answer = ask(base)
    print(f"the pod:   {us}\nthe timer: {them}")


def main() -> None:
    """Read the arguments; say what is wrong in a sentence."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("base", nargs="?", default="http://127.0.0.1:8000")
    parser.add_argument("--days", type=float, default=7)
    parser.add_argument("--seed", type=int, default=99, help="of the weather")
    parser.add_argument("--pause", type=float, default=0, help="seconds between decisions")
    options = parser.parse_args()
    try:
        water(options.base.rstrip("/"), options.days, options.seed, options.pause)
    except urllib.error.HTTPError as error:
        sys.exit(f"the engine refused: {error.code} {error.read().decode(errors='replace')}")
    except OSError as error:
        sys.exit(f"the engine does not answer on {options.base}: {error}")
    except KeyboardInterrupt:
        sys.exit(130)


if __name__ == "__main__":
    main()
