"""What keeps the machine busy in the serving bench: a pod that trains, a large file that loads."""

from __future__ import annotations

import time
import urllib.request
from collections.abc import Callable

from serving_world import World


def write_data(there: World) -> None:
    """A pod that trains for long, and one whose file has 2 million rows."""
    root = there.location.root
    (root / "data").mkdir(exist_ok=True)
    with (root / "data" / "big.csv").open("w") as file:
        file.write("time,value\n")
        file.writelines(f"{1_600_000_000 + 10 * k},{k % 97}\n" for k in range(2_000_000))
    (root / "data" / "small.csv").write_text(
        "time,value\n" + "".join(f"{1_600_000_000 + 10 * k},{k % 7}\n" for k in range(3_000))
    )


MANIFEST = """
name: {name}
params:
  epoch_time: 1600000000
  period: {period}
  interval: 10s
  granularity: 10s
dataspaces:
  - from: bench
    name: {name}
    measurements:
      - name: value
    data:
      connector: {{name: file, params: {{path: data/{file}}}}}
      processor: {{name: csv}}
actions:
  - name: up
  - name: down
training:
  rewards:
    - reward: up
      with: reward = next_state.bench_{name}_value - current_state.bench_{name}_value
    - reward: down
      with: reward = current_state.bench_{name}_value - next_state.bench_{name}_value
"""


def start_work(there: World) -> Callable[[], None]:
    """Train one pod over and over, and load the large file anew, until the end is called."""
    root = there.location.root
    pods = root / "spicepods"
    pods.mkdir(exist_ok=True)
    large = MANIFEST.format(name="large", period="5555h", file="big.csv")
    (pods / "large.yaml").write_text(f"# {time.time()}\n{large}")
    small = MANIFEST.format(name="small", period="8h", file="small.csv")
    (pods / "small.yaml").write_text(small)
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        try:
            there.call("pods.train", {"pod": "small", "episodes": 100_000})
            break
        except Exception:  # noqa: BLE001 - the manifest is being read
            time.sleep(0.1)

    def end() -> None:
        (pods / "large.yaml").unlink()
        (pods / "small.yaml").unlink()
        time.sleep(2)

    return end


def lag_buckets(there: World) -> dict[float, float]:
    found: dict[float, float] = {}
    with urllib.request.urlopen(f"{there.http}/metrics") as answer:
        for line in answer.read().decode().splitlines():
            if "loop_lag" in line and "_bucket{" in line:
                bound = line.split('le="')[1].split('"')[0]
                found[float(bound.replace("+Inf", "inf"))] = float(line.rsplit(" ", 1)[1])
    return found


def lag_p99(before: dict[float, float], after: dict[float, float]) -> float:
    grown = {bound: after[bound] - before.get(bound, 0) for bound in sorted(after)}
    total = max(grown.values(), default=0)
    return next((1000 * b for b, n in grown.items() if total and n >= 0.99 * total), 0.0)
