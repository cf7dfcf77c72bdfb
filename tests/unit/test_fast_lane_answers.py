"""Answers of the fast lane: their order, streams, clients that leave, slow ones, the hand-over."""

from __future__ import annotations

import asyncio
import socket

import pytest
from fast_lanes import Echo, Later, Link, answers, make_lane, post
from hypothesis import given, settings
from hypothesis import strategies as st

from spice_engine.api.fast_connection import MOST_CALLS, PERIOD
from spice_engine.api.handover import HandedOver
from spice_engine.protocol.servers import Door
from spice_engine.serving.calls import Call
from spice_engine.settings import Settings
from spice_runtime import wire
from tests.examples import examples


async def turn() -> None:
    """Let the loop do what it was asked for."""
    for _ in range(3):
        await asyncio.sleep(0)


@settings(max_examples=examples(60), deadline=None)
@given(st.permutations(range(6)))
async def test_answers_leave_in_the_order_of_the_requests(order: list[int]) -> None:
    later = Later()
    lane = make_lane(later)
    link = Link(lane)
    link.feed(b"".join(post(b"%d" % number) for number in range(6)))
    calls = list(later.calls)
    for number in order:
        later.finish(later.calls.index(calls[number]))
    assert [body for _, _, body in answers(bytes(link.sent))] == [b"%d" % n for n in range(6)]
    assert lane.in_flight == 0


@pytest.mark.parametrize(
    ("codec", "head", "kind"),
    [
        (wire.AS_JSON, b"", "application/json"),
        (wire.AS_TEXT, b"", "text/plain; charset=utf-8"),
        (wire.AS_BYTES, b"", "application/octet-stream"),
        (wire.AS_GIVEN, b"content-type: image/png\r\n", "image/png"),
        (wire.AS_JSON, b"Content-Type: application/x-own\r\n", "application/x-own"),
    ],
)
async def test_content_types_come_from_the_codec_or_the_replica(
    codec: int, head: bytes, kind: str
) -> None:
    later = Later()
    link = Link(make_lane(later))
    link.feed(post())
    later.calls.pop().answer(201, codec, head, b"body")
    ((status, fields, body),) = answers(bytes(link.sent))
    assert (status, fields["content-type"], body) == (201, kind, b"body")


async def test_what_a_replica_says_of_the_connection_is_not_passed_on() -> None:
    later = Later()
    link = Link(make_lane(later))
    head = (
        b"x-own: 1\r\nSet-Cookie: a=1\r\nset-cookie: b=2\r\nContent-Length: 999\r\n"
        b"Transfer-Encoding: chunked\r\nConnection: close\r\nServer: other\r\n"
        b"no line\r\nbad\x00: x\r\nbroken: a\rb\r\nCache-Control: max-age=60\r\n"
        b"X-Content-Type-Options: other\r\n"
    )
    for _ in range(2):
        link.feed(post())
        later.calls.pop().answer(200, wire.AS_JSON, head, b"{}")
    text = bytes(link.sent).decode()
    for _, fields, body in answers(bytes(link.sent)):
        assert body == b"{}"
        assert fields["content-length"] == "2"
        assert fields["x-own"] == "1"
        assert fields["server"] == "spice-tui"
        assert fields["x-content-type-options"] == "nosniff"
        assert fields["cache-control"] == "max-age=60"
        assert not {"transfer-encoding", "connection", "broken"} & fields.keys()
    assert text.lower().count("set-cookie: ") == 4
    assert text.count("max-age") == 2
    assert "no-store" not in text


async def test_answers_without_a_body_have_none() -> None:
    later = Later()
    link = Link(make_lane(later))
    for status in (204, 304):
        link.feed(post())
        later.calls.pop().answer(status, wire.AS_BYTES, b"", b"ignored")
    assert [status for status, _, _ in answers(bytes(link.sent))] == [204, 304]
    assert b"ignored" not in link.sent


@pytest.mark.parametrize("status", [0, 99, 100, 101, 600, 65535])
async def test_what_is_no_final_status_is_a_502(status: int) -> None:
    later = Later()
    link = Link(make_lane(later))
    link.feed(post())
    later.calls.pop().answer(status, wire.AS_TEXT, b"", b"")
    assert answers(bytes(link.sent))[0][0] == 502


async def test_origins_of_the_server_or_the_door_make_answers_vary() -> None:
    for door, set_so, varied in (
        (Door(), Settings(), False),
        (Door(cors=["https://app.example"]), Settings(), True),
        (Door(), Settings(cors_origins=["https://app.example"]), True),
    ):
        link = Link(make_lane(Echo(), door, set_so))
        link.feed(post())
        assert (answers(bytes(link.sent))[0][1].get("vary") == "Origin") is varied


async def test_connection_close_is_the_last_request() -> None:
    echo = Echo()
    link = Link(make_lane(echo))
    link.feed(post(b"1") + post(b"2", "Connection: close") + post(b"3"))
    assert [call.body for call in echo.seen] == [b"1", b"2"]
    first, last = answers(bytes(link.sent))
    assert "connection" not in first[1]
    assert last[1]["connection"] == "close"
    assert link.closed


