"""Which requests the fast lane takes, and that all others reach aiohttp unchanged."""

from __future__ import annotations

import asyncio
import itertools

import pytest
from aiohttp.base_protocol import BaseProtocol
from aiohttp.http_parser import HttpRequestParser
from fast_lanes import SERVER_TOKEN, TOKEN, Echo, Later, Link, answers, make_lane, post
from hypothesis import given, settings
from hypothesis import strategies as st

from spice_engine.api.fast_http import MOST_BODY, codec_of
from spice_engine.protocol.servers import Door
from spice_engine.settings import Settings
from spice_runtime import wire
from tests.examples import examples


def ask(data: bytes, **more: object) -> tuple[Echo, Link]:
    echo = Echo()
    link = Link(make_lane(echo, **more))  # type: ignore[arg-type]
    link.feed(data)
    return echo, link


async def test_an_ordinary_prediction_is_answered_with_all_that_the_door_says() -> None:
    _, link = ask(post(b'{"a": 1}', "Content-Type: application/json"))
    ((status, fields, body),) = answers(bytes(link.sent))
    assert (status, body) == (200, b'{"a": 1}')
    assert fields["content-type"] == "application/json"
    assert fields["x-request-id"] == "r-1"
    assert fields["x-content-type-options"] == "nosniff"
    assert fields["referrer-policy"] == "no-referrer"
    assert fields["cache-control"] == "no-store"
    assert fields["content-security-policy"].startswith("default-src 'none'")
    assert fields["server"] == "spice-tui"
    assert fields["date"].endswith("GMT")
    assert link.writes == 1
    assert not link.closed


@pytest.mark.parametrize(
    ("path", "codec"),
    [
        ("/servers/echo/predict", wire.JSON),
        ("/local/echo/predict", wire.JSON),
        ("/servers/echo/predict?a=1&b=%20", wire.JSON),
        ("/v2/models/echo/infer", wire.INFER),
    ],
)
async def test_predict_paths(path: str, codec: int) -> None:
    echo, link = ask(post(path=path))
    assert answers(bytes(link.sent))[0][0] == 200
    assert echo.seen[0].codec == codec


@pytest.mark.parametrize(
    "path",
    [
        "/servers/nix/predict",
        "/servers/echo/predict/",
        "/servers/echo/health",
        "/other/echo/predict",
        "/servers/ec%68o/predict",
        "/servers/../predict",
        "/v2/models/echo/versions/3/infer",
        "/api/v1/servers/echo/predict",
        "/servers//predict",
        "/",
        "*",
        "http://localhost/servers/echo/predict",
    ],
)
async def test_other_paths_are_aiohttps(path: str) -> None:
    data = post(path=path)
    echo, link = ask(data)
    assert not echo.seen
    assert link.handed == data


@pytest.mark.parametrize(
    "line",
    [
        "Transfer-Encoding: chunked",
        "Transfer-Encoding: identity",
        "Transfer-Encoding : chunked",
        "transfer-encoding:\tchunked",
        "Content-Encoding: gzip",
        "Expect: 100-continue",
        "Upgrade: websocket",
        "TE: trailers",
        "Trailer: X-Sum",
        "HTTP2-Settings: AAMAAABkAAQAAP__",
        "Connection: Upgrade, keep-alive",
        "Connection: close, X-Secret",
        "Origin: http://localhost",
        "Sec-Fetch-Site: cross-site",
        "Host: evil.example",
        "Content-Length: 2",
        "Content-Length: 3",
        "Content-Length: +2",
        "Content-Length: 2, 2",
        "Content-Length:",
        "Content-Type: a/b\r\nContent-Type: c/d",
        "Authorization: Bearer a\r\nAuthorization: Bearer b",
        "X-Request-Deadline: soon",
        "X-Request-Deadline: -1",
        "X-Request-Deadline: 0",
        "X-Request-Deadline: nan",
        "X-Request-Deadline: 1e3",
        "A: b\r\n folded: yes",
        " A: b",
        "A b: c",
        "A\x00: b",
        "A: b\x00",
        "A: b\x7f",
        "A: b\rc",
        "A: b\nTransfer-Encoding: chunked",
        "A: ü",
        ": empty",
        "nocolon",
        "A: " + "x" * 9000,
        "\r\n".join(f"A{number}: b" for number in range(120)),
    ],
)
async def test_unusual_lines_never_reach_the_endpoint(line: str) -> None:
    for data in (post(b"{}", line), post(b"{}", line).replace(b"\r\nHost: localhost", b"", 1)):
        echo, link = ask(data)
        assert not echo.seen
        assert link.handed == data
        assert not link.sent


