"""The public door as a server: REST over the table, limits, life and death, plain paths."""

from __future__ import annotations

import asyncio
import gzip
import json
import os
import socket
import zlib
from collections.abc import Callable, Coroutine
from typing import Any

import aiohttp
import pytest
import uvloop
from http_doors import BREAKING, TOKEN, free_port, serve
from prometheus_client.parser import text_string_to_metric_families

from spice_engine.api import json_text, listen
from spice_engine.api.http import bind
from spice_engine.errors import EngineUnavailable, InvalidSettings
from spice_engine.settings import Settings


async def test_an_operation_takes_path_query_and_body() -> None:
    async with serve() as served:
        status, thing = await served.call("POST", "/api/v1/things", json={"name": "a"})
        assert (status, thing) == (200, {"id": 1, "name": "a", "labels": []})
        await served.call("POST", "/api/v1/things", json={"name": "b", "labels": ["x", "y"]})
        assert await served.get("/api/v1/things/1") == (200, thing)
        status, found = await served.get("/api/v1/things?labels=x&labels=y&ratio=0.5&match={}")
        assert status == 200
        assert [item["name"] for item in found["things"]] == ["b"]
        status, found = await served.get("/api/v1/things?reverse=true&number=1")
        assert [item["name"] for item in found["things"]] == ["a"]
        status, thing = await served.call("PUT", "/api/v1/things/2/name", json={"name": "c"})
        assert (status, thing["name"], thing["labels"]) == (200, "c", ["x", "y"])
        assert await served.call("DELETE", "/api/v1/things/2") == (200, {})
        status, error = await served.get("/api/v1/things/2")
        assert (status, error["error"]["code"]) == (404, "not_found")


async def test_bytes_are_base64_in_json_and_text_is_text() -> None:
    async with serve() as served:
        body = {"data": "AP8=", "text": "a\u20ac"}
        status, sizes = await served.call("POST", "/api/v1/things/weigh", json=body)
        assert (status, sizes) == (200, {"data": [0, 255], "text": [97, 0xE2, 0x82, 0xAC]})


@pytest.mark.parametrize(
    ("method", "path", "body", "says"),
    [
        ("GET", "/api/v1/things?nummer=3", None, "Did you mean 'number'?"),
        ("GET", "/api/v1/things?number=x", None, "number: "),
        ("GET", "/api/v1/things?number=1&number=2", None, "2 times"),
        ("GET", "/api/v1/things?match=3", None, "JSON object"),
        ("GET", '/api/v1/things?match[a]=1&match={"b":2}', None, "JSON object"),
        ("GET", "/api/v1/things?match[a]=1&match[a]=2", None, "more than once"),
        ("GET", "/api/v1/things?match[a]=x", None, "match.a: "),
        ("GET", "/api/v1/things?labels[a]=x", None, "there is no query parameter"),
        ("POST", "/api/v1/things/weigh", b'{"data": "no base64!"}', "not base64"),
        ("GET", "/api/v1/things?number=99999999999999999999", None, "64 bits"),
        ("GET", f"/api/v1/things?number={'9' * 6000}", None, "number"),
        ("GET", "/api/v1/things/9223372036854775808", None, "64 bits"),
        ("GET", "/api/v1/things/abc", None, "id: "),
        ("POST", "/api/v1/things", b"{", "line 1"),
        ("POST", "/api/v1/things", b"[]", "not a list"),
        ("POST", "/api/v1/things", b"null", "not null"),
        ("POST", "/api/v1/things", b"", "name: "),
        ("POST", "/api/v1/things", b'{"nam": "x"}', "Did you mean 'name'?"),
        ("POST", "/api/v1/things", b'{"name": "x", "id": 9223372036854775808}', "64 bits"),
        ("POST", "/api/v1/things", b'{"name": "x", "id": 1e30}', "id: "),
        ("POST", "/api/v1/things", b'{"name": "x", "id": " 99999999999999999999"}', "64 bits"),
        ("POST", "/api/v1/things", b'{"name": "\xff"}', "not JSON"),
        ("POST", "/api/v1/things", b"[" * 5000 + b"]" * 5000, "not JSON"),
        ("POST", "/api/v1/things?name=x", b"{}", "takes no query"),
        ("PUT", "/api/v1/things/1/name", b'{"id": 2, "name": "x"}', "in the path"),
    ],
)
async def test_a_wrong_request_is_400_and_says_what_is_wrong(
    method: str, path: str, body: bytes | None, says: str
) -> None:
    async with serve() as served:
        status, answer = await served.call(method, path, data=body)
        assert status == 400
        assert says in json.dumps(answer, ensure_ascii=False)
        assert answer["error"]["code"] == "invalid_request"