# -- streams


def stream(call: Call, status: int = 200) -> Call:
    call.streaming = True
    call.stream(status, wire.AS_GIVEN, b"content-type: text/event-stream\r\n")
    return call


async def test_a_stream_is_chunks_with_credit_for_each() -> None:
    later = Later()
    lane = make_lane(later)
    link = Link(lane)
    link.feed(post())
    call = stream(later.calls.pop())
    for data in (b"one", b"", b"two" * 5000):
        call.chunk(data)
    assert later.credits[id(call)] == 3 + 15_000
    assert lane.in_flight == 1
    call.end("")
    ((status, fields, body),) = answers(bytes(link.sent))
    assert (status, body) == (200, b"one" + b"two" * 5000)
    assert fields["content-type"] == "text/event-stream"
    assert lane.in_flight == 0
    link.feed(post(b"after"))
    later.finish()
    assert answers(bytes(link.sent))[1][2] == b"after"


async def test_a_stream_that_breaks_is_cut_without_its_last_chunk() -> None:
    later = Later()
    link = Link(make_lane(later))
    link.feed(post() + post(b"never answered"))
    call = stream(later.calls.pop(0))
    call.chunk(b"one")
    call.end("the generator raised")
    assert link.sent.endswith(b"3\r\none\r\n")
    assert link.closed
    assert later.bodies == [b"never answered"]


async def test_no_credit_while_the_client_does_not_read() -> None:
    later = Later()
    link = Link(make_lane(later))
    link.feed(post())
    call = stream(later.calls.pop())
    link.protocol.pause_writing()
    call.chunk(b"x" * 100)
    assert not later.credits
    link.protocol.resume_writing()
    assert later.credits[id(call)] == 100


async def test_a_stream_waits_for_its_turn_and_then_goes_on() -> None:
    later = Later()
    link = Link(make_lane(later))
    link.feed(post(b"first") + post(b"second") + post(b"third"))
    call = stream(later.calls.pop(1))
    call.chunk(b"early ")
    assert not link.sent
    assert not later.credits
    later.finish()
    assert later.credits[id(call)] == 6
    later.finish()  # the third one
    call.chunk(b"late")
    call.end("")
    assert [body for _, _, body in answers(bytes(link.sent))] == [b"first", b"early late", b"third"]


async def test_streams_of_statuses_without_a_body_send_none() -> None:
    later = Later()
    link = Link(make_lane(later))
    link.feed(post())
    call = stream(later.calls.pop(), 204)
    call.chunk(b"ignored")
    call.end("")
    assert later.credits[id(call)] == 7
    assert b"ignored" not in link.sent
    assert b"chunked" not in link.sent


# -- clients


async def test_a_client_that_leaves_cancels_its_calls_and_is_counted() -> None:
    later = Later()
    lane = make_lane(later)
    link = Link(lane)
    link.feed(post(b"1") + post(b"2") + post(b"3"))
    later.finish(1)
    kept = list(later.calls)
    link.hang_up()
    assert later.cancelled == kept
    assert lane.in_flight == 0
    assert not lane.connections
    for call in kept:  # an answer that crosses the cancellation is nobody's
        call.answer(200, wire.AS_JSON, b"", b"")
        call.chunk(b"x")
        call.end("")
    assert lane.in_flight == 0


async def test_pipelining_is_bounded_and_goes_on() -> None:
    later = Later()
    lane = make_lane(later)
    link = Link(lane)
    number = 3 * MOST_CALLS
    link.feed(b"".join(post(b"%d" % place) for place in range(number)))
    assert len(later.calls) <= MOST_CALLS + 1
    assert not link.reading
    while later.calls:
        later.finish()
        await turn()
    assert [body for _, _, body in answers(bytes(link.sent))] == [b"%d" % n for n in range(number)]
    assert link.reading
    assert lane.held == 0


async def test_a_client_that_does_not_read_is_not_read_from() -> None:
    echo = Echo()
    link = Link(make_lane(echo))
    link.feed(post(b"1"))
    link.protocol.pause_writing()
    link.feed(post(b"2") + post(b"3"))
    assert len(echo.seen) == 1
    assert not link.reading
    link.protocol.resume_writing()
    assert [call.body for call in echo.seen] == [b"1", b"2", b"3"]
    assert link.reading


@pytest.mark.parametrize("cut", [3, 30, -1])
async def test_what_is_not_whole_after_a_second_is_aiohttps(cut: int) -> None:
    echo = Echo()
    lane = make_lane(echo)
    link = Link(lane)
    data = post(b"body")
    link.feed(data[:cut])
    lane.tick += round(1 / PERIOD)
    link.protocol.look(lane.tick)
    assert link.handed is None
    lane.tick += 1
    link.protocol.look(lane.tick)
    assert link.handed == data[:cut]
    assert lane.held == 0
    link.feed(data[cut:])
    assert link.handed == data
    assert not echo.seen


