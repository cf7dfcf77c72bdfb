"""Predictions over real sockets: the fast lane and aiohttp answer alike, each what it is for."""

from __future__ import annotations

import asyncio
import gzip
import io
import json
import ssl
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import uvloop
from http_doors import TOKEN, Served, serve, until
from jsonschema_rs import meta
from prometheus_client.parser import text_string_to_metric_families
from test_http_security import write_pair

from spice_engine.protocol.servers import Door
from spice_engine.serving import directory as directories
from spice_engine.serving.calls import Call
from spice_engine.serving.directory import Answer, Directory
from spice_engine.serving.figures import Figures
from spice_engine.settings import Settings
from spice_runtime import wire

PREDICT = "/servers/echo/predict"
SERVER_TOKEN = "server-" + "s" * 30


class Endpoint:
    """Answers by what the body says: `wait` not at all, `stream…` in chunks, else with itself."""

    def __init__(self) -> None:
        self.ready = True
        self.seen: list[Call] = []
        self.waiting: list[Call] = []
        self.cancelled: list[Call] = []
        self.streams: dict[int, list[int]] = {}

    def submit(self, call: Call) -> None:
        self.seen.append(call)
        if call.body == b"wait":
            self.waiting.append(call)
        elif call.body.startswith(b"stream"):
            call.stream(200, wire.AS_GIVEN, b"content-type: text/event-stream\r\n")
            self.streams[id(call)] = [wire.CREDIT_BYTES, 0]
            self._more(call)
        else:
            call.done = True
            call.answer(200, wire.AS_JSON, b"x-codec: %d\r\n" % call.codec, call.body)

    def _more(self, call: Call) -> None:
        left = self.streams[id(call)]
        number = int(call.body.partition(b" ")[2].partition(b" ")[0] or b"3")
        while left[0] > 0 and left[1] < number and not call.done:
            piece = b"%06d" % left[1] + b"." * (10_000 - 6)
            left[0] -= len(piece)
            left[1] += 1
            call.chunk(piece)
        if left[1] >= number and not call.done:
            call.done = True
            call.end("it broke" if call.body.endswith(b"broken") else "")

    def cancel(self, call: Call) -> None:
        if not call.done:
            call.done = True
            self.cancelled.append(call)

    def credit(self, call: Call, number: int) -> None:
        self.streams[id(call)][0] += number
        if not call.done:
            asyncio.get_running_loop().call_soon(self._more, call)

    def is_ready(self) -> bool:
        return self.ready


def world(door: Door | None = None, **more: Any) -> tuple[Endpoint, Directory]:
    endpoint, directory = Endpoint(), Directory()
    directory.put(
        directories.Served(
            "echo", endpoint, door or Door(), SERVER_TOKEN, 3, ("m:v1",), Figures(), **more
        )
    )
    return endpoint, directory


async def ask(
    served: Served, method: str, path: str, **more: Any
) -> tuple[int, dict[str, str], bytes]:
    """One request without the engine's token."""
    async with served.client.request(method, served.door.url + path, **more) as response:
        fields = {name.lower(): value for name, value in response.headers.items()}
        return response.status, fields, await response.read()


async def pieces(*parts: bytes) -> Any:
    for part in parts:
        yield part


@pytest.mark.parametrize(
    ("data", "headers"),
    [
        (b'{"a": 1}', {}),
        (b"", {}),
        (b"x" * 300_000, {}),
        (b"y" * 3_000_000, {}),
        (b'{"a": 1}', {"Expect": "100-continue"}),
        (b'{"a": 1}', {"Sec-Fetch-Site": "same-origin"}),
        (b'{"a": 1}', {"X-Request-Id": "mine-1"}),
        (b"\x93\x01\x02\x03", {"Content-Type": "application/msgpack"}),
    ],
)
async def test_both_ways_give_the_same_answer(data: bytes, headers: dict[str, str]) -> None:
    endpoint, directory = world()
    async with serve(directory=directory) as served:
        whole = await ask(served, "POST", PREDICT, data=io.BytesIO(data), headers=headers)
        chunked = await ask(
            served, "POST", "/local/echo/predict", data=pieces(data[:7], data[7:]), headers=headers
        )
        zipped = await ask(
            served,
            "POST",
            PREDICT,
            data=gzip.compress(data),
            headers={**headers, "Content-Encoding": "gzip"},
        )
    kept = ("content-type", "x-codec", "x-content-type-options", "cache-control", "server")
    for status, fields, body in (whole, chunked, zipped):
        assert (status, body) == (200, data)
        assert {name: fields[name] for name in kept} == {name: whole[1][name] for name in kept}
        assert fields["x-request-id"]
        if "X-Request-Id" in headers:
            assert fields["x-request-id"] == "mine-1"
    assert len(endpoint.seen) == 3
    assert len({call.codec for call in endpoint.seen}) == 1


