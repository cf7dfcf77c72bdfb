"""Metrics of a replica of several processes: asked of each, put together."""

from __future__ import annotations

import itertools
import json
from typing import Any

_WAIT_SECONDS = 1.0
_numbers = itertools.count(1)


class Gathering:
    """One question for metrics, until each worker answered, went away, or took too long."""

    def __init__(self, asker: Any, ident: int, workers: list[Any], now: float) -> None:
        self.asker = asker
        self.ident = ident
        self.number = next(_numbers)
        self._waiting = list(workers)
        self._until = now + _WAIT_SECONDS
        self._parts: list[dict[str, Any]] = []

    def add(self, worker: Any, body: bytes) -> None:
        """A worker's answer."""
        self.forget(worker)
        self._parts.append(json.loads(body))

    def forget(self, worker: Any) -> None:
        """This one is waited for no more."""
        if worker in self._waiting:
            self._waiting.remove(worker)

    def is_over(self, now: float) -> bool:
        """Whether there is nothing more to wait for."""
        return not self._waiting or now > self._until

    def merged(self, text: str, values: list[list[Any]]) -> dict[str, Any]:
        """One answer: families of one name stand together, values as they came."""
        families: dict[str, list[str]] = {}
        for part in [text, *(str(each["prometheus"]) for each in self._parts)]:
            _sort_in(families, part)
        for each in self._parts:
            values = values + list(each["values"])
        lines = [line for family in families.values() for line in family]
        return {"prometheus": "".join(line + "\n" for line in lines), "values": values}


def _sort_in(families: dict[str, list[str]], text: str) -> None:
    family = families.setdefault("", [])
    for line in text.split("\n")[:-1]:  # labels may hold other ends of lines
        if line.startswith("# "):
            family = families.setdefault(line.split(" ", 3)[2], [])
            if line in family:
                continue
        family.append(line)
