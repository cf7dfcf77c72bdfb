"""The fetcher against real servers: good ones, slow ones, lying ones and dying ones."""

from __future__ import annotations

import asyncio
import gzip
import hashlib
import shutil
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from spice_engine.api.tls import load_pair, make_tls_pair
from spice_engine.data import fetcher
from spice_engine.data.connectors import influxdb
from spice_engine.data.connectors.remote import FeedFailed, Request
from spice_engine.workers.child import Cancelled, LocalReport
from tests.integration.feed_worlds import raw_server, serving


async def fetch(url: str, folder: Path, **more: Any) -> dict[str, Any]:
    """As in the child, but in a thread of this process."""
    known = {"digest": more.pop("digest", b""), "etag": more.pop("etag", "")}
    request = Request(
        more.pop("connector", "http"), more.pop("method", "GET"), url, **more
    ).as_dict()
    params = {"request": request, "folder": str(folder), **known}
    return await asyncio.to_thread(fetcher.fetch, params, LocalReport())


async def fails(url: str, folder: Path, **more: Any) -> str:
    with pytest.raises(FeedFailed) as caught:
        await fetch(url, folder, **more)
    assert list(folder.iterdir()) == []
    return str(caught.value)


async def test_an_answer_comes_with_its_digest(tmp_path: Path) -> None:
    seen: list[web.Request] = []

    async def handle(request: web.Request) -> web.Response:
        seen.append(request)
        assert await request.text() == "ask"
        return web.Response(text="1,2", headers={"ETag": '"v1"'})

    async with serving(handle) as url:
        answer = await fetch(url, tmp_path, method="POST", body="ask", headers={"X-Key": "k"})
        assert answer["data"] == b"1,2"
        assert (answer["bytes"], answer["path"], answer["etag"]) == (3, "", '"v1"')
        assert answer["digest"] == hashlib.blake2b(b"1,2", digest_size=16).digest()
        assert seen[0].headers["X-Key"] == "k"
        assert seen[0].headers["User-Agent"].startswith("spice-tui/")
        again = await fetch(url, tmp_path, method="POST", body="ask", digest=answer["digest"])
        assert again == {"unchanged": True}


async def test_a_server_may_say_that_nothing_changed(tmp_path: Path) -> None:
    async def handle(request: web.Request) -> web.Response:
        return web.Response(status=304 if request.headers.get("If-None-Match") == '"v1"' else 200)

    async with serving(handle) as url:
        assert await fetch(url, tmp_path, etag='"v1"') == {"unchanged": True}


@pytest.mark.parametrize("packed", [False, True])
async def test_a_large_answer_is_left_in_a_file(tmp_path: Path, packed: bool) -> None:
    data = b"12345,67890\n" * 200_000

    async def handle(request: web.Request) -> web.Response:
        if packed:
            return web.Response(body=gzip.compress(data), headers={"Content-Encoding": "gzip"})
        return web.Response(body=data)

    async with serving(handle) as url:
        answer = await fetch(url, tmp_path)
        assert answer["data"] is None
        assert Path(answer["path"]).read_bytes() == data
        assert Path(answer["path"]).stat().st_mode & 0o077 == 0
        Path(answer["path"]).unlink()
        assert await fetch(url, tmp_path, digest=answer["digest"]) == {"unchanged": True}
        assert list(tmp_path.iterdir()) == []


async def test_an_answer_without_end_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fetcher, "MAX_BYTES", 2**21)

    async def handle(request: web.Request) -> web.Response:
        # A small answer that unpacks to 64 MiB.
        packed = gzip.compress(bytes(2**26))
        return web.Response(body=packed, headers={"Content-Encoding": "gzip"})

    async with serving(handle) as url:
        assert "more than 2 MiB" in await fails(url, tmp_path)


async def test_one_that_is_slow_is_left(tmp_path: Path) -> None:
    async def handle(request: web.Request) -> web.StreamResponse:
        answer = web.StreamResponse()
        await answer.prepare(request)
        for _ in range(100):
            await answer.write(b"1,1\n")
            await asyncio.sleep(0.1)
        return answer

    async with serving(handle) as url:
        message = await fails(url, tmp_path, timeout=0.3)
        assert message.startswith(f"{url} did not answer within 0.3 s. Give it more")


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n1,1\n", "broke off in the middle"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n64\r\n1,1", "broke off in the mid"),
        (b"", "broke off in the middle"),
        (b"SSH-2.0-OpenSSH_9.6\r\n", "no HTTP"),
        (b"HTTP/1.1 500 Oh no\r\nContent-Length: 100\r\n\r\nx", "answered 500 Oh no."),
        (b"HTTP/1.1 302 Found\r\nContent-Length: 0\r\n\r\n", "redirects (302) to nowhere"),
    ],
)
async def test_one_that_dies_or_lies_is_told_apart(
    tmp_path: Path, answer: bytes, expected: str
) -> None:
    async with raw_server(answer) as url:
        assert expected in await fails(url, tmp_path)


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        (
            401,
            "answered 401 Unauthorized. It asks for a sign-in: put what it needs into 'headers'.",
        ),
        (404, "answered 404 Not Found. Check the address."),
        (500, "answered 500 Internal Server Error. It is asked again."),
    ],
)
async def test_other_statuses_are_said(tmp_path: Path, status: int, expected: str) -> None:
    async def handle(request: web.Request) -> web.Response:
        return web.Response(status=status, text="secret page")

    async with serving(handle) as url:
        assert await fails(url, tmp_path) == f"{url} {expected}"


