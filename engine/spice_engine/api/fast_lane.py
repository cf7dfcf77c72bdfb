"""All connections of the public door that are not aiohttp's yet: made, watched, drained.

At an engine's restart they go to the process image that follows, with their unused bytes: a
client on a kept connection notices no more than a slower answer.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable

from spice_engine.api.answer_heads import AnswerHeads
from spice_engine.api.fast_connection import PERIOD, FastConnection
from spice_engine.api.fast_http import HeadReader
from spice_engine.api.handover import HandedOver
from spice_engine.api.metrics import HttpFigures
from spice_engine.api.security import Guard
from spice_engine.api.server_paths import ServerPaths
from spice_engine.serving.directory import Directory

FLUSH = 1.0
"""Seconds in which clients have to take the answers that are on their way at the end."""


class FastLane:
    """The connections of one door.

    `successor` makes the protocol of a connection that becomes aiohttp's; `next_id` gives a new
    request id; `keepalive` is how many seconds a connection may idle.
    """

    def __init__(
        self,
        directory: Directory,
        guard: Guard,
        figures: HttpFigures,
        *,
        successor: Callable[[], asyncio.Protocol],
        next_id: Callable[[], str],
        keepalive: float,
    ) -> None:
        self.directory = directory
        self.guard = guard
        self.reader = HeadReader(ServerPaths(directory.owner))
        self.heads = AnswerHeads(is_varied=guard.has_origins)
        self.observe = figures.observe
        self.successor = successor
        self.next_id = next_id
        self.keepalive = keepalive
        self.connections: set[FastConnection] = set()
        self.loop = asyncio.get_running_loop()
        self.tick = 0
        self.held = 0
        self.in_flight = 0
        self.closing = False
        self._ending: bool | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._waiter: asyncio.Future[None] | None = None

    def add(self, connection: FastConnection) -> None:
        """A connection begins."""
        self.connections.add(connection)
        if self._ending is not None:  # it was accepted just before the end
            connection.stop(withdraw=self._ending)
            return
        if self._timer is None:
            self.heads.refresh()
            self._timer = self.loop.call_later(PERIOD, self._look)

    def remove(self, connection: FastConnection) -> None:
        """A connection ended, or went to aiohttp."""
        self.connections.discard(connection)

    def leave(self) -> None:
        """A call is over."""
        self.in_flight -= 1
        waiter = self._waiter
        if waiter is not None and not self.in_flight and not waiter.done():
            waiter.set_result(None)

    def _look(self) -> None:
        self.tick += 1
        self.heads.refresh()
        for connection in list(self.connections):
            connection.look(self.tick)
        self._timer = self.loop.call_later(PERIOD, self._look) if self.connections else None

    # -- the end

    def stop(self, *, hand_over: bool) -> None:
        """Take no more requests. Idle connections close; with `hand_over` they wait for `take`,
        and calls that nobody has begun are left to the next process image."""
        self.closing = not hand_over
        self._ending = hand_over
        if self._timer is not None:
            self._timer.cancel()
        for connection in list(self.connections):
            connection.stop(withdraw=hand_over)

    async def drained(self) -> None:
        """Return when no call is under way."""
        if self.in_flight:
            self._waiter = self.loop.create_future()
            await self._waiter

    async def take(self) -> list[HandedOver]:
        """The connections that can go on in another process; the transports of all are closed."""
        deadline = self.loop.time() + FLUSH
        while any(it.transport.get_write_buffer_size() for it in self.connections):
            if self.loop.time() > deadline:
                break
            await asyncio.sleep(0.005)
        taken: list[HandedOver] = []
        for connection in list(self.connections):
            found = connection.take()
            if found is not None:
                taken.append(HandedOver(*found))
        self.cut()
        return taken

    def cut(self) -> None:
        """Close what is left."""
        for connection in list(self.connections):
            connection.transport.abort()

    async def take_up(self, handed: HandedOver) -> None:
        """Go on with a connection of an earlier process image; one that is broken is closed."""
        sock = socket.socket(fileno=handed.descriptor)
        sock.setblocking(False)
        try:
            _, connection = await self.loop.connect_accepted_socket(
                lambda: FastConnection(self), sock
            )
        except OSError:
            sock.close()
            return
        if handed.unused:
            connection.data_received(handed.unused)
