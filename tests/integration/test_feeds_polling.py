"""Feeds that ask: real servers, a real fetcher, a real store."""

from __future__ import annotations

import asyncio
import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from spice_engine.data.observation_frames import decode
from spice_engine.store.framedlog import read_frames
from spice_engine.units import MAX_TIME, MIN_TIME
from tests.integration.feed_worlds import POD, World, manifest, serving, world
from tests.unit.small_ingest import body


class Source:
    """A server's side: what it answers next, and what it was asked."""

    def __init__(self, text: str = "1,1") -> None:
        self.text = text
        self.status = 200
        self.asked: list[dict[str, Any]] = []

    async def answer(self, request: web.Request) -> web.Response:
        self.asked.append({"headers": dict(request.headers), "text": await request.text()})
        await asyncio.sleep(0.005)
        return web.Response(text=self.text, status=self.status, content_type="text/csv")


def heads(there: World) -> list[tuple[str, Any]]:
    """Feed and range of each frame kept."""
    paths = sorted((there.folder.parent / "observations" / POD).glob("*.frames"))
    frames = [decode(payload).head for path in paths for _, payload in read_frames(path)]
    return [(head.feed, head.replace) for head in frames]


async def test_without_an_interval_an_address_is_asked_once(tmp_path: Path) -> None:
    source = Source("1,1\nrubbish\n2,2\n")
    async with serving(source.answer) as url, world(tmp_path) as there:
        there.feeds.follow(POD, manifest("http", {"url": url}))
        assert there.feeds.active
        await there.until(lambda: there.status.state == "done")
        assert await there.rows() == [(1, 1.0), (2, 2.0)]
        assert heads(there) == [("http", (MIN_TIME, MAX_TIME))]
        assert (there.status.rows, there.status.bad_rows) == (2, 1)
        assert there.status.last_ok is not None
        assert there.changes
        assert not there.feeds.active
        assert len(source.asked) == 1
        assert there.feeds.stats()["rows"] == 2


async def test_polling_takes_what_is_new_and_skips_what_is_not(tmp_path: Path) -> None:
    source = Source("1,1")
    async with serving(source.answer) as url, world(tmp_path) as there:
        there.feeds.follow(POD, manifest("http", {"url": url, "polling_interval": "100ms"}))
        await there.until(lambda: len(source.asked) >= 4)
        assert await there.rows() == [(1, 1.0)]
        source.text = "1,1\n2,2"
        await there.until(lambda: there.status.rows == 3)
        source.text = "1,1"
        await there.until(lambda: there.status.rows == 4)
        assert len(heads(there)) == 3
        assert there.status.state == "running"


async def test_seed_data_have_a_name_of_their_own(tmp_path: Path) -> None:
    async with serving(Source().answer) as url, world(tmp_path) as there:
        there.feeds.follow(POD, manifest("http", {"url": url}, seed=True))
        await there.until(lambda: there.status.state == "done")
        assert there.status.role == "seed"
        assert heads(there) == [("seed/http", (MIN_TIME, MAX_TIME))]


async def test_a_feed_goes_on_after_failures_and_says_what_they_were(tmp_path: Path) -> None:
    source = Source()
    source.status = 500
    async with serving(source.answer) as url, world(tmp_path) as there:
        there.feeds.follow(POD, manifest("http", {"url": f"{url}?key=hunter2"}))
        await there.until(lambda: there.status.failures >= 3)
        status = there.status
        assert status.state == "failing"
        assert status.last_error.startswith(f"{url} answered 500")
        assert status.last_error_at is not None
        assert there.feeds.stats()["failing"] == 1
        assert len(there.changes) == 1, "the same error again is no news"
        source.status, source.text = 200, "wrong"
        await there.until(lambda: "it is wrong" in there.status.last_error)
        source.text = "7,7"
        await there.until(lambda: there.status.state == "done")
        assert there.status.failures == 0
        assert await there.rows() == [(7, 7.0)]
        assert "hunter2" not in json.dumps(asdict(status))


async def test_a_large_answer_goes_by_a_file_that_does_not_stay(tmp_path: Path) -> None:
    source = Source("\n".join(f"{n},{n}" for n in range(120_000)))
    async with serving(source.answer) as url, world(tmp_path) as there:
        there.feeds.follow(POD, manifest("http", {"url": url}))
        await there.until(lambda: there.status.state == "done")
        assert there.status.rows == 120_000
        assert there.status.bytes == len(source.text)
        assert list(there.folder.iterdir()) == []


async def test_an_answer_that_became_empty_replaces_what_was_there(tmp_path: Path) -> None:
    source = Source("[]")
    async with serving(source.answer) as url, world(tmp_path) as there:
        there.feeds.follow(POD, manifest("http", {"url": url}, "json"))
        await there.until(lambda: there.status.state == "done")
        assert heads(there) == [("http", (MIN_TIME, MAX_TIME))]