async def test_who_is_not_there_is_said(tmp_path: Path) -> None:
    assert "cannot be reached" in await fails("http://127.0.0.1:1/data", tmp_path)


async def test_a_certificate_that_nobody_vouches_for_is_refused(tmp_path: Path) -> None:
    if shutil.which("openssl") is None:
        pytest.skip("no openssl on this machine")
    folder = tmp_path / "spool"
    folder.mkdir()
    cert, key = make_tls_pair(tmp_path)

    async def handle(request: web.Request) -> web.Response:
        return web.Response(text="1,1")

    async with serving(handle, tls=load_pair(cert, key)) as url:
        assert f"The certificate of {url} cannot be verified." in await fails(url, folder)


async def test_no_message_holds_a_secret(tmp_path: Path) -> None:
    async def handle(request: web.Request) -> web.Response:
        return web.Response(status=500)

    async with serving(handle) as url:
        host = url.removeprefix("http://")
        secret = f"http://me:hunter2@{host}?api_key=hunter2#hunter2"
        unreachable = "http://me:hunter2@127.0.0.1:1/x?api_key=hunter2"
        twice = {"headers": {"Authorization": "hunter2"}}
        for address, more in ((secret, {}), (unreachable, {}), (secret, twice)):
            assert "hunter2" not in await fails(address, tmp_path, **more)


async def test_redirects_are_followed_and_take_no_header_elsewhere(tmp_path: Path) -> None:
    async def last(request: web.Request) -> web.Response:
        return web.Response(text=request.headers.get("X-Key", "none"))

    async def here(request: web.Request) -> web.Response:
        if request.query.get("there"):
            return web.Response(text=request.headers.get("X-Key", "none"))
        raise web.HTTPFound("?there=1")

    async with serving(last) as elsewhere, serving(here) as url:

        async def away(request: web.Request) -> web.Response:
            raise web.HTTPTemporaryRedirect(elsewhere)

        assert (await fetch(url, tmp_path, headers={"X-Key": "k"}))["data"] == b"k"
        async with serving(away) as leading:
            assert (await fetch(leading, tmp_path, headers={"X-Key": "k"}))["data"] == b"none"


@pytest.mark.parametrize(
    ("target", "expected"),
    [("/data", "more than 5 times"), ("file:///etc/passwd", "no http address")],
)
async def test_redirects_end(tmp_path: Path, target: str, expected: str) -> None:
    asked = 0

    async def handle(request: web.Request) -> web.Response:
        nonlocal asked
        asked += 1
        return web.Response(status=302, headers={"Location": target})

    async with serving(handle) as url:
        assert expected in await fails(url, tmp_path)
    assert asked <= 6


async def test_a_fetch_that_nobody_waits_for_ends_soon(tmp_path: Path) -> None:
    async def handle(request: web.Request) -> web.Response:
        await asyncio.sleep(30)
        return web.Response()

    async with serving(handle) as url:
        report = LocalReport()
        request = Request("http", "GET", url, timeout=30).as_dict()
        params = {"request": request, "folder": str(tmp_path), "digest": b"", "etag": ""}
        task = asyncio.create_task(asyncio.to_thread(fetcher.fetch, params, report))
        await asyncio.sleep(0.2)
        report.cancelled = True
        with pytest.raises(Cancelled):
            await task


@pytest.mark.parametrize(
    ("status", "body", "expected"),
    [
        (401, '{"code":"unauthorized","message":"no token"}', "refused the token (401). It says:"),
        (404, '{"code":"not found","message":"no bucket"}', "found nothing to query (404). It"),
        (400, '{"message":"bad flux"}', "refused the query (400). It says: bad flux"),
        (429, "", "is busy (429)."),
        (500, "<html>", "failed (500)."),
    ],
)
async def test_what_influxdb_refuses_is_said(
    tmp_path: Path, status: int, body: str, expected: str
) -> None:
    async def handle(request: web.Request) -> web.Response:
        return web.Response(status=status, text=body)

    async with serving(handle) as url:
        message = await fails(url, tmp_path, connector="influxdb")
        assert message.startswith(f"InfluxDB at {url} {expected}")


async def test_an_answer_of_influxdb_that_is_no_table_is_refused(tmp_path: Path) -> None:
    async def page(request: web.Request) -> web.Response:
        return web.Response(text="<html>", content_type="text/html")

    async def broken(request: web.Request) -> web.Response:
        text = "#datatype,string,string\r\n,error,reference\r\n,out of memory,897\r\n"
        return web.Response(text=text, content_type="text/csv")

    async with serving(page) as url:
        assert "text/html instead of CSV" in await fails(url, tmp_path, connector="influxdb")
    async with serving(broken) as url:
        message = await fails(url, tmp_path, connector="influxdb")
        assert "broke off the query: out of memory,897." in message


def test_a_table_of_influxdb_with_data_passes() -> None:
    table = b"#group,false\r\n,result,table,_time,_value\r\n,,0,2021-01-01T00:00:00Z,1\r\n"
    influxdb.check(table, "text/csv; charset=utf-8", "http://host")
    influxdb.check(b"\r\n", "text/csv", "http://host")
