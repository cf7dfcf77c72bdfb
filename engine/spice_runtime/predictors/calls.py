"""Working on calls: one, or a batch; the same code for sync and async predictors.

It is written as coroutines over an `Outlet`. Those of a sync predictor never suspend: their
outlet blocks instead, so that a worker thread runs them without an event loop.
"""

# What a user gives may be anything.
# pyright: reportUnknownVariableType=false, reportUnknownArgumentType=false

from __future__ import annotations

import inspect
import time
from typing import Any, Protocol

from spice_runtime.predictors import streams
from spice_runtime.predictors.answers import (
    CANCELLED,
    TOO_LATE,
    Answer,
    BadPayload,
    Responding,
    Streamed,
    encode,
    must_end,
    of_exception,
    text,
)
from spice_runtime.predictors.current import CALL
from spice_runtime.predictors.host import Call, Host
from spice_runtime.predictors.signatures import Method
from spice_runtime.wire import AS_TEXT, INFER

UNLISTED = "Batch predict responses must be iterable and support len()"
MISMATCH = "Response length mismatch! Expected {}, but got {}"


class Settling(Protocol):
    """Where awaitables are settled."""

    async def settle(self, awaitable: Any) -> Any:
        """The value of an awaitable."""
        ...


class Outlet(Settling, Protocol):
    """Where answers go: a lane."""

    def answer(self, ident: int, answer: Answer, begun: float) -> None:
        """Sends a whole answer, soon; `begun` is when the work began."""
        ...

    async def stream(self, ident: int, status: int, codec: int, head: bytes) -> None:
        """Begins an answer whose body follows."""
        ...

    async def chunk(self, ident: int, data: bytes) -> None:
        """A piece of the body; waits while the router has no room, raises Gone if nobody reads."""
        ...

    async def end(self, ident: int, trouble: str) -> None:
        """Ends a streamed answer; it is cut short where there is trouble."""
        ...

    def background(self, tasks: Any) -> None:
        """Runs Starlette's background tasks after the answers so far."""
        ...

    def is_cancelled(self, ident: int) -> bool:
        """Whether nobody waits for that call."""
        ...


def turned_away(call: Call, now: float, outlet: Outlet) -> bool:
    """Answers a call that is not to be begun: cancelled, or too late."""
    if outlet.is_cancelled(call.ident):
        outlet.answer(call.ident, CANCELLED, now)
    elif now > call.deadline:
        outlet.answer(call.ident, TOO_LATE, now)
    else:
        return False
    return True


def still_wanted(calls: list[Call], now: float, outlet: Outlet) -> list[Call]:
    """Those that are to be begun; the others are answered."""
    return [call for call in calls if not turned_away(call, now, outlet)]


async def run_call(host: Host, call: Call, outlet: Outlet) -> None:
    """Works on one call and answers it."""
    begun = time.perf_counter()
    CALL.set((call.ident, call.head))
    tasks = None
    try:
        ready, tasks = host.bound(host.predict, host.payload_of(call), call)
        value = await _value(ready(), outlet)
    except BaseException as error:
        if must_end(error):
            raise
        await deliver(host, call, of_exception(error, host.debug), begun, outlet)
        return
    await deliver(host, call, _encoded(host, call, value), begun, outlet)
    if tasks is not None and tasks.tasks:
        outlet.background(tasks)


async def run_batch(host: Host, calls: list[Call], outlet: Outlet) -> list[tuple[Call, Any]]:
    """Works on a batch; one bad item fails alone. Gives the calls that reached `predict`, with
    their payloads: so a lane can send the answers before it frees these, which takes a while."""
    begun = time.perf_counter()
    if host.prepare is None:
        items = _read(host, calls, begun, outlet)
    else:
        items = await _prepared(host, host.prepare, calls, begun, outlet)
    if not items:
        return items
    CALL.set((items[0][0].ident, items[0][0].head))
    payloads = [payload for _, payload in items]
    try:
        values = await _predict(host, payloads, outlet)
    except BaseException as error:
        if must_end(error):
            raise
        if len(items) == 1:
            await deliver(host, items[0][0], of_exception(error, host.debug), begun, outlet)
        else:
            await _one_by_one(host, items, outlet)
        return items
    for (call, _), value in zip(items, values):  # noqa: B905 - Python 3.8 knows no strict
        answer = _encoded(host, call, value)
        if type(answer) is Answer and call.codec != INFER:
            outlet.answer(call.ident, answer, begun)
        else:
            await deliver(host, call, answer, begun, outlet)
    return items


async def deliver(
    host: Host, call: Call, answer: Answer | Streamed | Responding, begun: float, outlet: Outlet
) -> None:
    """Sends an answer, however long it takes."""
    if isinstance(answer, Answer):
        outlet.answer(call.ident, in_protocol(call, answer), begun)
    elif isinstance(answer, Streamed):
        await streams.send_pieces(call.ident, answer.pieces, begun, host.debug, outlet)
    else:
        await streams.send_response(call, answer.response, begun, host.debug, outlet)


def in_protocol(call: Call, answer: Answer) -> Answer:
    """An error in the form of the call's protocol."""
    if call.codec != INFER or answer.codec != AS_TEXT or answer.status < 400:
        return answer
    from spice_runtime.predictors.infer import error_answer

    return error_answer(answer.status, answer.body.decode("utf-8", "replace"))


