"""A pod's policy as a server: it answers in this process what /recommendation answers."""

from __future__ import annotations

import asyncio
import dataclasses
import logging
import math
import time
from collections.abc import Mapping
from typing import Any, cast

import orjson

from spice_engine.errors import InternalError, InvalidRequest, SpiceError
from spice_engine.pods.advisor import Advisor
from spice_engine.serving import refusals
from spice_engine.serving.calls import GONE, Call
from spice_engine.serving.figures import Figures
from spice_runtime import wire

log = logging.getLogger(__name__)

PAYLOAD_SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {
        "time": {"type": "integer", "description": "Unix seconds; now where it is left out."},
        "tag": {"type": "string", "description": "Another version of the policy."},
        "explain": {"type": "boolean"},
        "state": {"type": "object", "additionalProperties": {"type": "number"}},
    },
    "additionalProperties": False,
}


class PolicyEndpoint:
    """An `Endpoint` without replicas. `alias` names the version that answers: `latest` is the
    pod's newest, as it is when a call comes."""

    def __init__(self, advisor: Advisor, pod: str, alias: str, figures: Figures, most: int) -> None:
        self.alias = alias
        self.most = most
        self.open = False
        self._advisor = advisor
        self._pod = pod
        self._figures = figures
        self._tasks: dict[Call, asyncio.Task[None]] = {}
        figures.level = lambda: (len(self._tasks), 0)

    def submit(self, call: Call) -> None:
        """See `Endpoint`."""
        now = time.monotonic()
        if not self.open:
            self._figures.refused(503, now)
            refusals.not_ready(call)
            return
        if len(self._tasks) >= self.most:
            self._figures.refused(429, now)
            refusals.full(call, b"Retry-After: 1\r\n")
            return
        task = asyncio.create_task(self._answer(call), name=f"policy of {self._pod}")
        self._tasks[call] = task
        task.add_done_callback(lambda _: self._tasks.pop(call, None))

    def cancel(self, call: Call) -> None:
        """See `Endpoint`."""
        task = self._tasks.get(call)
        if task is not None and not call.done:
            call.done = True
            self._figures.refused(GONE, time.monotonic())
            task.cancel()

    def credit(self, call: Call, number: int) -> None:
        """See `Endpoint`; there are no streams."""

    def is_ready(self) -> bool:
        """See `Endpoint`."""
        return self.open

    async def close(self) -> None:
        """End what is under way."""
        self.open = False
        tasks = list(self._tasks.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _answer(self, call: Call) -> None:
        begin = time.monotonic()
        try:
            async with asyncio.timeout(max(0.0, call.deadline - begin)):
                status, codec, body = 200, wire.AS_JSON, await self._recommend(call)
        except TimeoutError:
            if not call.done:
                self._figures.refused(504, time.monotonic())
                refusals.late(call)
            return
        except SpiceError as error:
            status, codec, body = error.http_status, wire.AS_TEXT, str(error).encode()
        except Exception as error:
            log.exception("the policy of pod %s failed", self._pod)
            told = InternalError(f"the engine failed at this request ({type(error).__name__}).")
            status, codec, body = 500, wire.AS_TEXT, told.message.encode()
        if call.done:
            return
        now = time.monotonic()
        self._figures.observe(status, now - call.arrived, begin - call.arrived, now - begin, now)
        call.done = True
        call.answer(status, codec, b"", body)

    async def _recommend(self, call: Call) -> bytes:
        wish = _wish(call.body)
        answer = await self._advisor.recommend(
            self._pod,
            wish.get("time"),
            wish.get("tag") or self.alias,
            explain=bool(wish.get("explain")),
            state=wish.get("state"),
        )
        return orjson.dumps(dataclasses.asdict(answer))


def _wish(body: bytes) -> dict[str, Any]:
    """What a payload asks for.

    Raises:
        InvalidRequest: it is no JSON object, or a field is none that is known.
    """
    try:
        data: object = orjson.loads(body or b"{}")
    except orjson.JSONDecodeError as error:
        raise InvalidRequest("Request must contain a JSON object") from error
    if not isinstance(data, dict):
        raise InvalidRequest("Request must contain a JSON object")
    wish = cast("dict[str, Any]", data)
    wish = {"tag" if name == "alias" else name: value for name, value in wish.items()}
    for name, value in wish.items():
        if name not in PAYLOAD_SCHEMA["properties"]:
            raise InvalidRequest(
                f"a policy takes no {name[:80]!r}.",
                hint="It takes time, tag, explain and state; {} asks for now.",
            )
        if value is not None and not _fits(name, value):
            raise InvalidRequest(f"{name}: {str(value)[:80]} cannot be used.")
    return wish


def _fits(name: str, value: object) -> bool:
    match name:
        case "time":
            return isinstance(value, int) and not isinstance(value, bool) and abs(value) < 2**53
        case "tag":
            return isinstance(value, str)
        case "explain":
            return isinstance(value, bool)
        case _:
            return isinstance(value, Mapping) and all(
                isinstance(one, int | float) and math.isfinite(one)
                for one in cast("Mapping[str, object]", value).values()
            )
