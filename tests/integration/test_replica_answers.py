"""What a predictor returns or raises, and what its client gets: the table, row by row."""

from __future__ import annotations

import math
from typing import Any

import pytest

from spice_runtime import wire
from tests.conftest import wait_for
from tests.integration.replica_client import Frame, Lane
from tests.integration.replica_fixture import Starter, kept, running, start

__all__ = ["kept", "running", "start"]

ANSWERS = """
import uuid, numpy as np
from spice_runtime import BasePredictor
from starlette.responses import (
    Response, JSONResponse, PlainTextResponse, StreamingResponse, FileResponse, RedirectResponse)
from starlette.exceptions import HTTPException
from starlette.background import BackgroundTask
ID = uuid.UUID("12345678-1234-5678-1234-567812345678")
def boom():
    raise RuntimeError("boom")
def raise_(error):
    raise error
async def pieces():
    yield b"one,"
    yield b"two"
def note(path):
    open(path, "a").write("noted")
class Answers(BasePredictor):
    def predict(self, payload):
        return eval(payload) if isinstance(payload, str) else payload
"""

INVALID = (
    "Invalid response. Got untranslatable <class '{}'> return type. Return an object that is "
    "JSON-serializable (including its nested fields), a bytes object, a string, or a "
    "starlette.responses.Response object"
)

JSON, TEXT, BYTES, GIVEN = wire.AS_JSON, wire.AS_TEXT, wire.AS_BYTES, wire.AS_GIVEN

TABLE: list[tuple[str, int, int, str]] = [
    ("{'a': 1, 'é': [None]}", 200, JSON, '{"a":1,"é":[null]}'),
    ("[1, 2.5]", 200, JSON, "[1,2.5]"),
    ("(1, 2)", 200, JSON, "[1,2]"),
    ("None", 200, JSON, "null"),
    (
        "{'a': np.arange(2), 'b': np.float64(0.5), 'i': ID}",
        200,
        JSON,
        '{"a":[0,1],"b":0.5,"i":"12345678-1234-5678-1234-567812345678"}',
    ),
    ("np.array([[1, 2], [3, 4]])", 200, JSON, "[[1,2],[3,4]]"),
    ("'text é'", 200, TEXT, "text é"),
    ("b'raw'", 200, BYTES, "raw"),
    ("3", 200, TEXT, "3"),
    ("2.5", 200, TEXT, "2.5"),
    ("True", 200, TEXT, "True"),
    ("float('nan')", 200, TEXT, "nan"),
    ("ID", 200, TEXT, "12345678-1234-5678-1234-567812345678"),
    ("np.float32(2.5)", 200, TEXT, "2.5"),
    ("np.int64(7)", 200, TEXT, "7"),
    ("{1, 2}", 500, TEXT, INVALID.format("set")),
    ("object()", 500, TEXT, INVALID.format("object")),
    ("{'a': float('nan')}", 500, TEXT, INVALID.format("dict")),
    ("[float('inf')]", 500, TEXT, INVALID.format("list")),
    ("bytearray(b'x')", 500, TEXT, INVALID.format("bytearray")),
    ("raise_(HTTPException(401))", 401, TEXT, "Unauthorized"),
    ("raise_(HTTPException(418, 'tea'))", 418, TEXT, "tea"),
    ("raise_(HTTPException(429, 'slow', {'Retry-After': '3'}))", 429, TEXT, "slow"),
    ("boom()", 500, TEXT, "Internal Server Error"),
    ("raise_(SystemExit(3))", 500, TEXT, "Internal Server Error"),
    ("raise_(KeyboardInterrupt())", 500, TEXT, "Internal Server Error"),
    ("raise_(GeneratorExit())", 500, TEXT, "Internal Server Error"),
    ("PlainTextResponse('mine', 202)", 202, GIVEN, "mine"),
    ("JSONResponse({'a': 1}, 201)", 201, GIVEN, '{"a":1}'),
    ("Response(status_code=204)", 204, GIVEN, ""),
    ("RedirectResponse('/x')", 307, GIVEN, ""),
]


@pytest.fixture
def lane(kept: Starter) -> Lane:
    return kept(ANSWERS).lane()


