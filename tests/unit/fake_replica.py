"""A replica in the test's own process that speaks real frames over real Unix sockets.

What it does with each call is the test's: `handler` gets the frame and gives the answer's bytes,
or None to keep the call for later (`answer`). `die` breaks connections as a killed process would,
with the page of started calls as the test set it.
"""

from __future__ import annotations

import asyncio
import json
import struct
import tempfile
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from spice_engine.protocol.servers import Batching, Door
from spice_engine.serving.calls import Call
from spice_engine.serving.figures import Figures
from spice_engine.serving.link import ReplicaLink
from spice_engine.serving.router import Router
from spice_runtime import wire


@dataclass(frozen=True, slots=True)
class Frame:
    kind: int
    ident: int
    codec: int
    number: int
    status: int
    head: bytes
    body: bytes
    lane: int = 0

    @property
    def calls(self) -> list[Frame]:
        """The calls of a BATCH."""
        frames, _ = frames_of(self.body, self.lane)
        return frames


def frames_of(data: bytes, lane: int = 0) -> tuple[list[Frame], bytes]:
    """All whole frames, and the rest."""
    found: list[Frame] = []
    while len(data) >= wire.HEADER.size:
        length, kind, codec, head, status, _, number, ident = wire.HEADER.unpack_from(data)
        stop = wire.HEADER.size + length
        if len(data) < stop:
            break
        payload = data[wire.HEADER.size : stop]
        found.append(
            Frame(kind, ident, codec, number, status, payload[:head], payload[head:], lane)
        )
        data = data[stop:]
    return found, data


def echo(frame: Frame, micros: int = 10) -> bytes:
    """The body back, for a call or for each of a batch."""
    calls = frame.calls if frame.kind == wire.BATCH else [frame]
    return b"".join(
        wire.frame(wire.ANSWER, call.ident, call.body, status=200, number=micros) for call in calls
    )


class _LaneServer(asyncio.Protocol):
    def __init__(self, replica: FakeReplica) -> None:
        self.replica = replica
        self.rest = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)
        replica = self.replica
        self.slot = next(n for n in range(512) if n not in replica.open)
        replica.open[self.slot] = self
        pid = replica.pids[self.slot] if self.slot < len(replica.pids) else 1000
        hello = {"pid": pid, "lane": self.slot, "concurrency": replica.concurrency}
        self.transport.write(wire.frame(wire.HELLO, 0, json.dumps(hello).encode()))

    def connection_lost(self, exc: Exception | None) -> None:
        if self.replica.open.get(self.slot) is self:
            del self.replica.open[self.slot]

    def data_received(self, data: bytes) -> None:
        frames, self.rest = frames_of(self.rest + data, self.slot)
        out = b""
        for frame in frames:
            self.replica.received.append(frame)
            answer = self.replica.handler(frame)
            if answer is not None:
                out += answer
        if out:
            self.transport.write(out)


class _ControlServer(asyncio.Protocol):
    def __init__(self, replica: FakeReplica) -> None:
        self.replica = replica
        self.rest = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)
        self.replica.controls.append(self)
        self.transport.write(wire.frame(wire.HELLO, 0, self.replica.state_bytes()))

    def data_received(self, data: bytes) -> None:
        frames, self.rest = frames_of(self.rest + data)
        for frame in frames:
            self.replica.told.append(frame)
            if frame.kind == wire.HEALTH and self.replica.healthy:
                self.transport.write(
                    wire.frame(wire.ANSWER, frame.ident, b'{"status":"ok"}', status=200)
                )
            elif frame.kind == wire.METRICS:
                self.transport.write(
                    wire.frame(wire.ANSWER, frame.ident, b'{"values": []}', status=200)
                )


