"""Feeds and posts with the loader that the product has: from a server to the state table."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from spice_engine.errors import InvalidData
from spice_engine.pods import plan
from spice_engine.pods.feeds import Feeds
from spice_engine.pods.model import Manifest
from spice_engine.pods.observations import Body, Limits, ObservationStore
from spice_engine.workers.arrays import ArrayRef, load
from spice_engine.workers.pool import ChildPool
from tests.integration.feed_worlds import POD, QUICK, manifest, serving

EPOCH = 1612557000


@asynccontextmanager
async def store_and_feeds(
    folder: Path, **limits: int
) -> AsyncIterator[tuple[ObservationStore, Feeds, ChildPool]]:
    loaders = ChildPool("ingest", "spice_engine.data.loader", 1, folder=folder / "logs")
    fetchers = ChildPool("fetcher", "spice_engine.data.fetcher", 1, folder=folder / "logs")
    store = ObservationStore(folder / "observations", loaders, Limits(**limits))
    await store.open(str)
    feeds = Feeds(store, fetchers, folder, pace=QUICK)
    try:
        yield store, feeds, loaders
    finally:
        await feeds.close()
        await store.close()
        await fetchers.close()
        await loaders.close()


def pod(connector: str, params: dict[str, str], processor: str) -> Manifest:
    return manifest(
        connector, params, processor, epoch_time=EPOCH, period=60, interval=20, granularity=10
    )


async def values(
    folder: Path, spec: Manifest, store: ObservationStore, loaders: ChildPool
) -> list[float]:
    """The column of the one measurement in the state table."""
    async with store.reading(POD) as files:
        params = plan.loader_params(spec, folder, folder, time.time(), files)
        loaded = await loaders.call("load", params)
    table: Any = load(ArrayRef.from_dict(loaded["values"]))
    return table[:, loaded["fields"].index("home_room_value")].tolist()


async def finished(feeds: Feeds) -> None:
    async with asyncio.timeout(30):
        while any(one.state != "done" for one in feeds.status(POD)):
            assert not any(one.state == "failing" for one in feeds.status(POD)), feeds.status(POD)
            await asyncio.sleep(0.01)


async def test_what_is_posted_reaches_the_table_sealed_or_not(tmp_path: Path) -> None:
    async with store_and_feeds(tmp_path, segment_frames=3) as (store, _, loaders):
        # Data of a websocket come by themselves; the loader has nothing else to read.
        pushed = pod("websocket", {"url": "ws://nowhere"}, "csv")
        spaces = plan.dataspaces(pushed)
        for step in range(5):
            text = f"time,value\n{EPOCH + 10 * step},{step}\n"
            body = Body(text.encode(), "csv", "dataspace", spaces, only="home/room")
            assert (await store.accept(POD, body)).rows == 1
        text = f"time,home.room.value,unknown\n{EPOCH + 40},6,7\n{EPOCH + 50},rubbish,7\n"
        observed = await store.accept(POD, Body(text.encode(), "csv", "observations", spaces))
        assert observed.bad_cells
        with pytest.raises(InvalidData):
            await store.accept(POD, Body(b"\x00\x01", "csv", "observations", spaces))
        async with asyncio.timeout(30):
            while not store.stats()["sealed_total"]:  # noqa: ASYNC110
                await asyncio.sleep(0.01)
        assert (await values(tmp_path, pushed, store, loaders))[:5] == [0, 1, 2, 3, 5]


async def test_a_polled_address_reaches_the_table_and_is_replaced_whole(tmp_path: Path) -> None:
    text = f"time,value\n{EPOCH},1\n{EPOCH + 10},2\n"

    async def handle(request: web.Request) -> web.Response:
        return web.Response(text=text)

    async with serving(handle) as url, store_and_feeds(tmp_path) as (store, feeds, loaders):
        spec = pod("http", {"url": url}, "csv")
        feeds.follow(POD, spec)
        await finished(feeds)
        assert (await values(tmp_path, spec, store, loaders))[:2] == [1, 2]
        feeds.forget(POD)
        text = f"time,value\n{EPOCH},5\n"
        feeds.follow(POD, spec)
        await finished(feeds)
        assert set(await values(tmp_path, spec, store, loaders)) == {5.0}


async def test_influxdb_reaches_the_table(tmp_path: Path) -> None:
    table = (
        "#datatype,string,long,dateTime:RFC3339,double,string,string\r\n"
        "#group,false,false,false,false,true,true\r\n"
        "#default,_result,,,,,\r\n"
        ",result,table,_time,_value,_field,_measurement\r\n"
        ",,0,2021-02-05T20:30:10Z,1.5,value,cpu\r\n"
        ",,0,2021-02-05T20:30:20Z,2.5,value,cpu\r\n\r\n"
    )

    async def handle(request: web.Request) -> web.Response:
        return web.Response(text=table, content_type="text/csv")

    async with (
        serving(handle, "/api/v2/query") as url,
        store_and_feeds(tmp_path) as (store, feeds, loaders),
    ):
        params = {"url": url.removesuffix("/api/v2/query"), "token": "t", "bucket": "b"}
        spec = pod("influxdb", params, "flux-csv")
        feeds.follow(POD, spec)
        await finished(feeds)
        assert (await values(tmp_path, spec, store, loaders))[1:3] == [1.5, 2.5]


async def test_a_stream_reaches_the_table(tmp_path: Path) -> None:
    async def handle(request: web.Request) -> web.WebSocketResponse:
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        for step in range(4):
            await socket.send_str(f'{{"time": {EPOCH + 10 * step}, "value": {step}}}')
        async for _ in socket:
            pass
        return socket

    async with serving(handle) as url, store_and_feeds(tmp_path) as (store, feeds, loaders):
        spec = pod("websocket", {"url": url.replace("http", "ws")}, "json")
        feeds.follow(POD, spec)
        async with asyncio.timeout(30):
            while feeds.status(POD)[0].rows < 4:  # noqa: ASYNC110
                await asyncio.sleep(0.01)
        assert (await values(tmp_path, spec, store, loaders))[:4] == [0, 1, 2, 3]