async def test_a_byte_now_and_then_does_not_count_as_progress() -> None:
    lane = make_lane(Echo())
    link = Link(lane)
    data = post(b"body")
    for place in range(4):
        link.feed(data[place : place + 1])
        lane.tick += 1
        for connection in list(lane.connections):
            connection.look(lane.tick)
    assert link.handed == data[:4]


async def test_requests_that_are_not_whole_are_bounded_together(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("spice_engine.api.fast_connection.MOST_HELD", 2000)
    lane = make_lane(Echo())
    links = [Link(lane) for _ in range(4)]
    for link in links:
        link.feed(post(b"x" * 900)[:-10])
    assert [link.handed is not None for link in links] == [False, False, True, True]
    for link in links[:2]:
        link.hang_up()
    assert lane.held == 0


async def test_idle_connections_close_and_busy_ones_do_not() -> None:
    later = Later()
    lane = make_lane(later)
    busy, idle = Link(lane), Link(lane)
    busy.feed(post())
    lane.tick += round(80 / PERIOD)
    for link in (busy, idle):
        link.protocol.look(lane.tick)
    assert idle.closed
    assert not busy.closed
    later.finish()
    busy.protocol.look(lane.tick + 1)
    assert not busy.closed


# -- the end


async def test_at_the_end_calls_get_their_answers_and_connections_close() -> None:
    later = Later()
    lane = make_lane(later)
    busy, idle = Link(lane), Link(lane)
    busy.feed(post(b"1") + post(b"2"))
    lane.stop(hand_over=False)
    assert idle.closed
    waiting = asyncio.create_task(lane.drained())
    await turn()
    assert not waiting.done()
    later.finish()
    later.finish()
    await waiting
    first, last = answers(bytes(busy.sent))
    assert (first[2], last[2]) == (b"1", b"2")
    assert last[1]["connection"] == "close"
    assert busy.closed


class SocketLink(Link):
    """A link with a real socket behind it."""

    def __init__(self, lane) -> None:
        super().__init__(lane)
        with socket.create_server(("127.0.0.1", 0)) as listener:
            self.theirs = socket.create_connection(listener.getsockname())
            self.mine, _ = listener.accept()

    def get_extra_info(self, name, default=None):
        return self.mine if name == "socket" else super().get_extra_info(name, default)

    def hang_up(self) -> None:
        self.mine.close()
        super().hang_up()


async def test_a_hand_over_keeps_connections_with_what_nobody_has_begun() -> None:
    later = Later()
    lane = make_lane(later)
    link = SocketLink(lane)
    begun, waiting, partial = post(b"begun"), post(b"waiting"), post(b"partial")[:-3]
    link.feed(begun + waiting + partial)
    later.calls[0].sent = 1.0
    lane.stop(hand_over=True)
    assert later.bodies == [b"waiting"]
    assert lane.in_flight == 1
    later.finish()
    await lane.drained()
    assert [body for _, _, body in answers(bytes(link.sent))] == [b"begun"]
    (handed,) = await lane.take()
    assert handed.unused == waiting + partial
    assert link.closed
    # In the process image that follows:
    echo = Echo()
    heir = make_lane(echo)
    await heir.take_up(handed)
    theirs = link.theirs
    theirs.setblocking(False)
    loop = asyncio.get_running_loop()
    await loop.sock_sendall(theirs, b"ial")
    got = b""
    while len(answers(got)) < 2:
        got += await loop.sock_recv(theirs, 65536)
    assert [body for _, _, body in answers(got)] == [b"waiting", b"partial"]
    heir.cut()
    theirs.close()
    await turn()


async def test_what_cannot_be_handed_over_is_closed() -> None:
    later = Later()
    lane = make_lane(later)
    link, slow = SocketLink(lane), SocketLink(lane)
    link.feed(post(b"begun"))
    later.calls[0].sent = 1.0
    slow.unsent = 5
    lane.stop(hand_over=True)
    assert await lane.take() == []
    assert link.closed
    assert slow.closed
    assert len(later.cancelled) == 1
    for it in (link, slow):
        it.theirs.close()


async def test_a_broken_descriptor_is_no_error() -> None:
    lane = make_lane(Echo())
    one, other = socket.socketpair()
    other.close()
    await lane.take_up(HandedOver(one.detach(), post()))
    await turn()
    lane.cut()
    await turn()
    assert not lane.connections


async def test_an_idle_client_that_does_not_read_its_answers_is_let_go(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    lane = make_lane(Echo())
    link = Link(lane)
    # As asyncio's: what is unsent goes first, however long that takes.
    monkeypatch.setattr(link, "close", lambda: None)
    for number, unsent in enumerate((90_000, 70_000, 70_000), 1):
        assert not link.closed  # slow is not idle
        link.unsent = unsent
        link.protocol.look(lane.tick + 151 * number)
    assert link.closed
    assert not lane.connections