async def test_what_is_no_prediction_has_our_errors() -> None:
    endpoint, directory = world(Door(max_body=1000))
    async with serve(directory=directory) as served:
        for method, path, status, code in (
            ("POST", "/servers/nix/predict", 404, "not_found"),
            ("POST", "/other/echo/predict", 404, "not_found"),
            ("POST", "/api/echo/predict", 404, "not_found"),
            ("GET", "/servers/nix/health", 404, "not_found"),
            ("GET", PREDICT, 405, "method_not_allowed"),
            ("PUT", "/local/echo/predict", 405, "method_not_allowed"),
            ("POST", "/servers/echo/health", 405, "method_not_allowed"),
        ):
            answered, fields, body = await ask(served, method, path, data=b"{}")
            assert (answered, json.loads(body)["error"]["code"]) == (status, code), path
            assert fields["x-request-id"]
        answered, _, body = await ask(served, "POST", PREDICT, data=b"x" * 1001)
        assert (answered, json.loads(body)["error"]["code"]) == (413, "too_large")
        answered, _, body = await ask(served, "POST", PREDICT, data=pieces(b"x" * 600, b"x" * 600))
        assert answered == 413
        answered, _, body = await ask(
            served, "POST", PREDICT, data=b"{}", headers={"X-Request-Deadline": "soon"}
        )
        assert (answered, json.loads(body)["error"]["code"]) == (400, "invalid_request")
        answered, _, body = await ask(
            served, "POST", PREDICT, data=b"{}", headers={"Content-Encoding": "br"}
        )
        assert answered == 415
    assert not endpoint.seen


async def test_a_slash_at_the_end_leads_to_the_path_without() -> None:
    _, directory = world()
    async with serve(directory=directory) as served:
        status, fields, _ = await ask(
            served, "POST", f"{PREDICT}/?a=1", data=b"{}", allow_redirects=False
        )
        assert (status, fields["location"]) == (307, f"{PREDICT}?a=1")
        assert (await ask(served, "POST", "/local/echo/predict/", data=b"7"))[2] == b"7"


async def test_a_slow_body_is_waited_for_and_then_given_up() -> None:
    endpoint, directory = world()
    head = f"POST {PREDICT} HTTP/1.1\r\nHost: localhost\r\nContent-Length: 4\r\n\r\n".encode()
    async with serve(directory=directory, patience=3.0) as served:
        reader, writer = await asyncio.open_connection("127.0.0.1", served.port)
        writer.write(head + b"bo")
        await asyncio.sleep(1.8)
        assert not endpoint.seen
        writer.write(b"dy")
        assert (await reader.readuntil(b"body")).startswith(b"HTTP/1.1 200 ")
        writer.write(head.replace(b": 4", b": 5") + b"quick")  # the connection lives on
        assert (await reader.readuntil(b"quick")).startswith(b"HTTP/1.1 200 ")
        writer.close()
        answer = await served.raw(head + b"bo")
        assert answer.startswith(b"HTTP/1.1 408 ")
        assert b'"request_timeout"' in answer


async def test_http_1_0_and_connection_close() -> None:
    _, directory = world()
    async with serve(directory=directory) as served:
        for version, line in (("1.0", "A: b"), ("1.1", "Connection: close")):
            answer = await served.raw(
                f"POST {PREDICT} HTTP/{version}\r\nHost: localhost\r\n{line}\r\n"
                "Content-Length: 2\r\n\r\n{}".encode()
            )
            assert b" 200 OK" in answer.partition(b"\r\n")[0]
            assert answer.endswith(b"\r\n\r\n{}")


SMUGGLED = (
    b"POST /servers/echo/predict HTTP/1.1\r\nHost: localhost\r\nContent-Length: 8\r\n\r\nsmuggled"
)


