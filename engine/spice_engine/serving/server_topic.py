"""The topic `servers`: every server by its name, told at most four times a second."""

from __future__ import annotations

import asyncio
import dataclasses
from typing import Any

from spice_engine.errors import NotFound
from spice_engine.events import Bus
from spice_engine.serving.servers import Servers

PAUSE_SECONDS = 0.25


class ServerTopic:
    """Follows the service of servers."""

    def __init__(self, servers: Servers, bus: Bus) -> None:
        self._servers = servers
        self._topic = bus.topic("servers", "state", self._snapshot)
        self._changed: set[str] = set()
        self._timer: asyncio.TimerHandle | None = None
        servers.on_change = self.changed

    @property
    def is_followed(self) -> bool:
        """Whether anybody looks."""
        return bool(self._topic.subscriptions)

    def changed(self, name: str) -> None:
        """A server is new, another, or gone."""
        if not self.is_followed:
            return
        self._changed.add(name)
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(PAUSE_SECONDS, self._tell)

    def close(self) -> None:
        """Tell nothing more."""
        if self._timer is not None:
            self._timer.cancel()

    def _tell(self) -> None:
        self._timer = None
        names, self._changed = self._changed, set()
        for name in sorted(names):
            try:
                self._topic.set(name, self._servers.info(name))
            except NotFound:
                self._topic.remove(name)

    def _snapshot(self) -> dict[str, Any]:
        return {
            name: dataclasses.asdict(self._servers.info(name)) for name in self._servers.names()
        }
