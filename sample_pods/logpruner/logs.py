"""A made-up server that writes logs until its disk is full: events for the pod `logpruner`.

    python logs.py --seed 1 --out data/events.json

A day has a quiet night and busy office hours. Now and then somebody deploys; a bad deploy brings
warnings, then errors, then an incident, which is announced like that an event or two before it
begins. Logs grow with the traffic, and much faster during an incident. In the recording they are
pruned by hand when somebody happens to look.

A JSON array of events, one every quarter of an hour:

    time      seconds since 1970, UTC
    id        of the event
    host      the server that was looked at
    level     the worst level in this quarter: info, warning or error
    service   who wrote most: web, queue or cron
    requests  handled in a second
    disk      per cent of the logs' disk in use
    _tags     deploy, incident, backup: what went on

Standard library only; a seed always gives one series.
"""

from __future__ import annotations

import argparse
import json
import math
import random
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

STEP_SECONDS = 900


@dataclass(frozen=True)
class Event:
    """What is known of one quarter of an hour."""

    time: int
    id: str
    host: str
    level: str
    service: str
    requests: float
    disk: float
    tags: list[str] = field(default_factory=list[str])

    def as_dict(self) -> dict[str, Any]:
        """As it stands in the file."""
        values = dict(vars(self))
        values["_tags"] = values.pop("tags")
        return values


class Server:
    """Steps through time, a quarter of an hour a step."""

    def __init__(self, seed: int, start: int = 1756684800) -> None:
        self._rng = random.Random(seed)
        self._start = start
        self._number = 0
        self._disk = self._rng.uniform(20, 50)
        self._trouble = 0
        """Steps since a bad deploy; 0 while all is well."""
        self._incident = 0
        """Steps that the incident will last."""

    def free(self, share: float) -> None:
        """Free so large a share of what the logs take."""
        self._disk *= 1 - share

    def step(self) -> Event:
        """The next quarter of an hour."""
        rng, number = self._rng, self._number
        time = self._start + number * STEP_SECONDS
        hour = time % 86400 / 3600
        tags: list[str] = []
        office = 1 / (1 + math.exp(-(hour - 7.5) * 1.5)) / (1 + math.exp((hour - 18) * 1.2))
        requests = (15 + 85 * office) * math.exp(rng.gauss(0, 0.12))
        if 2 <= hour < 3:
            tags.append("backup")
        if 8 <= hour < 17 and rng.random() < 0.06:
            tags.append("deploy")
            if self._trouble == 0 and rng.random() < 0.4:
                self._trouble = 1
        level = rng.choices(("info", "warning", "error"), (0.85, 0.13, 0.02))[0]
        if self._incident:
            tags.append("incident")
            level = "error" if rng.random() < 0.9 else "warning"
            self._incident -= 1
            self._trouble = self._trouble if self._incident else 0
        elif self._trouble:
            # Warnings first, errors right before the incident.
            level = "warning" if self._trouble < 3 else "error"
            self._trouble += 1
            if self._trouble > 4:
                self._incident = rng.randint(4, 16)
        growth = 0.1 + 0.006 * requests + (2.0 if "incident" in tags else 0.0)
        self._disk = min(self._disk + growth * math.exp(rng.gauss(0, 0.3)), 100.0)
        worst = {"backup": "cron", "incident": "queue"}
        service = next((worst[tag] for tag in tags if tag in worst), "web")
        if rng.random() < 0.15:
            service = rng.choice(("web", "queue", "cron"))
        event = Event(
            time=time,
            id=f"q{number:05}",
            host="logs-1",
            level=level,
            service=service,
            requests=round(requests, 1),
            disk=round(self._disk, 2),
            tags=tags,
        )
        self._number += 1
        return event


def main() -> None:
    """Write a file of events."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--rows", type=int, default=1344, help="events; 1344 are 14 days")
    parser.add_argument("--start", type=int, default=1756684800, help="time of the first event")
    parser.add_argument("--out", type=Path, default=Path("data/events.json"))
    options = parser.parse_args()
    server = Server(options.seed, options.start)
    somebody = random.Random(options.seed)
    lines: list[str] = []
    for _ in range(options.rows):
        event = server.step()
        lines.append(json.dumps(event.as_dict()))
        # The fuller the disk, the sooner somebody looks; a full one is noticed at once.
        if somebody.random() < (event.disk / 100) ** 6 / 4:
            server.free(0.7)
    options.out.parent.mkdir(parents=True, exist_ok=True)
    options.out.write_text("[\n" + ",\n".join(lines) + "\n]\n", encoding="utf-8")


if __name__ == "__main__":
    main()
