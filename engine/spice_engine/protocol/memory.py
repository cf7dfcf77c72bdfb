"""An in-memory pair of transports: a client and a door in one process, without a socket.

It keeps what matters of a real connection: bytes arrive in order and later (never during
`write`), both sides have a bounded buffer with flow control, and closing is seen by the peer.
"""

from __future__ import annotations

import asyncio
from collections import deque
from typing import Any

HIGH_WATER = 64 * 1024


class MemoryTransport(asyncio.Transport):
    """One end; `write` delivers to the peer's protocol on a later turn of the loop."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__()
        self._loop = loop
        self._protocol: asyncio.Protocol | None = None
        self._peer: MemoryTransport | None = None
        self._chunks: deque[bytes] = deque()
        self._size = 0
        self._high = HIGH_WATER
        self._writing_paused = False
        self._reading = True
        self._closing = False
        self._scheduled = False

    def attach(self, protocol: asyncio.Protocol, peer: MemoryTransport) -> None:
        """Tie this end to its protocol and to the other end, and say the connection is made."""
        self._protocol, self._peer = protocol, peer
        protocol.connection_made(self)

    def write(self, data: bytes | bytearray | memoryview[Any]) -> None:
        if self._closing or not data:
            return
        self._chunks.append(bytes(data))
        self._size += len(data)
        if self._size > self._high and not self._writing_paused and self._protocol:
            self._writing_paused = True
            self._protocol.pause_writing()
        self._schedule()

    def _schedule(self) -> None:
        if not self._scheduled:
            self._scheduled = True
            self._loop.call_soon(self._deliver)

    def _deliver(self) -> None:
        self._scheduled = False
        peer = self._peer
        if peer is None:
            return
        if peer._protocol is None:  # hung up: what was not delivered is gone, as with a socket
            self._chunks.clear()
            self._size = 0
            self._closing = True
            self._lose()
            return
        while self._chunks and peer._reading and not peer._closing:
            chunk = self._chunks.popleft()
            self._size -= len(chunk)
            peer._protocol.data_received(chunk)
        if self._writing_paused and self._size <= self._high // 4 and self._protocol:
            self._writing_paused = False
            self._protocol.resume_writing()
        if self._closing and not self._chunks:
            self._lose()
            peer.close()

    def _lose(self) -> None:
        protocol, self._protocol = self._protocol, None
        if protocol is not None:
            protocol.connection_lost(None)

    def close(self) -> None:
        self._closing = True
        self._schedule()

    def abort(self) -> None:
        self._chunks.clear()
        self._size = 0
        self.close()

    def is_closing(self) -> bool:
        return self._closing

    def pause_reading(self) -> None:
        self._reading = False

    def resume_reading(self) -> None:
        self._reading = True
        if self._peer is not None:
            self._peer._schedule()

    def is_reading(self) -> bool:
        return self._reading

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        self._high = HIGH_WATER if high is None else high

    def get_write_buffer_size(self) -> int:
        return self._size

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        return default


def connect(first: asyncio.Protocol, second: asyncio.Protocol) -> None:
    """Connect two protocols on the running loop; both get `connection_made` at once."""
    loop = asyncio.get_running_loop()
    one, two = MemoryTransport(loop), MemoryTransport(loop)
    one.attach(first, two)
    two.attach(second, one)