def whole(lane: Lane, expression: Any) -> tuple[Frame, list[Frame]]:
    """The first frame of an answer, and the chunks and the end that follow a stream."""
    lane.begin(expression)
    first = lane.read()
    rest: list[Frame] = []
    if first.kind == wire.STREAM:
        rest.append(lane.read())
        while rest[-1].kind != wire.END:
            rest.append(lane.read())
    return first, rest


def test_every_row_of_the_table(lane: Lane) -> None:
    for expression, status, codec, body in TABLE:
        answer = lane.call(expression)
        assert (answer.status, answer.codec, answer.text) == (status, codec, body), expression


def test_any_json_value_is_a_payload(lane: Lane) -> None:
    for value in ([1, 2], 5, {"a": None}, None, 10**30, True, 2.5):
        answer = lane.call(value)
        scalar = not isinstance(value, (list, dict)) and value is not None
        assert answer.text == str(value) if scalar else answer.json == value
    assert lane.call(raw=b"NaN").text == "nan"
    assert lane.call(raw="[1]".encode("utf-16")).json == [1]


@pytest.mark.parametrize("body", [b"", b"{", b"\xff\xff", b"[" * 5000])
def test_a_body_that_is_no_json_is_the_clients_fault(lane: Lane, body: bytes) -> None:
    answer = lane.call(raw=body)
    assert (answer.status, answer.text) == (400, "Request must contain a JSON object")


def test_headers_of_responses_and_exceptions_come_through(lane: Lane) -> None:
    answer = lane.call("Response(b'x', headers={'X-Mine': 'yes'}, media_type='image/png')")
    assert answer.head == b"x-mine: yes\r\ncontent-type: image/png\r\n"
    answer = lane.call("raise_(HTTPException(429, 'slow', {'Retry-After': '3'}))")
    assert answer.head == b"Retry-After: 3\r\n"


@pytest.mark.parametrize(
    ("expression", "codec", "chunks"),
    [
        ("(x for x in ['a', 'é'])", TEXT, ["a", "é"]),
        ("(x for x in [b'a', b'b'])", BYTES, ["a", "b"]),
        ("({'n': x} for x in range(2))", GIVEN, ['{"n":0}\n', '{"n":1}\n']),
        ("pieces()", BYTES, ["one,", "two"]),
        ("StreamingResponse(iter(['a', 'b']), media_type='text/csv')", GIVEN, ["a", "b"]),
        ("StreamingResponse(pieces())", GIVEN, ["one,", "two"]),
    ],
)
def test_generators_and_streaming_responses_are_streams(
    lane: Lane, expression: str, codec: int, chunks: list[str]
) -> None:
    first, rest = whole(lane, expression)
    assert (first.kind, first.status, first.codec) == (wire.STREAM, 200, codec)
    assert [frame.text for frame in rest[:-1]] == chunks
    assert (rest[-1].kind, rest[-1].status) == (wire.END, 0)
    assert lane.call(1).text == "1"


def test_a_generator_that_fails_at_once_is_an_ordinary_error(lane: Lane) -> None:
    assert lane.call("(boom() for x in [1])").status == 500
    assert lane.call("(raise_(HTTPException(403)) for x in [1])").status == 403
    empty = lane.call("(x for x in [])")
    assert (empty.status, empty.text) == (200, "")


def test_a_generator_that_fails_later_is_cut_short(lane: Lane) -> None:
    first, rest = whole(lane, "(x if x else boom() for x in ['a', ''])")
    assert first.status == 200
    assert (rest[0].text, rest[-1].kind, rest[-1].status) == ("a", wire.END, 500)
    assert rest[-1].text == "the predictor failed in the middle of its answer"


def test_a_stream_waits_for_credit_and_ends_when_it_is_cancelled(kept: Starter) -> None:
    replica = kept(ANSWERS)
    lane = replica.lane()
    ident = lane.begin("(b'x' * 65536 for _ in range(100))")
    assert lane.read().kind == wire.STREAM
    sent = sum(len(lane.read().body) for _ in range(4))
    assert sent == wire.CREDIT_BYTES
    control = replica.connect()
    control.send(wire.frame(wire.CREDIT, ident, number=100_000))
    assert len(lane.read().body) + len(lane.read().body) == 2 * 65536
    control.send(wire.frame(wire.CANCEL, ident))
    end = lane.read()
    assert (end.kind, end.status) == (wire.END, 500)
    assert lane.call(1).text == "1"


