"""Record CPU and memory of a real service under a scripted, changing load.

    python record.py --seed 7 --out data/metrics.csv

A child process plays the service: it burns CPU and holds memory as a seeded script of one
day tells it (night, office hours, evening, hourly jobs, a backup, random bursts). Once a
second this program *measures* what that process really used and appends one row:

    time    seconds since 1970, UTC; the axis is stretched (see --stretch)
    cpu     per cent of one core used since the previous sample
    memory  resident memory, per cent of a 512 MiB budget

2,880 samples at 1 s take 48 minutes. Written with a stretch of 30 they cover one day, so a
pod can learn the rhythm of a day from less than an hour of recording. Needs `psutil`.
"""

from __future__ import annotations

import argparse
import csv
import math
import multiprocessing
import random
import time
from dataclasses import dataclass
from pathlib import Path

import psutil

BUDGET_BYTES = 512 * 2**20
SLOT_SECONDS = 0.1


@dataclass(frozen=True)
class Demand:
    """What the script asks of the service during one sample: shares in [0, 1]."""

    cpu: float
    memory: float


def day_script(samples: int, seed: int) -> list[Demand]:
    """The day's demand, one entry per sample; the same seed gives the same day."""
    rng = random.Random(seed)
    cpu = [0.0] * samples
    memory = [0.0] * samples
    per_hour = samples / 24
    for i in range(samples):
        hour = i / per_hour
        office = 0.34 / (1 + math.exp(-(hour - 8.2) * 2.4)) / (1 + math.exp((hour - 17.6) * 2.0))
        lunch = -0.14 * math.exp(-(((hour - 12.5) / 0.5) ** 2))
        evening = 0.26 * math.exp(-(((hour - 20.6) / 1.5) ** 2))
        cpu[i] = 0.07 + office + lunch + evening
        memory[i] = 0.22 + 0.9 * (office + 0.6 * evening)

    def add(start: int, length: int, cpu_share: float, memory_share: float) -> None:
        """One job: ramps up over a fifth of its length, and down the same way."""
        ramp = max(length // 5, 1)
        for k in range(length):
            if 0 <= start + k < samples:
                shape = min(1.0, (k + 1) / ramp, (length - k) / ramp)
                cpu[start + k] += cpu_share * shape
                memory[start + k] += memory_share * shape

    for hour in range(24):
        add(round(hour * per_hour), rng.randint(12, 24), rng.uniform(0.18, 0.32), 0.08)
    add(round(2.5 * per_hour), round(per_hour), 0.55, 0.30)
    for _ in range(round(samples / 60)):
        add(rng.randrange(samples), rng.randint(6, 30), rng.uniform(0.1, 0.4), rng.uniform(0, 0.15))
    drift = 0.0
    script: list[Demand] = []
    for i in range(samples):
        drift = 0.95 * drift + rng.gauss(0, 0.008)
        script.append(Demand(min(max(cpu[i] + drift, 0.02), 0.95), min(max(memory[i], 0.1), 0.9)))
    return script


def serve_demand(script: list[Demand], interval: float) -> None:
    """The service: uses what the script asks, sample after sample, then leaves."""
    base = psutil.Process().memory_info().rss
    held: list[bytearray] = []
    block = 2**20
    start = time.monotonic()
    for i, demand in enumerate(script):
        wanted = max(0, int((demand.memory * BUDGET_BYTES - base) // block))
        while len(held) < wanted:
            held.append(bytearray(b"\x01") * block)
        del held[wanted:]
        end = start + (i + 1) * interval
        while (now := time.monotonic()) < end:
            slot_end = min(now + SLOT_SECONDS, end)
            burn_until = time.process_time() + demand.cpu * (slot_end - now)
            while time.process_time() < burn_until and time.monotonic() < slot_end:
                math.sqrt(12345.678)
            time.sleep(max(0.0, slot_end - time.monotonic()))


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--samples", type=int, default=2880)
    parser.add_argument("--interval", type=float, default=1.0, help="seconds between samples")
    parser.add_argument("--stretch", type=int, default=30, help="factor of the time axis")
    parser.add_argument("--start", type=int, default=1767225600, help="time of the first row")
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--out", type=Path, default=Path("data/metrics.csv"))
    options = parser.parse_args()

    script = day_script(options.samples, options.seed)
    service = multiprocessing.get_context("spawn").Process(
        target=serve_demand, args=(script, options.interval), daemon=True
    )
    service.start()
    watched = psutil.Process(service.pid)
    options.out.parent.mkdir(parents=True, exist_ok=True)
    with options.out.open("w", newline="", encoding="utf-8") as out:
        writer = csv.writer(out)
        writer.writerow(["time", "cpu", "memory"])
        watched.cpu_percent(None)
        begin = time.monotonic()
        for i in range(options.samples):
            time.sleep(max(0.0, begin + (i + 1) * options.interval - time.monotonic()))
            try:
                cpu = watched.cpu_percent(None)
                memory = 100 * watched.memory_info().rss / BUDGET_BYTES
            except psutil.NoSuchProcess:
                break
            stamp = options.start + round(i * options.interval * options.stretch)
            writer.writerow([stamp, f"{cpu:.2f}", f"{memory:.2f}"])
            out.flush()
    service.join(timeout=5)


if __name__ == "__main__":
    main()