@pytest.mark.parametrize(
    "lines",
    [
        b"Content-Length: 0\r\nContent-Length: %d" % len(SMUGGLED),
        b"Content-Length: %d\r\nTransfer-Encoding: chunked" % (len(SMUGGLED) + 5),
        b"Transfer-Encoding: chunked\r\nContent-Length: 5",
        b"Transfer-Encoding: xchunked\r\nContent-Length: 0",
        b"Transfer-Encoding:\x0bchunked\r\nContent-Length: 0",
        b"Content-Length: 0\r\n folded",
        b"Content-Length: 0, 5",
        b"Content-Length: +0",
        b"Content-Length : 0",
        b"Content-Length: 0\nX: y",
    ],
)
async def test_smuggled_requests_reach_no_endpoint(lines: bytes) -> None:
    endpoint, directory = world()
    async with serve(directory=directory) as served:
        head = b"POST " + PREDICT.encode() + b" HTTP/1.1\r\nHost: localhost\r\n" + lines
        answer = await served.raw(head + b"\r\n\r\n" + b"0\r\n\r\n" + SMUGGLED)
        assert answer.startswith((b"HTTP/1.1 4", b"HTTP/1.0 4")), answer
    assert not [call for call in endpoint.seen if call.body == b"smuggled"]


# -- who may call


async def test_a_servers_token_its_origins_and_the_preflight() -> None:
    endpoint, directory = world(Door(auth="token", cors=["https://app.example"]))
    good = {"Authorization": f"Bearer {SERVER_TOKEN}"}
    page = {"Origin": "https://app.example"}
    async with serve(directory=directory) as served:

        async def status(method: str, path: str, **headers: str) -> int:
            named = {name.replace("_", "-"): value for name, value in headers.items()}
            return (await ask(served, method, path, data=b"{}", headers=named))[0]

        assert await status("POST", PREDICT) == 401
        assert await status("POST", PREDICT, Authorization="Bearer wrong") == 401
        assert await status("POST", PREDICT, **good) == 200
        assert await status("POST", PREDICT, Authorization=f"Bearer {TOKEN}") == 200
        assert await status("POST", "/v2/models/echo/infer") == 401
        assert await status("GET", "/servers/echo/metrics") == 401
        assert await status("GET", "/v2/models/echo/versions/9%0A") == 401
        assert await status("GET", "/servers/echo/openapi.json", **good) == 200
        assert await status("GET", "/servers/echo/health") == 200
        assert await status("POST", PREDICT, **good, Origin="https://evil.example") == 403
        assert await status("GET", "/api/v1/things", **good) == 401
        answered, fields, _ = await ask(
            served, "POST", PREDICT, data=b"{}", headers={**good, **page}
        )
        assert (answered, fields["access-control-allow-origin"]) == (200, page["Origin"])
        assert fields["vary"] == "Origin"
        asked = {**page, "Access-Control-Request-Method": "POST"}
        answered, fields, _ = await ask(served, "OPTIONS", PREDICT, headers=asked)
        assert (answered, fields["access-control-allow-origin"]) == (204, page["Origin"])
        assert "Authorization" in fields["access-control-allow-headers"]
        answered, _, _ = await ask(served, "OPTIONS", "/api/v1/things", headers=asked)
        assert answered == 403
    assert len(endpoint.seen) == 3


async def test_an_open_server_leaves_authorization_to_its_predictor() -> None:
    endpoint, directory = world(wants_head=True)
    async with serve(directory=directory) as served:
        for data in (b"{}", pieces(b"{}")):
            headers = {"Authorization": "Bearer the predictor's own"}
            assert (await ask(served, "POST", PREDICT, data=data, headers=headers))[0] == 200
    for call in endpoint.seen:
        assert b"\r\nAuthorization: Bearer the predictor's own\r\n" in call.head
        assert b"\r\nContent-Length: 2\r\n" in call.head
        assert b"chunked" not in call.head
        assert f"\r\nX-Request-Id: {call.request_id}\r\n".encode() in call.head
        assert call.client() in {"", "127.0.0.1"}


async def test_without_open_loopback_the_engines_token_is_needed() -> None:
    _, directory = world()
    async with serve(Settings(http_port=0, open_loopback=False), directory=directory) as served:
        assert (await ask(served, "POST", PREDICT, data=b"{}"))[0] == 401
        assert (await ask(served, "POST", PREDICT, data=b"{}", headers=served.auth))[0] == 200


# -- streams, and clients that leave


