"""What the tests of live feeds share: manifests of one dataspace, and all that feeds work with."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from aiohttp import web
from aiohttp.test_utils import TestServer

from spice_engine.errors import Place
from spice_engine.pods.feed_link import FeedStatus, Pace
from spice_engine.pods.feeds import Feeds
from spice_engine.pods.model import (
    Action,
    Dataspace,
    Feed,
    Manifest,
    Measurement,
    Params,
    Part,
    Training,
)
from spice_engine.pods.observations import Limits, ObservationStore
from spice_engine.workers.pool import ChildPool
from tests.unit.small_ingest import SmallIngest, rows_of

POD = "pod"
QUICK = Pace(first=0.01, longest=0.05, batch=0.02)


def manifest(
    connector: str,
    params: Mapping[str, str],
    processor: str = "csv",
    *,
    line: int = 3,
    seed: bool = False,
    **times: Any,
) -> Manifest:
    """A pod whose only dataspace `home/room` has this feed; `line` is where it stands."""
    place = Place("pod.yaml", line, 1, line, 9)
    part = Part(connector, dict(params), place, dict.fromkeys(params, place))
    feed = Feed(part, Part(processor, {}, place), place)
    pushed = Feed(None, Part("csv", {}, place), place)
    space = Dataspace(
        "home",
        "room",
        pushed if seed else feed,
        (Measurement("value", "value", 0.0, "previous", place),),
        place,
        seed_data=feed if seed else None,
    )
    return Manifest(
        POD, "pod.yaml", Params(**times), (space,), (Action("wait", place),), Training()
    )


@dataclass
class World:
    """Feeds with a store and a fetcher; `changes` counts how often the status had news."""

    feeds: Feeds
    store: ObservationStore
    ingest: SmallIngest
    folder: Path
    changes: list[str]

    @property
    def status(self) -> FeedStatus:
        """That of the one feed there is."""
        (status,) = self.feeds.status(POD)
        return status

    async def rows(self) -> list[tuple[int, float]]:
        """All rows that were ever kept."""
        return [(time, value) for _, time, value in rows_of(await self.store.files(POD))]

    async def until(self, condition: Callable[[], object], seconds: float = 20.0) -> None:
        """Waits; a wait in vain says what the feed said."""
        try:
            async with asyncio.timeout(seconds):
                while not condition():  # noqa: ASYNC110 - servers and children have no event
                    await asyncio.sleep(0.01)
        except TimeoutError:
            raise AssertionError(f"waited in vain: {self.feeds.status(POD)}") from None


@asynccontextmanager
async def world(folder: Path, **limits: int) -> AsyncIterator[World]:
    """All of it, with one real fetcher."""
    fetchers = ChildPool("fetcher", "spice_engine.data.fetcher", 1, folder=folder / "logs")
    ingest = SmallIngest()
    store = ObservationStore(folder / "observations", ingest, Limits(**limits))
    await store.open(str)
    spool = folder / "spool"
    spool.mkdir()
    changes: list[str] = []
    feeds = Feeds(store, fetchers, spool, pace=QUICK, on_status=changes.append)
    try:
        yield World(feeds, store, ingest, spool, changes)
    finally:
        await feeds.close()
        await store.close()
        await fetchers.close()
    assert not feeds.active
    names = {task.get_name() for task in asyncio.all_tasks()}
    assert not any(name.startswith("feed ") for name in names)


@asynccontextmanager
async def serving(
    handler: Callable[[web.Request], Any], path: str = "/data", tls: ssl.SSLContext | None = None
) -> AsyncIterator[str]:
    """A real server in this process; its address."""
    app = web.Application()
    app.router.add_route("*", path, handler)
    server = TestServer(app, scheme="https" if tls else "http")
    await server.start_server(ssl=tls)
    try:
        yield str(server.make_url(path))
    finally:
        await server.close()


@asynccontextmanager
async def raw_server(answer: bytes) -> AsyncIterator[str]:
    """A server that sends these bytes after a request, and hangs up."""

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(answer)
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(handle, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    try:
        yield f"http://127.0.0.1:{port}/data"
    finally:
        server.close()
        await server.wait_closed()
