"""`metrics --follow`: points as they come, also those whose index is below one that was printed."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from typing import Any

from spice_engine.errors import EngineUnavailable
from spice_engine.protocol.run_states import UNDER_WAY
from spice_tui.cli import output
from spice_tui.cli.following import Patience
from spice_tui.cli.session import Session
from spice_tui.client import Client

PIECE = 10_000
LOOK_SECONDS = 0.5
LATE_SECONDS = 2.0
"""A point is stored within this time after it was sent."""

Point = list[Any]
"""Index, time, value."""
Print = Callable[[str, list[Point]], None]


class Reader:
    """Reads one series on and on."""

    def __init__(self, run: int, name: str) -> None:
        self._request: dict[str, Any] = {"id": run, "name": name, "limit": PIECE}
        self._last = (-(2**63), -math.inf)
        self._count = 0
        self._missing = 0
        self._recent: set[tuple[int, float]] = set()

    def next(self, client: Client) -> list[Point]:
        """The next points in order of their indexes; none when all were read."""
        found = columns(client.call("runs.metric_points", self._request))
        if found:
            index, at, _ = found[-1]
            self._last = (index, at)
            self._request |= {"after_index": index, "after_time": at}
            self._note(found)
        return found

    def late(self, client: Client, points: int, since: float) -> list[Point]:
        """Those sent after `since` that came below what was read by then. `points` is how many
        the series has since; what is missing though nothing was sent is not looked for again."""
        if points - self._count <= self._missing:
            return []
        found: list[Point] = []
        coming = 0
        request = {**self._request, "by_time": True, "after_time": since, "after_index": None}
        while piece := columns(client.call("runs.metric_points", request)):
            request |= {"after_index": piece[-1][0], "after_time": piece[-1][1]}
            coming += sum((index, at) > self._last for index, at, _ in piece)
            found += [
                point
                for point in piece
                if (point[0], point[1]) < self._last and (point[0], point[1]) not in self._recent
            ]
        self._note(found)
        self._missing = max(0, points - self._count - coming)
        return found

    def forget(self, before: float) -> None:
        """What was sent earlier is not asked for again."""
        self._recent = {key for key in self._recent if key[1] >= before}

    def _note(self, points: list[Point]) -> None:
        self._count += len(points)
        self._recent.update((index, at) for index, at, _ in points)


class Follower:
    """Prints what comes of a run's series, or of one."""

    def __init__(self, run: int, name: str, write: Print) -> None:
        self._run = run
        self._name = name
        self._write = write
        self._readers: dict[str, Reader] = {}
        self._since = time.time() - LATE_SECONDS

    def look(self, client: Client) -> bool:
        """Print what is new; whether there will be no more."""
        begun = time.time()
        ended = client.call("runs.get", {"id": self._run})["state"] not in UNDER_WAY
        for name in self._readers:
            self._read(client, name)
        for one in client.call("runs.list_metrics", {"id": self._run})["series"]:
            name = one["name"]
            if self._name not in {"", name}:
                continue
            if name not in self._readers:
                self._readers[name] = Reader(self._run, name)
                self._read(client, name)
            reader = self._readers[name]
            self._write(name, reader.late(client, one["points"], self._since))
            reader.forget(begun - LATE_SECONDS)
        self._since = begun - LATE_SECONDS
        output.flush()
        return ended

    def _read(self, client: Client, name: str) -> None:
        while piece := self._readers[name].next(client):
            self._write(name, piece)


def follow(session: Session, run: int, name: str, write: Print) -> None:
    """Print points as they come, until the run has ended and all is printed. The engine may be
    replaced meanwhile.

    Raises:
        SpiceError: there is no such run, or the engine stays away.
    """
    follower = Follower(run, name, write)
    patience = Patience()
    while True:
        try:
            with session.connect() as client:
                while not follower.look(client):
                    patience.renewed()
                    time.sleep(LOOK_SECONDS)
                return
        except EngineUnavailable:
            if patience.over:
                raise
        time.sleep(LOOK_SECONDS)


def columns(answer: dict[str, Any]) -> list[Point]:
    """The points of an answer."""
    parts = (answer["indexes"], answer["times"], answer["values"])
    return [list(point) for point in zip(*parts, strict=True)]