@pytest.mark.parametrize(
    "data",
    [
        b"GET /servers/echo/predict HTTP/1.1\r\nHost: localhost\r\n\r\n",
        b"post /servers/echo/predict HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\n\r\n",
        post().replace(b"HTTP/1.1", b"HTTP/1.0"),
        post().replace(b"HTTP/1.1", b"HTTP/2.0"),
        post().replace(b"POST /", b"POST  /"),
        post().replace(b" HTTP", b"  HTTP"),
        post().replace(b"\r\nContent", b"\nContent"),
        post().replace(b"Content-Length: 2", b"X: y"),
        post().replace(b"localhost", b"localhost:80:90"),
        b"\r\n" + post(),
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        post(bytes(MOST_BODY + 1)),
    ],
)
async def test_other_requests_are_aiohttps(data: bytes) -> None:
    echo, link = ask(data)
    assert not echo.seen
    assert link.handed == data


async def test_an_empty_body_and_the_largest_one_are_taken() -> None:
    for body in (b"", bytes(MOST_BODY)):
        echo, link = ask(post(body))
        assert echo.seen[0].body == body
        assert answers(bytes(link.sent))[0][2] == body


async def test_a_body_over_the_servers_limit_is_aiohttps() -> None:
    echo, link = ask(post(b"123456"), door=Door(max_body=5))
    assert not echo.seen
    assert link.handed == post(b"123456")


@pytest.mark.parametrize(
    ("host", "taken"),
    [
        ("localhost", True),
        ("LOCALHOST:80", True),
        ("127.0.0.1:8000", True),
        ("[::1]:8000", True),
        ("engine.example", True),
        ("evil.example", False),
        ("127.0.0.1.evil.example", False),
        ("", False),
        ("[::1", False),
    ],
)
async def test_only_known_hosts(host: str, taken: bool) -> None:
    echo, _ = ask(post(host=host), settings=Settings(allowed_hosts=["engine.example"]))
    assert bool(echo.seen) is taken


@pytest.mark.parametrize(
    ("auth", "peer", "line", "taken"),
    [
        ("none", "127.0.0.1", "A: b", True),
        ("none", "127.0.0.1", "Authorization: Bearer of-the-predictor", True),
        ("none", "127.0.0.1", "X-Forwarded-For: 10.0.0.1", False),
        ("none", "127.0.0.1", f"Via: p\r\nAuthorization: Bearer {SERVER_TOKEN}", True),
        ("none", "10.0.0.1", "A: b", False),
        ("none", "10.0.0.1", f"Authorization: Bearer {TOKEN}", True),
        ("none", "10.0.0.1", f"authorization: bearer {SERVER_TOKEN}", True),
        ("none", "10.0.0.1", f"Authorization: Basic {SERVER_TOKEN}", False),
        ("token", "127.0.0.1", "A: b", False),
        ("token", "127.0.0.1", "Authorization: Bearer wrong", False),
        ("token", "127.0.0.1", "Authorization: Bearer ", False),
        ("token", "127.0.0.1", f"Authorization: Bearer {SERVER_TOKEN}", True),
        ("token", "127.0.0.1", f"Authorization: Bearer {TOKEN}", True),
    ],
)
async def test_tokens_and_loopback(auth: str, peer: str, line: str, taken: bool) -> None:
    echo = Echo()
    link = Link(make_lane(echo, Door(auth=auth)), peer)
    link.feed(post(b"{}", line))
    assert bool(echo.seen) is taken
    link.feed(post(b"{}", line))  # the head is known now: the rules are the same
    assert len(echo.seen) == (2 if taken else 0)


