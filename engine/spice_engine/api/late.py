"""The public door, whose libraries are imported while the engine works already.

Its socket listens from the start: who comes before the door is there waits in the socket's
backlog, and is not refused.
"""

from __future__ import annotations

import asyncio
import gc
import importlib
import socket
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from spice_engine.api.handover import HandedOver, close
from spice_engine.api.listen import base_url

if TYPE_CHECKING:
    from spice_engine.api.http import HttpDoor

LIBRARIES = ("pydantic", "spice_engine.api.http")
"""In the order in which they are wanted: operations of the private door ask for the first."""


class LateDoor:
    """The public door on `sock`; `make` builds it when its libraries are there. `connections`
    are those of the process image before this one."""

    def __init__(
        self,
        sock: socket.socket,
        *,
        tls: bool,
        make: Callable[[], HttpDoor],
        connections: Sequence[HandedOver] = (),
    ) -> None:
        self.url = base_url(sock, tls=tls)
        self.sock = sock
        self._make = make
        self._connections = connections
        self._door: HttpDoor | None = None
        self._opening: asyncio.Task[None] | None = None

    def begin(self, failed: Callable[[], object]) -> None:
        """Open it beside. When that fails `failed` is called, and `close` raises why."""

        def done(task: asyncio.Task[None]) -> None:
            if task.cancelled() or task.exception() is not None:
                failed()

        self._opening = asyncio.create_task(self.open(), name="public door")
        self._opening.add_done_callback(done)

    async def open(self) -> None:
        """Import what it needs, in a thread, and serve.

        Raises:
            SpiceError: the settings do not allow it, such as a certificate that cannot be read.
        """
        for name in LIBRARIES:
            await asyncio.to_thread(importlib.import_module, name)
        door = self._make()
        await door.start(self.sock)
        self._door = door
        connections, self._connections = self._connections, ()
        await door.take_up(connections)
        # A full collection looks at every object, most of them of modules, and the loop stands a
        # tenth of a second meanwhile. What is there by now stays for good: it looks at it no more.
        gc.freeze()

    @property
    def requests(self) -> float:
        """How many requests came."""
        return self._door.metrics.http.requests if self._door is not None else 0

    @property
    def followed(self) -> bool:
        """Whether event sockets are open."""
        return self._door is not None and bool(self._door.events.sockets)

    async def close(self, grace: float, *, keep_socket: bool) -> Sequence[HandedOver]:
        """As `HttpDoor.close`.

        Raises:
            SpiceError: what kept it from opening.
        """
        handed = self._connections
        try:
            if self._opening is not None:
                await self._opening
        finally:
            if self._door is not None:
                handed = await self._door.close(grace, keep_socket=keep_socket)
            elif not keep_socket:
                self.sock.close()
                close(handed)
        return handed