class FakeReplica:
    def __init__(self, *, lanes: int = 1, concurrency: int = 1, batch: bool = False) -> None:
        # Unix socket paths are short; pytest's own folders are not.
        self._folder = tempfile.TemporaryDirectory(prefix="sp")
        self.folder = Path(self._folder.name)
        self.concurrency = concurrency
        self.lanes = lanes
        self.state: dict[str, Any] = {
            "state": "ready",
            "predictor": {"lanes": lanes, "batch": batch},
        }
        self.pids: list[int] = []
        self.handler: Callable[[Frame], bytes | None] = echo
        self.healthy = True
        self.received: list[Frame] = []
        self.told: list[Frame] = []
        self.open: dict[int, _LaneServer] = {}
        self.controls: list[_ControlServer] = []
        self.page = self.folder / "started"
        self.page.write_bytes(bytes(4096))

    def state_bytes(self) -> bytes:
        return json.dumps(self.state).encode()

    def tell(self, **state: Any) -> None:
        """A new STATE on control."""
        self.state = {**self.state, **state}
        for control in self.controls:
            control.transport.write(wire.frame(wire.STATE, 0, self.state_bytes()))

    async def start(self) -> FakeReplica:
        loop = asyncio.get_running_loop()
        self._servers = [
            await loop.create_unix_server(lambda: _ControlServer(self), str(self.folder / "c")),
            await loop.create_unix_server(lambda: _LaneServer(self), str(self.folder / "l")),
        ]
        return self

    def link(self, name: str = "1") -> ReplicaLink:
        return ReplicaLink(self.folder / "c", self.folder / "l", self.page, name=name)

    def started(self, ident: int, slot: int = 0) -> None:
        """The worker of that lane writes that it begins a call."""
        with self.page.open("r+b") as file:
            file.seek(slot * 8)
            file.write(struct.pack("<Q", ident))

    def answer(
        self, frame: Frame, body: bytes = b"", *, status: int = 200, micros: int = 9
    ) -> None:
        self.open[frame.lane].transport.write(
            wire.frame(wire.ANSWER, frame.ident, body, status=status, number=micros)
        )

    def send(self, slot: int, data: bytes) -> None:
        self.open[slot].transport.write(data)

    def lose_lane(self, slot: int) -> None:
        """One worker dies; the next connection to the lane socket finds its successor."""
        self.open.pop(slot).transport.abort()

    async def die(self) -> None:
        """The whole process dies."""
        for server in self._servers:
            server.close()
        for name in "cl":
            with suppress(FileNotFoundError):
                (self.folder / name).unlink()
        for lane in list(self.open.values()):
            lane.transport.abort()
        for control in self.controls:
            control.transport.abort()
        await asyncio.sleep(0)

    async def close(self) -> None:
        await self.die()
        self._folder.cleanup()


class Recorded(Call):
    """A call that keeps what it was answered."""

    __slots__ = ("answered", "chunks", "status", "text", "told", "trouble")

    def __init__(self, body: bytes = b"{}", *, within: float = 30.0, head: bytes = b"") -> None:
        now = now_()
        super().__init__(body, arrived=now, deadline=now + within, head=head)
        self.answered = asyncio.Event()
        self.status = 0
        self.text = b""
        self.told = b""
        self.chunks: list[bytes] = []
        self.trouble: str | None = None

    def answer(self, status: int, codec: int, head: bytes, body: bytes) -> None:
        assert not self.status, "answered twice"
        self.status, self.told, self.text = status, head, body
        self.answered.set()

    def stream(self, status: int, codec: int, head: bytes) -> None:
        assert not self.status, "answered twice"
        self.status, self.told = status, head

    def chunk(self, data: bytes) -> None:
        self.chunks.append(data)

    def end(self, trouble: str) -> None:
        assert self.trouble is None, "ended twice"
        self.trouble = trouble
        self.answered.set()

    async def wait(self, within: float = 10.0) -> int:
        async with asyncio.timeout(within):
            await self.answered.wait()
        return self.status


def now_() -> float:
    import time

    return time.monotonic()


async def until(condition: Callable[[], object], within: float = 10.0) -> None:
    """Wait until something is so."""
    async with asyncio.timeout(within):
        while not condition():  # noqa: ASYNC110 - the test looks from outside
            await asyncio.sleep(0.002)


class World:
    """A router with fake replicas; closes all of them."""

    def __init__(
        self, *, batching: Batching | None = None, hold: bool = False, **door: Any
    ) -> None:
        self.figures = Figures()
        self.hung: list[ReplicaLink] = []
        self.router = Router(
            Door(**door),
            batching or Batching(),
            self.figures,
            asyncio.get_running_loop(),
            hold=hold,
            on_hung=self.hung.append,
        )
        self.replicas: list[FakeReplica] = []
        self.links: list[ReplicaLink] = []

    async def add(
        self, handler: Callable[[Frame], bytes | None] = echo, **options: Any
    ) -> FakeReplica:
        """One more replica, ready and attached."""
        replica = await FakeReplica(**options).start()
        replica.handler = handler
        self.replicas.append(replica)
        link = replica.link(str(len(self.replicas)))
        self.links.append(link)
        await link.connect()
        await link.loaded(5)
        await self.router.attach(link)
        return replica

    def call(self, body: bytes = b"{}", **options: Any) -> Recorded:
        call = Recorded(body, **options)
        self.router.submit(call)
        return call

    async def __aenter__(self) -> World:
        return self

    async def __aexit__(self, *_: object) -> None:
        self.router.close()
        for link in self.links:
            await link.close()
        for replica in self.replicas:
            await replica.close()


def keep(_: Frame) -> bytes | None:
    """A handler that answers nothing by itself."""
    return None
