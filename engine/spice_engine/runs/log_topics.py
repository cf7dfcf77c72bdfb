"""The topics `log/<run>`: how large a run's log is, told while it grows."""

from __future__ import annotations

import os
from collections.abc import Callable, Container
from pathlib import Path
from typing import Any

from spice_engine.errors import NotFound
from spice_engine.events import Topic
from spice_engine.runs.logs import LOG_NAME


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

    def topic(self, key: str) -> Topic:
        """The topic of a run's log.

        Raises:
            NotFound: there is no such run.
        """
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

    def _state(self, number: int) -> dict[str, Any]:
        try:
            size = os.stat(self._folder(number) / LOG_NAME).st_size  # noqa: PTH116 - one stat
        except OSError:
            size = 0
        return {"size": size, "ended": number not in self._active}