def test_a_file_response_sends_its_file(lane: Lane, tmp_path: Any) -> None:
    path = tmp_path / "big.bin"
    path.write_bytes(b"0123456789" * 20_000)
    first, rest = whole(lane, f"FileResponse({str(path)!r})")
    assert first.status == 200
    assert b"etag" in first.head
    assert b"".join(frame.body for frame in rest[:-1]) == path.read_bytes()


def test_a_response_brings_its_background_task(lane: Lane, tmp_path: Any) -> None:
    path = tmp_path / "note"
    lane.call(f"PlainTextResponse('x', background=BackgroundTask(note, {str(path)!r}))")
    wait_for(path.exists, "the background task")


def test_tracebacks_go_to_the_log_and_with_debug_to_the_client(start: Starter) -> None:
    replica = start(ANSWERS, debug=True)
    replica.ready()
    answer = replica.lane().call("boom()")
    assert answer.status == 500
    assert answer.text.startswith("Traceback")
    assert answer.text.rstrip().endswith("RuntimeError: boom")
    assert "RuntimeError: boom" in replica.output()


WHOLE = """
from spice_runtime import BasePredictor, with_full_request, with_background_tasks, request_id
from starlette.requests import Request
class Whole(BasePredictor):
    @with_full_request(name="whole")
    @with_background_tasks(name="later")
    async def predict(self, payload, whole, later):
        later.add_task(self.note, "sync")
        later.add_task(self.note_async, "async")
        later.add_task(self.fail)
        return {
            "payload": payload, "path": whole.url.path, "query": dict(whole.query_params),
            "header": whole.headers["x-mine"], "method": whole.method,
            "body": (await whole.body()).decode(), "json": await whole.json(), "id": request_id(),
        }
    def note(self, what):
        print("noted", what)
    async def note_async(self, what):
        print("noted", what)
    def fail(self):
        raise ValueError("in the background")
"""
HEAD = (
    b"POST /servers/test/predict?a=1&b=x%20y HTTP/1.1\r\nHost: h\r\nX-Mine: yes\r\n"
    b"X-Request-Id: abc\r\n\r\n"
)
SYNC_WHOLE = """
from spice_runtime import BasePredictor
from starlette.requests import Request
from starlette.background import BackgroundTasks
class Mine(Request):
    pass
class Whole(BasePredictor):
    def predict(self, request: Mine, tasks: "BackgroundTasks"):
        tasks.add_task(print, "noted", "sync")
        return [type(request).__name__, request.url.path, request.headers["x-mine"]]
"""


def test_a_whole_request_and_background_tasks(start: Starter) -> None:
    replica = start(WHOLE, request_prefix="/servers/test")
    assert replica.ready()["wants_request"] is True
    answer = replica.lane().call({"k": 1}, head=HEAD)
    assert answer.json == {
        "payload": {"k": 1},
        "path": "/predict",
        "query": {"a": "1", "b": "x y"},
        "header": "yes",
        "method": "POST",
        "body": '{"k": 1}',
        "json": {"k": 1},
        "id": "abc",
    }
    wait_for(lambda: "noted sync" in replica.output(), "the sync task")
    wait_for(lambda: "noted async" in replica.output(), "the async task")
    wait_for(lambda: "ValueError: in the background" in replica.output(), "the failing task")


def test_a_sync_predictor_that_wants_a_request_gets_no_payload(start: Starter) -> None:
    replica = start(SYNC_WHOLE, request_prefix="/servers/test")
    replica.ready()
    answer = replica.lane().call(raw=b"{no json", head=HEAD)
    assert answer.json == ["Mine", "/predict", "yes"]
    wait_for(lambda: "noted sync" in replica.output(), "the task")


