"""What a predictor returned, as status, codec, head and body of an answer."""

# What a user gives may be anything.
# pyright: reportUnknownVariableType=false, reportUnknownArgumentType=false
# pyright: reportUnknownMemberType=false

from __future__ import annotations

import re
import sys
import traceback
from types import AsyncGeneratorType, GeneratorType
from typing import Any, NamedTuple

from spice_runtime.optional import loaded
from spice_runtime.predictors.json_text import Untranslatable, dump, is_uuid
from spice_runtime.wire import AS_BYTES, AS_GIVEN, AS_JSON, AS_TEXT


class Answer(NamedTuple):
    """A whole answer; `head` are further header lines, each ending in CRLF."""

    status: int
    codec: int
    head: bytes
    body: bytes


class Streamed(NamedTuple):
    """An answer whose body comes piece by piece out of a generator."""

    pieces: Any


class Responding(NamedTuple):
    """An answer that a Starlette response writes itself."""

    response: Any


class BadPayload(Exception):
    """The client's fault, in words."""

    def __init__(self, status: int, message: str, content: bytes = b"") -> None:
        super().__init__(message)
        self.status = status
        self.content = content  # JSON that says more

    def answer(self) -> Answer:
        """What the client gets."""
        if self.content:
            return Answer(self.status, AS_JSON, b"", self.content)
        return text(self.status, str(self))


_FOLDS = re.compile(rb"[\r\n\0]+")
_OF_THE_DOOR = (b"content-length", b"transfer-encoding", b"connection", b"keep-alive", b"upgrade")

INVALID = (
    "Invalid response. Got untranslatable {} return type. Return an object that is "
    "JSON-serializable (including its nested fields), a bytes object, a string, or a "
    "starlette.responses.Response object"
)


def text(status: int, message: str) -> Answer:
    """Plain text."""
    return Answer(status, AS_TEXT, b"", message.encode("utf-8", "replace"))


CANCELLED = Answer(499, AS_TEXT, b"", b"")
TOO_LARGE = text(500, "the predictor's answer is too large")
NO_STATUS = text(500, "the predictor's answer has a status that HTTP does not have")
TOO_LATE = text(504, "the deadline passed before the request was begun")


def encode(value: Any) -> Answer | Streamed | Responding:
    """The answer for a value that `predict` (or `health`) returned; never raises for its sake."""
    kind = type(value)
    if kind is dict or kind is list or kind is tuple or value is None:
        return _as_json(value)
    if isinstance(value, str):
        try:
            return Answer(200, AS_TEXT, b"", value.encode())
        except UnicodeEncodeError:
            return _refused(value, "lone surrogates")
    if isinstance(value, bytes):
        return Answer(200, AS_BYTES, b"", value)
    if isinstance(value, (int, float)) or is_uuid(value):
        return Answer(200, AS_TEXT, b"", str(value).encode())
    if isinstance(value, (GeneratorType, AsyncGeneratorType)):
        return Streamed(value)
    numpy = loaded("numpy")
    if numpy is not None and isinstance(value, numpy.generic):
        return Answer(200, AS_TEXT, b"", str(value).encode("utf-8", "replace"))
    responses = loaded("starlette.responses")
    if responses is not None and isinstance(value, responses.Response):
        return respond(value)
    return _as_json(value)


def respond(response: Any) -> Answer | Responding:
    """The answer of a Starlette response: at once where its body is there already."""
    responses = loaded("starlette.responses")
    plain = type(response).__call__ is responses.Response.__call__
    if not plain or response.background is not None or not hasattr(response, "body"):
        return Responding(response)
    return Answer(
        response.status_code, AS_GIVEN, head_of(response.raw_headers), bytes(response.body)
    )


def head_of(headers: Any) -> bytes:
    """Header lines from pairs of bytes, without those that are the door's own business."""
    return b"".join(
        _FOLDS.sub(b" ", name + b": " + value) + b"\r\n"
        for name, value in headers
        if name.lower() not in _OF_THE_DOOR
    )


def of_exception(error: BaseException, debug: bool) -> Answer:
    """The answer for what a predictor raised; anything but an HTTPException is told on stderr."""
    if isinstance(error, BadPayload):
        return error.answer()
    try:
        raised = _http_exception(error)
    except Exception as broken:  # noqa: BLE001 - a detail that is no JSON, a status that is no number
        return defect(broken, debug)
    return defect(error, debug) if raised is None else raised


def must_end(error: BaseException) -> bool:
    """What a predictor raises is its client's answer, `sys.exit` too; all but a cancellation."""
    asyncio = loaded("asyncio")  # which sync predictors do not pay for
    cancelled = asyncio is not None and isinstance(error, asyncio.CancelledError)
    return cancelled or isinstance(error, GeneratorExit)


def defect(error: BaseException, debug: bool) -> Answer:
    """500, with the traceback on stderr, and in the answer where debugging was asked for."""
    lines = "".join(traceback.format_exception(type(error), error, error.__traceback__))
    tell(lines)
    return text(500, lines if debug else "Internal Server Error")


def tell(message: str) -> None:
    """Writes to the replica's log."""
    try:
        sys.stderr.write(message if message.endswith("\n") else message + "\n")
        sys.stderr.flush()
    except (OSError, ValueError):
        # The user closed it.
        return


def _as_json(value: Any) -> Answer:
    try:
        return Answer(200, AS_JSON, b"", dump(value))
    except Untranslatable as error:
        return _refused(value, str(error))


def _refused(value: Any, why: str) -> Answer:
    message = INVALID.format(type(value))
    tell(f"{message} ({why})")
    return text(500, message)


def _http_exception(error: BaseException) -> Answer | None:
    exceptions = loaded("starlette.exceptions")
    if exceptions is None or not isinstance(error, exceptions.HTTPException):
        return None
    raised: Any = error
    named: dict[Any, Any] = getattr(raised, "headers", None) or {}
    head = head_of(
        (str(name).encode("latin-1", "replace"), str(value).encode("latin-1", "replace"))
        for name, value in named.items()
    )
    status = int(raised.status_code)
    if status in (204, 304):
        return Answer(status, AS_GIVEN, head, b"")
    body = raised.detail
    if not isinstance(body, str):  # FastAPI's may be any JSON
        return Answer(status, AS_JSON, head, dump({"detail": body}))
    return Answer(status, AS_TEXT, head, body.encode("utf-8", "replace"))
