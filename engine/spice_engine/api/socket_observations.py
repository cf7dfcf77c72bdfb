"""Observations that come over the events WebSocket: taken in side by side, acknowledged each."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from spice_engine.api import json_text
from spice_engine.errors import EngineUnavailable, Overloaded, ProtocolError, SpiceError
from spice_engine.operations import internal_error

log = logging.getLogger(__name__)

MAX_WAITING = 64
"""Messages of one socket that may wait for their acknowledgement."""

MEMBERS = frozenset({"id", "observe", "data", "format", "dataspace", "key"})

Call = Callable[[str, Mapping[str, Any]], Awaitable[Any]]
Send = Callable[[dict[str, Any]], Awaitable[None]]


class SocketObservations:
    """What one socket has sent and has no answer to yet.

    `call` carries out an operation; `send` sends a message and raises ConnectionError where the
    client is gone.
    """

    def __init__(self, call: Call, send: Send) -> None:
        self._call = call
        self._send = send
        self._tasks: dict[int, asyncio.Task[None]] = {}
        self._closed = False

    def __contains__(self, id_: int) -> bool:
        return id_ in self._tasks

    def take(self, id_: int, message: Mapping[str, Any]) -> None:
        """Begin to take in a message `{"observe": pod, "id", "data", …}`.

        What becomes of it is sent as `observed`, when it is on disk, or as `error`.

        Raises:
            ProtocolError: the message has another form, or its id waits for an answer already.
            Overloaded: too many wait.
            EngineUnavailable: the engine stops.
        """
        params = _params(id_, message)
        if id_ in self._tasks:
            raise ProtocolError(f"message {id_} waits for its answer already.")
        if self._closed:
            raise EngineUnavailable("the engine is stopping.", hint="Send it again later.")
        if len(self._tasks) >= MAX_WAITING:
            raise Overloaded(
                f"{MAX_WAITING} messages of this socket wait to be taken in already.",
                hint="Wait for an `observed` before sending more.",
            )
        self._tasks[id_] = asyncio.get_running_loop().create_task(self._take(id_, params))

    async def drain(self) -> None:
        """Take no more, and wait until what was sent is answered."""
        self._closed = True
        if waiting := tuple(self._tasks.values()):
            await asyncio.wait(waiting)

    async def close(self) -> None:
        """Forget what has no answer yet; it may have been taken in or not."""
        self._closed = True
        waiting = tuple(self._tasks.values())
        for task in waiting:
            task.cancel()
        await asyncio.gather(*waiting, return_exceptions=True)

    async def _take(self, id_: int, params: Mapping[str, Any]) -> None:
        try:
            answer = {"id": id_, "kind": "observed", **await self._call("pods.observe", params)}
        except SpiceError as error:
            answer = _refusal(id_, error)
        except Exception as error:
            log.exception("observations from a socket could not be taken in")
            answer = _refusal(id_, internal_error(error))
        try:
            await self._send(answer)
        except ConnectionError:
            log.debug("a client did not stay for the answer to its observations")
        finally:
            # Only now: answers that nobody reads are bounded as well.
            del self._tasks[id_]


def _params(id_: int, message: Mapping[str, Any]) -> dict[str, Any]:
    """The parameters of `pods.observe`; data that are no text are JSON already."""
    unknown = sorted(message.keys() - MEMBERS)
    if not id_ or unknown or "data" not in message:
        raise ProtocolError(
            f"there is no {unknown[0][:100]!r} in a message with observations."
            if unknown
            else "observations need data, and an id that is a whole number from 1.",
            hint='Send {"observe": "pod", "id": 1, "data": "time,from.name.field\\n…"}.',
        )
    data = message["data"]
    as_text = isinstance(data, str)
    params: dict[str, Any] = {
        "pod": message["observe"],
        "data": data.encode() if as_text else json_text.dumps(data),
        "format": "csv" if as_text else "json",
    }
    return params | {
        name: message[name] for name in message.keys() & {"format", "dataspace", "key"}
    }


def _refusal(id_: int, error: SpiceError) -> dict[str, Any]:
    return {"id": id_, "kind": "error", "error": error.as_dict()}