TYPED = """
import dataclasses, typing
import numpy as np, pydantic
from spice_runtime import BasePredictor
class Inner(pydantic.BaseModel):
    x: int
@dataclasses.dataclass
class Row:
    name: str
    sizes: typing.List[float]
    inner: typing.Optional[int] = None
class TD(typing.TypedDict):
    a: int
class Pydantic(BasePredictor):
    def predict(self, payload: Inner) -> Row:
        return {"x": payload.x, "type": type(payload).__name__}
class Dataclass(BasePredictor):
    def predict(self, payload: Row) -> Row:
        return payload
class Array(BasePredictor):
    def predict(self, payload: np.ndarray):
        return payload.sum()
class Raw(BasePredictor):
    def predict(self, payload: bytes):
        return payload[::-1]
class Typed(BasePredictor):
    def predict(self, payload: TD) -> typing.Dict[str, float]:
        return payload
class Text(BasePredictor):
    def predict(self, payload: str) -> str:
        return payload + "!"
"""


def test_payloads_of_a_type_are_checked(start: Starter) -> None:
    replica = start(TYPED, classname="Pydantic")
    told = replica.ready()
    assert told["payload_schema"]["properties"]["x"]["type"] == "integer"
    assert told["answer_schema"]["properties"]["sizes"]["items"] == {"type": "number"}
    lane = replica.lane()
    assert lane.call({"x": 3}).json == {"x": 3, "type": "Inner"}
    refused = lane.call({"x": "no"})
    assert refused.status == 422
    assert refused.json["detail"][0]["loc"] == ["x"]


def test_dataclasses_are_checked_without_any_library(start: Starter) -> None:
    replica = start(TYPED, classname="Dataclass")
    assert replica.ready()["payload_schema"]["required"] == ["name", "sizes"]
    lane = replica.lane()
    row = {"name": "a", "sizes": [1, 2.5]}
    assert lane.call(row).json == {"name": "a", "sizes": [1.0, 2.5], "inner": None}
    for payload, why in (
        ({"name": "a"}, "payload: the field sizes is missing"),
        ({**row, "y": 1}, "payload: unknown field y"),
        ({**row, "sizes": [1, "x"]}, "payload.sizes[1]: expected number, found string"),
        ([1], "payload: expected an object, found array"),
    ):
        refused = lane.call(payload)
        assert (refused.status, refused.json) == (422, {"detail": why})


def test_other_types_of_payloads(start: Starter) -> None:
    array, raw, typed, text = (
        start(TYPED, classname=name) for name in ("Array", "Raw", "Typed", "Text")
    )
    array.ready()
    lane = array.lane()
    assert lane.call([[1, 2], [3, 4]]).text == "10"
    assert lane.call([[1], [2, 3]]).status == 422
    raw.ready()
    assert raw.lane().call(raw=b"{abc").body == b"cba{"
    assert typed.ready()["payload_schema"]["properties"] == {"a": {"type": "integer"}}
    assert typed.lane().call({"a": "anything"}).json == {"a": "anything"}
    text.ready()
    assert text.lane().call("hi").text == "hi!"


def test_other_codecs(kept: Starter, tmp_path: Any) -> None:
    import io

    import msgpack
    import numpy as np

    replica = kept(ANSWERS)
    lane = replica.lane()
    packed = msgpack.packb({"a": [1, b"x"[0], {1: 2}]})
    assert lane.call(raw=packed, codec=wire.MSGPACK).json == {"a": [1, 120, {"1": 2}]}
    assert lane.call(raw=b"\xc1", codec=wire.MSGPACK).status == 400
    file = io.BytesIO()
    np.save(file, np.array([[1.5, 2]], "f4"))
    assert lane.call(raw=file.getvalue(), codec=wire.NPY).json == [[1.5, 2.0]]
    assert lane.call(raw=b"no array", codec=wire.NPY).status == 400
    objects = io.BytesIO()
    np.save(objects, np.array([object()], dtype=object), allow_pickle=True)
    assert lane.call(raw=objects.getvalue(), codec=wire.NPY).status == 400
    assert lane.call(raw=b"b'any'", codec=wire.RAW).body == b"b'any'"
    assert math.isclose(lane.call(2.5).number, 0, abs_tol=1e6)