async def test_only_a_change_of_meaning_begins_a_feed_anew(tmp_path: Path) -> None:
    source = Source()
    async with serving(source.answer) as url, world(tmp_path) as there:
        params = {"url": url}
        there.feeds.follow(POD, manifest("http", params))
        await there.until(lambda: there.status.state == "done")
        there.feeds.follow(POD, manifest("http", params, line=30, period=7200))
        await asyncio.sleep(0.1)
        assert len(source.asked) == 1
        assert there.status.place.line == 30
        there.feeds.follow(POD, manifest("http", {**params, "headers": '{"X-A": "b"}'}))
        await there.until(lambda: len(source.asked) == 2)
        assert source.asked[1]["headers"]["X-A"] == "b"
        await there.until(lambda: there.status.state == "done")
        there.feeds.follow(POD, manifest("file", {"path": "x.csv"}))
        assert there.feeds.status(POD) == ()


async def test_a_pod_that_is_forgotten_asks_no_more(tmp_path: Path) -> None:
    source = Source()
    async with serving(source.answer) as url, world(tmp_path) as there:
        there.feeds.follow(POD, manifest("http", {"url": url, "polling_interval": "100ms"}))
        await there.until(lambda: len(source.asked) >= 2)
        there.feeds.forget(POD)
        await there.until(lambda: not there.feeds.active)
        count = len(source.asked)
        await asyncio.sleep(0.3)
        assert len(source.asked) == count
        assert there.feeds.status(POD) == ()
        there.feeds.forget(POD)


@pytest.mark.parametrize(
    ("connector", "params", "processor", "message"),
    [
        ("http", {"url": "ftp://x"}, "csv", "The url 'ftp://x' of the http connector"),
        ("influxdb", {"url": "http://x"}, "flux-csv", "influxdb connector requires the 'token'"),
        ("websocket", {"url": "ws://x"}, "csv", "The websocket connector needs the processor"),
    ],
)
async def test_a_feed_that_cannot_begin_says_why(
    tmp_path: Path, connector: str, params: dict[str, str], processor: str, message: str
) -> None:
    async with world(tmp_path) as there:
        there.feeds.follow(POD, manifest(connector, params, processor, line=9))
        assert there.status.state == "invalid"
        assert there.status.last_error.startswith(message)
        assert there.status.place.line == 9
        assert not there.feeds.active


async def test_closing_in_the_middle_of_everything_leaves_nothing_behind(tmp_path: Path) -> None:
    async def hang(request: web.Request) -> web.Response:
        await asyncio.sleep(5)
        return web.Response()

    async with serving(hang) as url, world(tmp_path) as there:
        there.feeds.follow(POD, manifest("http", {"url": url}))
        there.feeds.follow("other", manifest("http", {"url": url}))
        await asyncio.sleep(0.3)


async def test_what_the_store_refuses_for_now_is_offered_again(tmp_path: Path) -> None:
    async with serving(Source("3,3").answer) as url, world(tmp_path, waiting_bodies=1) as there:
        there.ingest.hold.clear()
        posted = asyncio.create_task(there.store.accept("another", body("1,1")))
        there.feeds.follow(POD, manifest("http", {"url": url}))
        await there.until(lambda: "wait to be read already" in there.status.last_error)
        there.ingest.hold.set()
        await posted
        await there.until(lambda: there.status.state == "done")
        assert await there.rows() == [(3, 3.0)]


FLUX = (
    "#datatype,string,long,dateTime:RFC3339,double\r\n"
    "#group,false,false,false,false\r\n"
    "#default,_result,,,\r\n"
    ",result,table,_time,_value\r\n"
    ",,0,{time},{value}\r\n"
)


async def test_influxdb_is_asked_again_for_the_end_only(tmp_path: Path) -> None:
    source = Source(FLUX.format(time="2021-02-05T20:30:00Z", value=1.5))
    params = {"token": "hunter2", "org": "o", "bucket": "b", "refresh_interval": "100ms"}
    async with serving(source.answer, "/api/v2/query") as url, world(tmp_path) as there:
        params["url"] = url.removesuffix("/api/v2/query")
        there.feeds.follow(POD, manifest("influxdb", params, "flux-csv", interval=60))
        await there.until(lambda: len(source.asked) >= 2)
        assert await there.rows() == [(1612557000, 1.5)]
        source.text = FLUX.format(time="2021-02-05T20:31:00Z", value=2.5)
        await there.until(lambda: there.status.rows == 2)
        source.text = "\r\n"
        asked = len(source.asked)
        await there.until(lambda: len(source.asked) > asked + 1)
        assert there.status.failures == 0
        assert source.asked[0]["headers"]["Authorization"] == "Token hunter2"
        ranges = [json.loads(one["text"])["query"].splitlines()[1].strip() for one in source.asked]
        assert ranges[0].startswith("|> range(start: ")
        assert ranges[0] != ranges[-1]
        (_, first), (_, second) = heads(there)
        assert second[1] - second[0] < 180 < 3600 * 70 < first[1] - first[0]
        source.status = 401
        await there.until(lambda: there.status.state == "failing")
        assert "refused the token (401)" in there.status.last_error
        assert "hunter2" not in there.status.last_error
