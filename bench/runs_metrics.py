"""A run that floods: a million metric points, and log lines for half a minute; nothing is lost.

    python bench/runs_metrics.py [--only NAME ...] [--points N] [--seconds S] [--json FILE]

Both on a fresh engine. Meanwhile other clients ask for the list of runs and for the run's series:
their times say how responsive the engine stays. What is lost is counted, not estimated.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent))

from engine import engine
from spice_engine.protocol.location import Location
from spice_tui.client import Client

Figures = dict[str, Any]

SENDS = """
import sys, time
from spice_runtime import send_metric
count = int(sys.argv[1])
begin = time.perf_counter()
for n in range(count // 2):
    send_metric("loss", 1 / (n + 1))
    send_metric("step", n, n)
print(count / (time.perf_counter() - begin), time.time())
"""
PRINTS = """
import sys, time
rate, seconds = int(sys.argv[1]), float(sys.argv[2])
begin = time.perf_counter()
line, count, block = "x" * 60, 0, rate // 50
while time.perf_counter() - begin < seconds:
    print("\\n".join(f"{n} {line}" for n in range(count, count + block)), flush=True)
    count += block
    ahead = count / rate - (time.perf_counter() - begin)
    if ahead > 0:
        time.sleep(ahead)
sys.stderr.write(f"end {count} {time.perf_counter() - begin}\\n")
"""


def main() -> int:
    """Take the figures and print them."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", nargs="*", choices=sorted(FIGURES), default=sorted(FIGURES))
    parser.add_argument("--points", type=int, default=1_000_000)
    parser.add_argument("--lines", type=int, default=100_000, help="a second")
    parser.add_argument("--seconds", type=float, default=30.0)
    parser.add_argument("--json", dest="file", default="")
    wanted = parser.parse_args()
    found: Figures = {
        "conditions": {
            "cores": len(os.sched_getaffinity(0)),
            "load": os.getloadavg()[0],
            "python": platform.python_version(),
        }
    }
    print(f"conditions: {json.dumps(found['conditions'])}")
    for name in wanted.only:
        found[name] = FIGURES[name](wanted)
        print(f"{name}: {json.dumps(found[name])}", flush=True)
    if wanted.file:
        Path(wanted.file).write_text(json.dumps(found, indent=2) + "\n")
    return 0


def metrics(wanted: argparse.Namespace) -> Figures:
    """A million points of one run: how fast they leave it, and when all are stored."""
    with engine() as location, Client(location) as client:
        begin = time.time()
        run = start(location, client, SENDS, str(wanted.points))
        with asked_meanwhile(location, run) as times:
            ended = until_over(client, run)
            known = time.time()
        rate, last_sent = map(float, log_of(client, run).split())
        series = client.call("runs.list_metrics", {"id": run})["series"]
        ours = [one for one in series if not one["name"].startswith("system/")]
        stored = sum(one["points"] for one in ours)
        whole = all(one["last_index"] == one["points"] - 1 for one in ours)
        return {
            "points": wanted.points,
            "lost": wanted.points - stored,
            "indexes_whole": whole,
            "sent_per_second": round(rate),
            "stored_per_second": round(wanted.points / (known - begin)),
            "seconds_from_last_sent_to_over": round(known - last_sent, 3),
            "outcome": ended["outcome"],
            **times,
        }


def logs(wanted: argparse.Namespace) -> Figures:
    """Log lines of one run at a steady rate, all of them in its log afterwards."""
    with engine() as location, Client(location) as client:
        run = start(location, client, PRINTS, str(wanted.lines), str(wanted.seconds))
        with asked_meanwhile(location, run) as times:
            ended = until_over(client, run)
        path = location.state / "runs" / str(run) / "logs.txt"
        count, last, seconds, printed, in_order = 0, -1, 0.0, 0, True
        with path.open() as file:
            for line in file:
                first, _, rest = line.partition(" ")
                if first == "end":
                    printed, seconds = int(rest.split()[0]), float(rest.split()[1])
                    continue
                in_order &= int(first) == last + 1
                last, count = int(first), count + 1
        return {
            "lines": printed,
            "lost": printed - count,
            "in_order": in_order,
            "lines_per_second": round(printed / seconds),
            "megabytes": round(path.stat().st_size / 1e6, 1),
            "outcome": ended["outcome"],
            **times,
        }


FIGURES: dict[str, Callable[[argparse.Namespace], Figures]] = {"metrics": metrics, "logs": logs}


def start(location: Location, client: Client, script: str, *arguments: str) -> int:
    """Start a script as a run; gives its number."""
    (location.root / "script.py").write_text(script)
    command = [sys.executable, "script.py", *arguments]
    return int(client.call("runs.start", {"command": command})["id"])


def until_over(client: Client, run: int) -> dict[str, Any]:
    """The run when it is over."""
    while True:
        found = client.call("runs.get", {"id": run})
        if found["ended"] is not None:
            return found
        time.sleep(0.02)


def log_of(client: Client, run: int) -> str:
    """A run's whole log."""
    return str(client.call("runs.log", {"id": run})["text"])


@contextmanager
def asked_meanwhile(location: Location, run: int) -> Iterator[Figures]:
    """Ask as `ps` and the view of metrics do, until the block ends; then the map has the times."""
    found: Figures = {}
    over = threading.Event()
    taken: dict[str, list[float]] = {"runs.list": [], "runs.read_metrics": []}

    def ask(operation: str, request: Figures, pause: float) -> None:
        with Client(location) as client:
            while not over.wait(pause):
                begin = time.perf_counter()
                client.call(operation, request)
                taken[operation].append(time.perf_counter() - begin)

    threads = [
        threading.Thread(target=ask, args=("runs.list", {}, 0.02)),
        threading.Thread(target=ask, args=("runs.read_metrics", {"id": run}, 1.0)),
    ]
    for thread in threads:
        thread.start()
    try:
        yield found
    finally:
        over.set()
        for thread in threads:
            thread.join()
        for operation, seconds in taken.items():
            name = "ps" if operation == "runs.list" else "series"
            if len(seconds) > 1:
                found[f"{name}_p50_ms"] = round(1000 * statistics.median(seconds), 1)
                p99 = sorted(seconds)[max(0, round(0.99 * len(seconds)) - 1)]
                found[f"{name}_p99_ms"] = round(1000 * p99, 1)
                found[f"{name}_calls"] = len(seconds)
        with Client(location) as client:
            status = client.call("engine.status")
        found["loop_lag_p99_ms"] = round(status["loop_lag"]["p99"], 1)
        found["loop_lag_max_ms"] = round(status["loop_lag"]["max"], 1)


if __name__ == "__main__":
    sys.exit(main())