async def test_a_long_number_is_fine_where_text_is_asked() -> None:
    async with serve() as served:
        name = "12345678901234567890123"
        status, thing = await served.call("POST", "/api/v1/things", json={"name": name})
        assert (status, thing["name"]) == (200, name)


async def test_unknown_paths_and_methods_answer_json() -> None:
    async with serve() as served:
        for path in ("/nothing", "/api/v1/nothing", "/api/v0.1/nothing", "/api"):
            status, answer = await served.get(path)
            assert (status, answer["error"]["code"]) == (404, "not_found")
        async with served.client.delete(
            f"{served.door.url}/api/v1/things", headers=served.auth
        ) as response:
            assert response.status == 405
            assert response.headers["Allow"] == "GET, HEAD, POST"
            assert (await response.json())["error"]["code"] == "method_not_allowed"


async def test_a_defect_is_500_without_its_details_and_is_logged(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with serve(table=BREAKING) as served:
        status, answer = await served.call("POST", "/api/v1/machine/fail")
        assert (status, answer["error"]["code"]) == (500, "internal_error")
        assert "secret" not in json.dumps(answer)
        assert "a secret detail" in caplog.text


async def test_values_without_a_form_in_json() -> None:
    async with serve(table=BREAKING) as served:
        status, answer = await served.get("/api/v1/machine/odd")
        assert status == 200
        assert answer == {"nan": None, "infinity": None, "data": "AP8=", "large": 2**70}


async def test_the_request_id_comes_back_or_is_made() -> None:
    async with serve() as served:
        for given, kept in (("abc-1", True), ("", False), ("a b", False), ("x" * 65, False)):
            headers = {"X-Request-Id": given} if given else {}
            async with served.client.get(f"{served.door.url}/nothing", headers=headers) as response:
                answered = response.headers["X-Request-Id"]
                assert answered
                assert (answered == given) is kept


async def test_an_oversized_body_is_413_announced_or_not() -> None:
    async with serve(Settings(http_port=0, max_body_bytes=2000)) as served:

        async def pieces() -> Any:
            for _ in range(5):
                yield b" " * 1000

        for data in (b" " * 5000, pieces()):
            status, answer = await served.call("POST", "/api/v1/things", data=data)
            assert (status, answer["error"]["code"]) == (413, "too_large")
        status, _ = await served.call("POST", "/api/v1/things", json={"name": "small"})
        assert status == 200
        assert served.door.bodies.held == 0


async def test_a_zip_bomb_is_413_and_a_cut_body_400() -> None:
    async with serve(Settings(http_port=0, max_body_bytes=100_000)) as served:
        bomb = gzip.compress(b" " * 20_000_000)
        status, answer = await served.call(
            "POST", "/api/v1/things", data=bomb, headers={"Content-Encoding": "gzip"}
        )
        assert (status, answer["error"]["code"]) == (413, "too_large")
        broken = await served.call(
            "POST", "/api/v1/things", data=b"not gzip", headers={"Content-Encoding": "gzip"}
        )
        assert broken[0] == 400
        for encoding, whole in (("gzip", gzip.compress(b"{}")), ("deflate", zlib.compress(b"{}"))):
            headers = {"Content-Encoding": encoding}
            cut = await served.call("POST", "/api/v1/things", data=whole[:-3], headers=headers)
            assert (cut[0], "cut short" in cut[1]["error"]["message"]) == (400, True)
            more = await served.call("POST", "/api/v1/things", data=whole + b"x", headers=headers)
            assert more[0] == 400
        other = await served.call(
            "POST", "/api/v1/things", data=b"{}", headers={"Content-Encoding": "br"}
        )
        assert (other[0], other[1]["error"]["code"]) == (415, "unsupported_encoding")


async def test_a_half_sent_body_is_408() -> None:
    async with serve(patience=0.2) as served:
        head = (
            f"POST /api/v1/things HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {TOKEN}\r\n"
        )
        answer = await served.raw(f'{head}Content-Length: 100\r\n\r\n{{"na'.encode())
        assert answer.startswith(b"HTTP/1.1 408 ")
        assert b'"request_timeout"' in answer
        chunked = await served.raw(f"{head}Transfer-Encoding: chunked\r\n\r\n5\r\nab".encode())
        assert chunked.startswith(b"HTTP/1.1 408 ")
        assert served.door.bodies.held == 0


async def test_a_client_that_leaves_in_the_middle_is_no_error(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with serve() as served:
        for rest in (b"", b"GET /api/v1/machine/wait HTTP/1.1\r\n"):
            _, writer = await asyncio.open_connection("127.0.0.1", served.port)
            writer.write(
                b"POST /api/v1/things HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100\r\n"
                b"Authorization: Bearer " + TOKEN.encode() + b"\r\n\r\n{" + rest
            )
            await asyncio.sleep(0.05)
            writer.transport.abort()
        _, writer = await asyncio.open_connection("127.0.0.1", served.port)
        writer.write(
            b"GET /api/v1/machine/wait HTTP/1.1\r\nHost: localhost\r\n"
            b"Authorization: Bearer " + TOKEN.encode() + b"\r\n\r\n"
        )
        await served.machine.entered.wait()
        writer.transport.abort()
        await asyncio.sleep(0.05)
        served.machine.released.set()
        await asyncio.sleep(0.05)
        assert served.door.bodies.held == 0
        assert served.door.metrics.http.in_flight == 0
    assert not caplog.records


@pytest.mark.parametrize(
    "data",
    [
        b"\x00\x01\x02\x03\r\n\r\n",
        b"GET\r\n\r\n",
        b"GET / HTTP/9.9\r\nHost: localhost\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: localhost\r\nA: " + b"x" * 20_000 + b"\r\n\r\n",
        b"GET /" + b"x" * 20_000 + b" HTTP/1.1\r\nHost: localhost\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: localhost\r\n" + b"A: b\r\n" * 500 + b"\r\n",
        b"GET / HTTP/1.1\r\nHost: localhost\r\nHost: evil\r\nConnection: close\r\n\r\n",
        b"GET http://evil.example/ HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n",
        b"GET / HTTP/1.1\r\nConnection: close\r\n\r\n",
        b"GET /\xff\xfe HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n",
        b"GET /%ff%00 HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: -5\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 4\r\n"
        b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(100),
    ],
)
async def test_garbage_is_answered_4xx_and_the_door_lives_on(data: bytes) -> None:
    async with serve() as served:
        answer = await served.raw(data)
        assert answer == b"" or answer.split(b" ")[1][:1] == b"4", answer[:200]
        assert (await served.get("/health"))[0] == 200


async def test_connections_beyond_the_most_are_refused_and_recover() -> None:
    async with serve(max_connections=3) as served:
        held = [await asyncio.open_connection("127.0.0.1", served.port) for _ in range(3)]
        await asyncio.sleep(0.05)
        refused = await served.raw(b"")
        assert refused.startswith(b"HTTP/1.1 503 ")
        for _, writer in held:
            writer.close()
            await writer.wait_closed()
        await asyncio.sleep(0.05)
        assert await served.get("/health") == (200, "ok")


async def test_plain_paths() -> None:
    async with serve() as served:
        assert await served.get("/health") == (200, "ok")
        assert await served.get("/ready") == (200, "ready")
        served.health.reason = "the store is being migrated"
        assert await served.get("/ready") == (503, "the store is being migrated")
        assert await served.get("/health") == (200, "ok")


async def test_the_front_page_is_self_contained_and_escapes_names() -> None:
    async with serve() as served:
        evil = served.pods.pods.pop("trader")
        name = "<script>alert(1)</script>"
        served.pods.pods[name] = type(evil)(
            name, evil.manifest, evil.state, [], [], 10, 3, 2, [], None
        )
        async with served.client.get(f"{served.door.url}/") as response:
            html = await response.text()
            assert response.status == 200
            assert "default-src 'none'" in response.headers["Content-Security-Policy"]
        assert "<script" not in html
        assert "&lt;script&gt;" in html
        assert "<polyline" in html
        assert "http://" not in html
        assert "https://" not in html


async def test_metrics_are_prometheus_text_with_templates_for_routes() -> None:
    async with serve() as served:
        await served.get("/api/v1/things/17")
        await served.get("/api/v1/things/18")
        await served.get("/wp-admin/secret")
        served.door.metrics.add("store", lambda: {"rows_total": 12, "queue depth": 3})
        _, text = await served.get("/metrics")
        families = {family.name: family for family in text_string_to_metric_families(text)}
        requests = {
            (it.labels["route"], it.labels["status"]): it.value
            for it in families["spice_http_requests"].samples
            if it.name.endswith("_total")
        }
        assert requests["/api/v1/things/{id}", "404"] == 2
        assert requests["unmatched", "404"] == 1
        assert families["spice_store_rows"].samples[0].value == 12
        assert families["spice_store_queue_depth"].samples[0].value == 3
        assert "spice_loop_lag_seconds" in families
        latency = families["spice_http_request_seconds"].samples
        counted = [
            it.value
            for it in latency
            if it.name.endswith("_count") and it.labels["route"] == "/api/v1/things/{id}"
        ]
        assert counted == [2]
        assert "wp-admin" not in text


Run = Callable[[Coroutine[Any, Any, None]], None]


@pytest.mark.parametrize("run", [asyncio.run, uvloop.run])
def test_closing_ends_what_is_in_flight_and_refuses_what_comes(run: Run) -> None:
    async def scenario() -> None:
        async with serve() as served:
            url = f"{served.door.url}/api/v1/machine/wait"
            waiting = asyncio.create_task(served.client.get(url, headers=served.auth))
            await served.machine.entered.wait()
            closing = asyncio.create_task(served.door.close(grace=10))
            await asyncio.sleep(0.05)
            assert not closing.done()
            with pytest.raises(ConnectionRefusedError):
                await asyncio.open_connection("127.0.0.1", served.port)
            served.machine.released.set()
            async with await waiting as response:
                assert response.status == 200
                assert await response.json() == {}
            await closing

    run(scenario())


@pytest.mark.parametrize("run", [asyncio.run, uvloop.run])
def test_what_does_not_end_in_time_is_cut(run: Run) -> None:
    async def scenario() -> None:
        async with serve() as served:
            url = f"{served.door.url}/api/v1/machine/wait"
            waiting = asyncio.create_task(served.client.get(url, headers=served.auth))
            await served.machine.entered.wait()
            async with asyncio.timeout(8):
                await served.door.close(grace=0.1)
            with pytest.raises(aiohttp.ClientError):
                await waiting

    run(scenario())


@pytest.mark.parametrize("run", [asyncio.run, uvloop.run])
def test_the_socket_is_handed_to_the_next_door_without_a_refused_request(run: Run) -> None:
    async def scenario() -> None:
        async with serve() as first:
            sock = first.door.sock
            assert sock is not None
            heir = socket.socket(fileno=os.dup(sock.fileno()))
            await first.door.close(grace=1, keep_socket=True)
            # Nobody listens now: the client waits in the backlog.
            reader, writer = await asyncio.open_connection("127.0.0.1", first.port)
            writer.write(b"GET /health HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
            sock.close()
            async with serve(sock=heir):
                answer = await reader.read()
                assert answer.startswith(b"HTTP/1.1 200 ")
                writer.close()

    run(scenario())


def test_the_port_is_the_next_free_one_unless_it_is_set(monkeypatch: pytest.MonkeyPatch) -> None:
    first_free = free_port()
    monkeypatch.setattr(listen, "FIRST_PORT", first_free)
    monkeypatch.setattr(listen, "LAST_PORT", first_free + 20)
    with bind(Settings()) as one, bind(Settings()) as two:
        ports = [sock.getsockname()[1] for sock in (one, two)]
        assert first_free <= ports[0] < ports[1] <= first_free + 20
        with pytest.raises(EngineUnavailable) as caught:
            bind(Settings(http_port=ports[0]))
        assert str(ports[0]) in caught.value.message
        assert "taken by" in caught.value.message
        monkeypatch.setattr(listen, "FIRST_PORT", ports[1])
        monkeypatch.setattr(listen, "LAST_PORT", ports[1])
        with pytest.raises(EngineUnavailable, match="are taken"):
            bind(Settings())


def test_addresses_that_cannot_be_used_are_refused_with_advice() -> None:
    for host in ("no.such.host.invalid", "203.0.113.7"):
        with pytest.raises(InvalidSettings, match=r"address of this machine|reachable"):
            bind(Settings(http_host=host, http_port=0, insecure=True))
    with pytest.raises(InvalidSettings, match="65535"):
        bind(Settings(http_port=70_000))


async def test_ipv6_loopback() -> None:
    try:
        probe = bind(Settings(http_host="::1", http_port=0))
    except InvalidSettings:
        pytest.skip("no IPv6 loopback here")
    probe.close()
    async with serve(Settings(http_host="::1", http_port=0)) as served:
        assert served.door.url.startswith("http://[::1]:")
        async with served.client.get(f"{served.door.url}/api/v0.1/algorithms") as response:
            assert response.status == 200


def test_json_keeps_what_python_can_say_and_json_cannot() -> None:
    data = {"a": float("-inf"), "b": 2**64, "c": "\ud800", 1: (b"x", {"d"})}
    assert json.loads(json_text.dumps(data)) == {
        "a": None,
        "b": 2**64,
        "c": "\ud800",
        "1": ["eA==", ["d"]],
    }