async def test_without_open_loopback_everybody_needs_a_token() -> None:
    for line, taken in (("A: b", False), (f"Authorization: Bearer {TOKEN}", True)):
        echo, _ = ask(post(b"{}", line), settings=Settings(open_loopback=False))
        assert bool(echo.seen) is taken


async def test_a_known_head_follows_the_server_when_it_changes() -> None:
    echo = Echo()
    lane = make_lane(echo)
    link = Link(lane)
    link.feed(post())
    served = lane.directory.get("echo")
    assert served is not None
    served.door = Door(auth="token")
    link.feed(post())
    assert len(echo.seen) == 1
    assert link.handed == post()


async def test_request_ids_are_taken_over_where_they_are_sound() -> None:
    for told, seen in (("abc-1", "abc-1"), ("with space", "r-1"), ("x" * 65, "r-1"), ("", "r-1")):
        echo, link = ask(post(b"{}", f"X-Request-Id: {told}"))
        assert echo.seen[0].request_id == seen
        assert answers(bytes(link.sent))[0][1]["x-request-id"] == seen


async def test_deadlines_are_capped_by_the_servers() -> None:
    for line, seconds in (
        ("A: b", 7.0),
        ("X-Request-Deadline: 2.5", 2.5),
        ("X-Request-Deadline: 99", 7.0),
    ):
        echo, _ = ask(post(b"{}", line), door=Door(deadline=7.0))
        call = echo.seen[0]
        assert call.deadline - call.arrived == pytest.approx(seconds)


async def test_the_head_goes_along_where_the_predictor_wants_it() -> None:
    data = post(b"{}", "X-Own: 1")
    echo, _ = ask(data)
    assert echo.seen[0].head == b""
    echo, _ = ask(data, wants_head=True)
    line, _, rest = data.removesuffix(b"{}").partition(b"\r\n")
    assert echo.seen[0].head == line + b"\r\nX-Request-Id: r-1\r\n" + rest
    data = post(b"{}", "X-Request-Id: mine", path="/v2/models/echo/infer")
    echo, _ = ask(data)
    assert echo.seen[0].head == data.removesuffix(b"{}")


@pytest.mark.parametrize(
    ("kind", "codec"),
    [
        (b"", wire.JSON),
        (b"application/json", wire.JSON),
        (b"Application/JSON; charset=utf-8", wire.JSON),
        (b"application/x-www-form-urlencoded", wire.JSON),
        (b"text/plain", wire.JSON),
        (b"application/geo+json", wire.JSON),
        (b"application/msgpack", wire.MSGPACK),
        (b"application/x-msgpack", wire.MSGPACK),
        (b"application/x-npy", wire.NPY),
        (b"application/octet-stream", wire.RAW),
        (b"image/png", wire.RAW),
        (b"multipart/form-data; boundary=x", wire.RAW),
    ],
)
def test_codecs(kind: bytes, codec: int) -> None:
    assert codec_of(kind) == codec


async def test_a_request_after_predictions_waits_for_their_answers_and_then_is_aiohttps() -> None:
    later = Later()
    link = Link(make_lane(later))
    rest = b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n"
    link.feed(post(b"1") + post(b"2") + rest)
    assert link.handed is None
    later.finish(1)
    assert link.handed is None
    assert not link.sent
    later.finish()
    await _turn()
    assert [body for _, _, body in answers(bytes(link.sent))] == [b"1", b"2"]
    assert link.handed == rest
    assert link.reading


async def _turn() -> None:
    await asyncio.sleep(0)
    await asyncio.sleep(0)