@pytest.mark.parametrize("data", [b"stream 50", pieces])
async def test_streams_arrive_whole_on_both_ways(data: Any) -> None:
    _, directory = world()
    async with serve(directory=directory) as served:
        sent = pieces(b"stream ", b"50") if data is pieces else data
        status, fields, body = await ask(served, "POST", PREDICT, data=sent)
        assert (status, fields["content-type"]) == (200, "text/event-stream")
        assert [body[k * 10_000 : k * 10_000 + 6] for k in range(50)] == [
            b"%06d" % k for k in range(50)
        ]
        assert len(body) == 500_000


class Bodiless(Endpoint):
    """Streams a body under a status that has none."""

    def submit(self, call: Call) -> None:
        self.streams[id(call)] = [0, 0]
        call.stream(204, wire.AS_TEXT, b"")
        call.chunk(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nmine")
        call.done = True
        call.end("")

    def _more(self, call: Call) -> None:
        pass


@pytest.mark.parametrize("framed", [b"Content-Length: 2\r\n\r\n{}", None])
async def test_a_stream_without_a_body_is_not_the_next_answer(framed: bytes | None) -> None:
    _, directory = world()
    found = directory.get("echo")
    assert found is not None
    found.endpoint = Bodiless()
    body = framed or b"Transfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n"
    head = f"POST {PREDICT} HTTP/1.1\r\nHost: localhost\r\n".encode()
    async with serve(directory=directory) as served:
        host, port = served.door.url.removeprefix("http://").split(":")
        reader, writer = await asyncio.open_connection(host, int(port))
        for _ in range(2):
            writer.write(head + body)
            answer = await reader.readuntil(b"\r\n\r\n")
            assert answer.startswith(b"HTTP/1.1 204 ")
        writer.close()
        await writer.wait_closed()


@pytest.mark.parametrize("data", [b"stream 5 broken", pieces])
async def test_a_stream_that_breaks_is_seen_to_be_cut(data: Any) -> None:
    _, directory = world()
    async with serve(directory=directory) as served:
        sent = pieces(b"stream 5 ", b"broken") if data is pieces else data
        with pytest.raises(aiohttp.ClientError):
            await ask(served, "POST", PREDICT, data=sent)


Run = Callable[[Coroutine[Any, Any, None]], None]


@pytest.mark.parametrize("run", [asyncio.run, uvloop.run])
@pytest.mark.parametrize(
    "kind", ["Content-Length: 12\r\n\r\n", "Transfer-Encoding: chunked\r\n\r\nc\r\n"]
)
def test_a_stream_nobody_reads_stops_and_is_cancelled_with_its_client(run: Run, kind: str) -> None:
    async def scenario() -> None:
        endpoint, directory = world()
        async with serve(directory=directory) as served:
            _, writer = await asyncio.open_connection("127.0.0.1", served.port, limit=1024)
            writer.transport.pause_reading()  # type: ignore[attr-defined]
            end = "\r\n0\r\n\r\n" if "chunked" in kind else ""
            writer.write(
                f"POST {PREDICT} HTTP/1.1\r\nHost: localhost\r\n{kind}stream 99999{end}".encode()
            )
            await until(lambda: endpoint.streams)
            seen, before = 0, -1
            while seen != before:
                before = seen
                await asyncio.sleep(0.3)
                seen = next(iter(endpoint.streams.values()))[1]
            assert seen < 5_000  # of a gigabyte, what the buffers of the system hold
            writer.transport.abort()
            await until(lambda: endpoint.cancelled)

    run(scenario())


@pytest.mark.parametrize("run", [asyncio.run, uvloop.run])
@pytest.mark.parametrize(
    "kind",
    ["Content-Length: 4\r\n\r\nwait", "Transfer-Encoding: chunked\r\n\r\n4\r\nwait\r\n0\r\n\r\n"],
)
def test_a_client_that_hangs_up_cancels_its_call(run: Run, kind: str) -> None:
    async def scenario() -> None:
        endpoint, directory = world()
        async with serve(directory=directory) as served:
            _, writer = await asyncio.open_connection("127.0.0.1", served.port)
            writer.write(f"POST {PREDICT} HTTP/1.1\r\nHost: localhost\r\n{kind}".encode())
            await until(lambda: endpoint.waiting)
            writer.close()
            await until(lambda: endpoint.cancelled == endpoint.waiting)

    run(scenario())


@pytest.mark.parametrize("run", [asyncio.run, uvloop.run])
def test_closing_waits_for_predictions_and_refuses_new_ones(run: Run) -> None:
    async def scenario() -> None:
        endpoint, directory = world()
        async with serve(directory=directory) as served:
            url = served.door.url + PREDICT
            waiting = [
                asyncio.create_task(served.client.post(url, data=data))
                for data in (b"wait", pieces(b"wait"))
            ]
            await until(lambda: len(endpoint.waiting) == 2)
            closing = asyncio.create_task(served.door.close(grace=10))
            await asyncio.sleep(0.1)
            assert not closing.done()
            for call in endpoint.waiting:
                call.done = True
                call.answer(200, wire.AS_TEXT, b"", b"done")
            for one in waiting:
                async with await one as response:
                    assert (response.status, await response.text()) == (200, "done")
            assert await closing == []

    run(scenario())


@pytest.mark.parametrize("run", [asyncio.run, uvloop.run])
def test_one_connection_may_change_from_the_fast_lane_to_aiohttp(run: Run) -> None:
    async def scenario() -> None:
        endpoint, directory = world()
        async with serve(directory=directory) as served:
            post = (
                f"POST {PREDICT} HTTP/1.1\r\nHost: localhost\r\nContent-Length: 4\r\n\r\n".encode()
            )
            data = post + b"wait" + post + b"next"
            data += b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n" + post + b"last"
            reader, writer = await asyncio.open_connection("127.0.0.1", served.port)
            for place in range(0, len(data), 37):
                writer.write(data[place : place + 37])
                await asyncio.sleep(0)
            await until(lambda: len(endpoint.seen) >= 2)
            call = endpoint.waiting.pop()
            call.answer(200, wire.AS_TEXT, b"", b"first")
            got = [await reader.readuntil(end) for end in (b"first", b"next", b"ok", b"last")]
            assert all(answer.startswith(b"HTTP/1.1 200 ") for answer in got)
            writer.close()

    run(scenario())


async def test_connections_of_both_kinds_share_one_limit() -> None:
    _, directory = world()
    async with serve(directory=directory, max_connections=2) as served:
        reader, writer = await asyncio.open_connection("127.0.0.1", served.port)
        writer.write(b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n")
        await reader.readuntil(b"ok")
        _, other = await asyncio.open_connection("127.0.0.1", served.port)
        await asyncio.sleep(0.05)
        assert (await served.raw(b"")).startswith(b"HTTP/1.1 503 ")
        writer.close()
        other.close()
        await asyncio.sleep(0.1)
        assert (await ask(served, "POST", PREDICT, data=b"1"))[0] == 200


# -- health, metrics, documents


async def test_health_and_readiness() -> None:
    endpoint, directory = world()
    async with serve(directory=directory) as served:
        for path in ("/servers/echo/health", "/local/echo/health", "/servers/echo/health/"):
            status, fields, body = await ask(served, "GET", path)
            assert (status, json.loads(body)) == (200, {"status": "ok"})
            status, fields, body = await ask(served, "HEAD", path)
            assert (status, body) == (200, b"")
        assert (await ask(served, "GET", "/servers/echo/ready"))[0] == 200
        endpoint.ready = False
        assert (await ask(served, "GET", "/servers/echo/ready"))[0] == 503
        assert (await ask(served, "GET", "/local/echo/health"))[0] == 503

        async def health() -> Answer:
            return 299, wire.AS_JSON, b"x-own: 1\r\n", b'{"disk": "full"}'

        found = directory.get("echo")
        assert found is not None
        found.health = health
        status, fields, body = await ask(served, "GET", "/local/echo/health")
        assert (status, fields["x-own"], json.loads(body)) == (299, "1", {"disk": "full"})


async def test_requests_are_counted_once_whichever_way_they_come() -> None:
    own = '# HELP conf C.\n# TYPE conf gauge\nconf{server="echo",replica="%d"} 0.5\n'
    figures = Figures()
    figures.observe(200, 0.01, 0.001, 0.009, 1.0)
    _, directory = world(
        metrics=lambda: own % 1 + own % 2 + "not a sample\nspice_http_fake 1\n",
        replicas=lambda: [("1", figures)],
    )
    async with serve(directory=directory) as served:
        for data in (b"{}", pieces(b"{}"), b"{}"):
            await ask(served, "POST", PREDICT, data=data)
        text = (await ask(served, "GET", "/metrics"))[2].decode()
        of_one = (await ask(served, "GET", "/servers/echo/metrics"))[2].decode()
    families = {family.name: family for family in text_string_to_metric_families(text)}
    counted = {
        (it.labels["method"], it.labels["route"], it.labels["status"]): it.value
        for it in families["spice_http_requests"].samples
    }
    assert counted["POST", "/servers/{server}/predict", "200"] == 3
    assert len(families["conf"].samples) == 2
    assert text.count("# TYPE conf gauge") == 1
    assert "spice_http_fake" not in text
    for told in (text, of_one):
        assert (
            'spice_server_replica_requests_total{replica="1",server="echo",status="200"} 1' in told
        )
        assert 'spice_server_queued{server="echo"} 0.0' in told
        assert 'spice_server_request_seconds_count{server="echo"}' in told
        assert 'conf{server="echo",replica="2"} 0.5' in told


async def test_a_server_tells_its_own_document_with_the_payloads_schema() -> None:
    schema = {
        "type": "object",
        "properties": {"item": {"$ref": "#/$defs/Item"}},
        "$defs": {"Item": {"type": "object", "properties": {"n": {"type": "integer"}}}},
    }
    _, directory = world(
        predictor={"class": "Mine", "payload_schema": schema, "answer_schema": {"type": "array"}}
    )
    async with serve(directory=directory) as served:
        _, _, body = await ask(served, "GET", "/servers/echo/openapi.json")
        document = json.loads(body)
        entry = document["paths"][PREDICT]["post"]
        payload = entry["requestBody"]["content"]["application/json"]["schema"]
        assert payload["properties"]["item"] == {"$ref": "#/components/schemas/Item"}
        assert document["components"]["schemas"]["Item"]["properties"]["n"]["type"] == "integer"
        assert entry["responses"]["200"]["content"]["application/json"]["schema"] == {
            "type": "array"
        }
        assert document["paths"]["/local/echo/predict"]["post"] == entry
        assert document["info"]["version"] == "3"
        meta.validate({**payload, "$schema": "https://json-schema.org/draft/2020-12/schema"})
        _, _, body = await ask(served, "GET", "/api/openapi.json")
        paths = json.loads(body)["paths"]
        assert {"/servers/{server}/predict", "/v2/models/{server}/infer"} <= paths.keys()
        assert (await ask(served, "GET", "/servers/nix/openapi.json"))[0] == 404


@pytest.mark.parametrize("run", [asyncio.run, uvloop.run])
def test_predictions_under_tls_are_answered_and_not_handed_on(run: Run, tmp_path: Path) -> None:
    async def scenario() -> None:
        endpoint, directory = world()
        cert, key = write_pair(tmp_path, "one")
        settings = Settings(http_port=0, tls_cert=str(cert), tls_key=str(key))
        async with serve(settings, directory=directory) as served:
            context = ssl.create_default_context(cafile=str(cert))
            head = f"POST {PREDICT} HTTP/1.1\r\nHost: localhost\r\nContent-Length: ".encode()
            reader, writer = await asyncio.open_connection(
                "127.0.0.1", served.port, ssl=context, server_hostname="localhost", limit=2**20
            )
            large = b"x" * 100_000
            writer.write(head + b"100000\r\n\r\n" + large + head + b"3\r\n\r\nend")
            assert (await reader.readuntil(b"end")).count(b"HTTP/1.1 200 ") == 2
            writer.write(b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n")
            assert (await reader.readuntil(b"\r\n\r\nok")).startswith(b"HTTP/1.1 200 ")
            writer.write(head + b"4\r\n\r\nlast")
            await reader.readuntil(b"last")
            _, idle = await asyncio.open_connection(
                "127.0.0.1", served.port, ssl=context, server_hostname="localhost"
            )
            sock = served.door.sock
            assert sock is not None
            assert await served.door.close(1, keep_socket=True) == []
            sock.close()
            assert await reader.read() == b""
            for one in (writer, idle):
                one.close()
        assert [len(call.body) for call in endpoint.seen] == [100_000, 3, 4]

    run(scenario())


def test_an_engine_of_another_owner_is_served_under_its_name() -> None:
    async def scenario() -> None:
        endpoint = Endpoint()
        directory = Directory("acme")
        directory.put(directories.Served("echo", endpoint, Door(), SERVER_TOKEN, 1, (), Figures()))
        async with serve(directory=directory) as served:
            assert (await ask(served, "POST", "/acme/echo/predict", data=b"1"))[2] == b"1"
            assert (await ask(served, "POST", "/local/echo/predict", data=b"1"))[0] == 404

    asyncio.run(scenario())
