"""The topics `log/<run>`, `log/<run>/<rank>`, `log/server/<name>/<replica>`: how large a log is."""

from __future__ import annotations

import asyncio
import os
import re
from collections.abc import Callable, Container
from pathlib import Path
from typing import Any

from spice_engine.errors import NotFound
from spice_engine.events import Topic
from spice_engine.runs.logs import LOG_NAME
from spice_runtime.process import EXIT

_RANK = re.compile(r"[0-9]{1,18}/[0-9]{1,4}", re.ASCII)
"""A run and one of its ranks."""

LOOK_SECONDS = 0.25
"""How often logs are looked at that nobody tells the growth of, while they are followed."""


class LogTopics:
    """Makes a topic when it is asked for and forgets it when nobody follows it any more.

    `known` and `active` hold the numbers of runs the engine has in mind, and of those that are
    not over; `folder` gives a run's folder.
    """

    def __init__(
        self, known: Container[int], active: Container[int], folder: Callable[[int], Path]
    ) -> None:
        self._known = known
        self._active = active
        self._folder = folder
        self._topics: dict[int, Topic] = {}
        self._others: dict[str, Topic] = {}
        self._path: Callable[[str], Path] | None = None
        self._looking: asyncio.Task[None] | None = None

    def follow_also(self, path: Callable[[str], Path]) -> None:
        """Have topics of all logs `path` knows the place of, which raises NotFound for others."""
        self._path = path

    def topic(self, key: str) -> Topic:
        """The topic of a log.

        Raises:
            NotFound: there is no such run, or other log.
        """
        if self._path is not None and (key == "engine" or key.startswith(("child/", "server/"))):
            return self._other(key, self._path(key))
        if self._path is not None and _RANK.fullmatch(key):
            return self._other(key, self._path(f"run/{key}"))
        number = int(key) if key.isascii() and key.isdecimal() and len(key) < 19 else -1
        if number not in self._known and not self._folder(number).is_dir():
            raise NotFound(f"there is no run {key}.", hint="`spice-tui ps` lists the runs.")
        topic = self._topics.get(number)
        if topic is None:
            for idle in [n for n, t in self._topics.items() if not t.subscriptions]:
                del self._topics[idle]
            topic = Topic(f"log/{number}", "gauge", lambda: self._state(number))
            self._topics[number] = topic
        return topic

    def changed(self, number: int) -> None:
        """The log grew, or its run ended."""
        topic = self._topics.get(number)
        if topic is not None and topic.subscriptions:
            topic.publish(self._state(number))

    def close(self) -> None:
        """Look at nothing any more."""
        if self._looking is not None:
            self._looking.cancel()

    def _state(self, number: int) -> dict[str, Any]:
        return {
            "size": _size(self._folder(number) / LOG_NAME),
            "ended": number not in self._active,
        }

    def _other(self, key: str, path: Path) -> Topic:
        topic = self._others.get(key)
        if topic is None:
            over = path.with_name(EXIT) if key.startswith("server/") else None
            if _RANK.fullmatch(key):
                over = self._folder(int(key.partition("/")[0])) / EXIT
            topic = Topic(
                f"log/{key}",
                "gauge",
                lambda: {"size": _size(path), "ended": over is not None and over.exists()},
            )
            self._others[key] = topic
        if self._looking is None or self._looking.done():
            self._looking = asyncio.create_task(self._look(), name="sizes of logs")
        return topic

    async def _look(self) -> None:
        """Tell the sizes of the other logs that changed, as long as one is followed."""
        told: dict[str, Any] = {}
        while True:
            await asyncio.sleep(LOOK_SECONDS)
            self._others = {key: t for key, t in self._others.items() if t.subscriptions}
            if not self._others:
                return
            for key, topic in self._others.items():
                state = topic.snapshot()
                if told.get(key) != state:
                    told[key] = state
                    topic.publish(state)


def _size(path: Path) -> int:
    try:
        return os.stat(path).st_size  # noqa: PTH116 - one stat
    except OSError:
        return 0