def encode_for(call: Call, value: Any) -> Answer | Streamed | Responding:
    """The answer for a value, in the form of the call's protocol."""
    if call.codec == INFER:
        from spice_runtime.predictors import infer

        return infer.encode_outputs(call.inference or infer.addressed(call.head), value)
    return encode(value)


def _encoded(host: Host, call: Call, value: Any) -> Answer | Streamed | Responding:
    try:
        return encode(value) if call.codec != INFER else encode_for(call, value)
    except Exception as error:  # noqa: BLE001 - a value whose own methods raise fails alone
        return of_exception(error, host.debug)


async def health(host: Host, outlet: Settling) -> Answer:
    """What the predictor says of its health; 500 where it raises."""
    method = host.health
    if method is None:
        return encode({"status": "ok"})  # pyright: ignore[reportReturnType]
    try:
        answer = encode(await _value(method.function(), outlet))
    except BaseException as error:
        if must_end(error):
            raise
        return of_exception(error, host.debug)
    return answer if isinstance(answer, Answer) else text(500, "health must not be a stream")


async def _value(value: Any, outlet: Settling) -> Any:
    return await outlet.settle(value) if inspect.isawaitable(value) else value


async def _predict(host: Host, payloads: list[Any], outlet: Outlet) -> list[Any]:
    ready, tasks = host.bound(host.predict, payloads, None)
    given: Any = ready()
    # A copy: the list may be the predictor's own.
    values: list[Any] = given[:] if type(given) is list else await _listed(given, outlet)
    if len(values) != len(payloads):
        raise _WrongBatch(MISMATCH.format(len(payloads), len(values)))
    if tasks is not None and tasks.tasks:
        outlet.background(tasks)
    return values


async def _listed(values: Any, outlet: Outlet) -> list[Any]:
    values = await _value(values, outlet)
    if inspect.isasyncgen(values):
        values = await outlet.settle(streams.collect(values))
    if inspect.isgenerator(values):
        values = list(values)
    refused = isinstance(values, (str, bytes, bytearray, dict, set, frozenset))
    if refused or not hasattr(values, "__len__") or not hasattr(values, "__iter__"):
        raise _WrongBatch(UNLISTED)
    return list(values)


class _WrongBatch(BadPayload):
    """The predictor's fault, in words that its clients may read."""

    def __init__(self, message: str) -> None:
        super().__init__(500, message)


async def _one_by_one(host: Host, items: list[tuple[Call, Any]], outlet: Outlet) -> None:
    for call, payload in items:
        begun = time.perf_counter()
        if turned_away(call, begun, outlet):
            continue
        CALL.set((call.ident, call.head))
        try:
            (value,) = await _predict(host, [payload], outlet)
        except BaseException as error:
            if must_end(error):
                raise
            await deliver(host, call, of_exception(error, host.debug), begun, outlet)
        else:
            await deliver(host, call, _encoded(host, call, value), begun, outlet)


def _read(host: Host, calls: list[Call], begun: float, outlet: Outlet) -> list[tuple[Call, Any]]:
    """The items whose payloads can be read; the others are answered."""
    items: list[tuple[Call, Any]] = []
    payload_of = host.payload_of
    for call in calls:
        try:
            items.append((call, payload_of(call)))
        except BaseException as error:
            if must_end(error):
                raise
            answer = of_exception(error, host.debug)
            outlet.answer(call.ident, in_protocol(call, answer), begun)
    return items


async def _prepared(
    host: Host, prepare: Method, calls: list[Call], begun: float, outlet: Outlet
) -> list[tuple[Call, Any]]:
    """The items that reach `predict`; the others are answered."""
    if prepare.is_async:
        values = await outlet.settle(_gathered(host, prepare, calls, outlet))
    else:
        values = [await _caught(host, prepare, call, outlet) for call in calls]
    items: list[tuple[Call, Any]] = []
    for call, (value, answer) in zip(calls, values):  # noqa: B905 - as above
        if answer is None:
            items.append((call, value))
        else:
            await deliver(host, call, answer, begun, outlet)
    return items


async def _gathered(
    host: Host, prepare: Method, calls: list[Call], outlet: Outlet
) -> list[tuple[Any, Any]]:
    import asyncio

    direct = _Direct(outlet)
    return await asyncio.gather(*(_caught(host, prepare, call, direct) for call in calls))


async def _caught(host: Host, prepare: Method, call: Call, outlet: Any) -> tuple[Any, Any]:
    """What `prepare` makes of an item, or its answer where that fails or refuses it."""
    CALL.set((call.ident, call.head))
    try:
        ready, tasks = host.bound(prepare, host.payload_of(call), call)
        value = await _value(ready(), outlet)
    except BaseException as error:
        if must_end(error):
            raise
        return None, of_exception(error, host.debug)
    if tasks is not None and tasks.tasks:
        outlet.background(tasks)
    status = streams.status_of_response(value)
    return value, encode(value) if status is not None and status >= 400 else None


class _Direct:
    """An outlet for what runs on a loop already."""

    def __init__(self, outlet: Outlet) -> None:
        self.background = outlet.background

    async def settle(self, awaitable: Any) -> Any:
        return await awaitable