SOUND = st.lists(
    st.builds(
        post,
        st.binary(max_size=40),
        st.sampled_from(["A: b", "Content-Type: text/plain", "Connection: keep-alive"]),
        path=st.sampled_from(["/servers/echo/predict", "/local/echo/predict?x"]),
    ),
    min_size=1,
    max_size=6,
)


@settings(max_examples=examples(200), deadline=None)
@given(SOUND, st.lists(st.integers(0, 900), max_size=12), st.booleans())
async def test_any_split_and_any_pipelining_gives_the_same_answers(
    requests: list[bytes], cuts: list[int], other: bool
) -> None:
    rest = b"DELETE /x HTTP/1.1\r\n\r\n" if other else b""
    data = b"".join(requests) + rest
    echo = Echo()
    link = Link(make_lane(echo))
    places = sorted({0, len(data), *(cut % (len(data) + 1) for cut in cuts)})
    for start, end in itertools.pairwise(places):
        link.feed(data[start:end])
    assert [call.body for call in echo.seen] == [one.partition(b"\r\n\r\n")[2] for one in requests]
    assert [body for _, _, body in answers(bytes(link.sent))] == [call.body for call in echo.seen]
    assert (link.handed or b"") == rest
    lane_held = link.protocol.lane.held if not other else 0
    assert lane_held == 0


@settings(max_examples=examples(200), deadline=None)
@given(st.binary(max_size=60), st.integers(0, 200))
async def test_bytes_put_anywhere_into_a_head_are_read_as_they_stand_or_handed_on(
    noise: bytes, place: int
) -> None:
    data = post(b"body")
    place %= len(data) - len(b"body")
    echo, link = ask(data[:place] + noise + data[place:])
    for call in echo.seen:
        # What the lane took is one request of HTTP, of exactly the length that it told.
        assert call.body in data + noise + data
        assert len(call.body) <= len(noise) + 4
    taken = len(echo.seen)
    assert taken == len(answers(bytes(link.sent)))


LINES = st.sampled_from(
    [
        "A: b",
        "Content-Length: 4",
        "Content-Length: 5",
        "content-length:4",
        "Content-Length: 04",
        "Content-Length: 0x4",
        "Content-Length: 4 ",
        "Content-Length: 4\t",
        "Transfer-Encoding: chunked",
        "Transfer-Encoding:chunked, identity",
        "Host: localhost",
        "host: LOCALHOST:80",
        "Host: evil.example",
        "Connection: close",
        "Connection: keep-alive",
        "X: \tpadded \t",
        "X:",
        "Content-Type: application/msgpack",
        "Upgrade: h2c",
        "\x0bX: y",
    ]
)


MOST_ARE_SOUND = st.one_of(
    st.lists(LINES, max_size=3).flatmap(
        lambda some: st.permutations([*some, "Host: localhost", "Content-Length: 4"])
    ),
    st.lists(LINES, max_size=6),
)


@settings(max_examples=examples(600), deadline=None)
@given(MOST_ARE_SOUND, st.sampled_from(["\r\n", "\r\n", "\r\n", "\n", "\r"]))
async def test_aiohttp_understands_what_the_lane_takes_in_the_same_way(
    lines: list[str], end: str
) -> None:
    first = "POST /servers/echo/predict HTTP/1.1"
    data = (end.join([first, *lines]) + "\r\n\r\n").encode() + b"body"
    echo, link = ask(data)
    if not echo.seen:
        assert not link.sent
        return
    loop = asyncio.get_running_loop()
    parser = HttpRequestParser(BaseProtocol(loop), loop, 2**16)
    message, payload = parser.feed_data(data)[0][0]
    assert (message.method, message.path) == ("POST", "/servers/echo/predict")
    assert not message.chunked
    assert not message.upgrade
    assert echo.seen[0].body == await payload.read()
    assert message.headers.getall("Host")[0].lower() in {"localhost", "localhost:80"}
    assert message.should_close is link.closed
