"""`GET /api/v1/events`: the engine's subscriptions as JSON over a WebSocket.

The client sends `{"subscribe": "topic", "id": n}` and `{"unsubscribe": n}`. The server sends
`{"id", "kind", …}`: first `welcome` (id 0), then per subscription `snapshot` and `delta` (with
`seq`, from 1, and `data`), `gap` (`first`, `last`: read those rows again), `end` (`reason`) and
`error` (`error`; id 0: about the socket itself). It is the private door's protocol in JSON.

`{"observe": "pod", "id": n, "data": …}` sends observations: CSV text, or rows as JSON; with
`format`, `dataspace` and `key` as the operation `pods.observe` takes them. The answer `observed`
(`rows`, `bad_rows`, …) comes when they are on disk; it or `error` ends the use of that id.

The token comes as an Authorization header, as a subprotocol `bearer.<token>` (all that a
browser can send), or as the first message `{"token": "…"}`.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from typing import Any

from aiohttp import WSCloseCode, WSMsgType, web

from spice_engine import __version__
from spice_engine.api import json_text
from spice_engine.api.replies import ClientGone
from spice_engine.api.security import BEARER_SUBPROTOCOL, SUBPROTOCOL, Guard
from spice_engine.api.socket_observations import Call, SocketObservations
from spice_engine.errors import (
    InvalidRequest,
    Overloaded,
    ProtocolError,
    SpiceError,
    Unauthorized,
)
from spice_engine.events import Bus, Delta, Gap, Snapshot, Subscription
from spice_engine.protocol.messages import PROTOCOL_VERSION

log = logging.getLogger(__name__)

MAX_MESSAGE_BYTES = 64 * 1024
MAX_SUBSCRIPTIONS_PER_SOCKET = 64
MAX_SOCKETS = 256
HEARTBEAT = 30.0
"""Seconds of silence after which a ping is sent."""
TOKEN_PATIENCE = 10.0
"""Seconds a client has for sending its token."""
SEND_PATIENCE = 30.0
"""Seconds a message may wait for a client that does not read; then the line is cut."""
CLOSE_PATIENCE = 2.0
UNAUTHORIZED_CLOSE = 4401


class EventSockets:
    """All event sockets of one door."""

    def __init__(
        self,
        bus: Bus,
        guard: Guard,
        call: Call,
        *,
        heartbeat: float = HEARTBEAT,
        patience: float = SEND_PATIENCE,
    ) -> None:
        self.bus = bus
        self.guard = guard
        self.call = call
        self.heartbeat = heartbeat
        self.patience = patience
        self.sockets: set[EventSocket] = set()
        self._closing = False

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """Serve one socket until either side ends it.

        Raises:
            Unauthorized: a token was given with the request, and it is not the right one.
            Overloaded: too many sockets are open.
        """
        if request.headers.get("Upgrade", "").lower() != "websocket":
            raise InvalidRequest(
                "this path speaks WebSocket only.", hint="Connect with ws:// instead of http://."
            )
        if self._closing or len(self.sockets) >= MAX_SOCKETS:
            raise Overloaded("too many event sockets are open.", hint="Close some.")
        authorized, chosen = self._authorize(request)
        response = web.WebSocketResponse(
            heartbeat=self.heartbeat,
            max_msg_size=MAX_MESSAGE_BYTES,
            compress=False,
            timeout=CLOSE_PATIENCE,
            protocols=chosen,
        )
        try:
            await response.prepare(request)
        except ConnectionError:
            raise ClientGone from None
        socket = EventSocket(self, request, response)
        self.sockets.add(socket)
        try:
            await socket.run(authorized=authorized)
        finally:
            self.sockets.discard(socket)
            socket.drop_subscriptions()
        return response

    def _authorize(self, request: web.Request) -> tuple[bool, tuple[str, ...]]:
        """Whether a right token came along, and the subprotocol to answer with."""
        offered = [
            name.strip()
            for line in request.headers.getall("Sec-WebSocket-Protocol", [])
            for name in line.split(",")
        ]
        tokens = [name for name in offered if name.startswith(BEARER_SUBPROTOCOL)]
        for name in tokens:
            if not self.guard.is_token(name.removeprefix(BEARER_SUBPROTOCOL)):
                raise Unauthorized("the token in the subprotocol is not the one of this engine.")
        # A browser gives up unless one of its offers is taken.
        chosen = [SUBPROTOCOL] if SUBPROTOCOL in offered else tokens
        # The gate has checked the header already, if there was one.
        return bool(tokens) or "Authorization" in request.headers, tuple(chosen[:1])

    async def close(self, reason: str) -> None:
        """End every subscription with the reason, then every socket with 1001."""
        self._closing = True
        await asyncio.gather(*(socket.go_away(reason) for socket in tuple(self.sockets)))


class EventSocket:
    """One client: a reader (the handler itself) and one task that sends what topics publish."""

    def __init__(
        self, door: EventSockets, request: web.Request, response: web.WebSocketResponse
    ) -> None:
        self._door = door
        self._request = request
        self._response = response
        self._subscriptions: dict[int, Subscription] = {}
        self._sequence: dict[int, int] = {}
        self._news = asyncio.Event()
        self._observations = SocketObservations(door.call, self._send)

    async def run(self, *, authorized: bool) -> None:
        """Serve until the connection ends."""
        if not authorized and not await self._ask_token():
            return
        pump = asyncio.get_running_loop().create_task(self._pump())
        try:
            welcome = {"protocol": PROTOCOL_VERSION, "engine": __version__}
            await self._send(
                {"id": 0, "kind": "welcome", **welcome, "topics": self._door.bus.names}
            )
            async for message in self._response:
                if message.type is not WSMsgType.TEXT:
                    break
                await self._take(str(message.data))
        except ConnectionError:
            pass  # the client is gone; there is nobody to tell
        finally:
            await self._observations.close()
            pump.cancel()
            await asyncio.gather(pump, return_exceptions=True)
            await self._hang_up(WSCloseCode.OK, b"")

    def drop_subscriptions(self) -> None:
        """Unsubscribe from everything."""
        for subscription in self._subscriptions.values():
            self._door.bus.unsubscribe(subscription)
        self._subscriptions.clear()

    async def go_away(self, reason: str) -> None:
        """The engine stops: tell the client, and close with 1001."""
        try:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(CLOSE_PATIENCE):
                    await self._observations.drain()
            async with asyncio.timeout(CLOSE_PATIENCE):
                for id_ in tuple(self._subscriptions):
                    await self._send({"id": id_, "kind": "end", "reason": reason})
        except (TimeoutError, ConnectionError):
            self._cut()
            return
        await self._hang_up(WSCloseCode.GOING_AWAY, reason.encode()[:100])

    # -- reading

    async def _ask_token(self) -> bool:
        error = Unauthorized(
            "the first message must be the engine's token.", hint='Send {"token": "…"}.'
        )
        try:
            async with asyncio.timeout(TOKEN_PATIENCE):
                first = await self._response.receive()
            if first.type is WSMsgType.TEXT:
                message = json_text.parse_object(str(first.data).encode())
                if self._door.guard.is_token(str(message.get("token", ""))):
                    return True
        except (TimeoutError, InvalidRequest):
            pass  # both are answered below
        try:
            await self._send({"id": 0, "kind": "error", "error": error.as_dict()})
        except ConnectionError:
            return False
        await self._hang_up(UNAUTHORIZED_CLOSE, b"unauthorized")
        return False

    async def _take(self, text: str) -> None:
        id_ = 0
        try:
            message = json_text.parse_object(text.encode())
            id_ = _positive(message.get("id", message.get("unsubscribe")))
            match message:
                case {"subscribe": str(topic), "id": int()}:
                    self._subscribe(id_, topic)
                case {"observe": str(), "id": int()}:
                    if id_ in self._subscriptions:
                        raise ProtocolError(f"{id_} is the id of a subscription.")
                    self._observations.take(id_, message)
                case {"unsubscribe": int()}:
                    self._unsubscribe(id_)
                case {"token": str()}:
                    pass  # sent twice, by a client that does not know which way worked
                case _:
                    raise ProtocolError(
                        "a message is not of any form this socket knows.",
                        hint='Send {"subscribe": "topic", "id": 1}, {"unsubscribe": 1} or '
                        '{"observe": "pod", "id": 2, "data": "…"}.',
                    )
        except SpiceError as error:
            await self._send({"id": id_, "kind": "error", "error": error.as_dict()})

    def _subscribe(self, id_: int, topic: str) -> None:
        if not id_:
            raise ProtocolError("the id of a subscription must be a whole number from 1.")
        if id_ in self._subscriptions or id_ in self._observations:
            raise ProtocolError(f"the id {id_} is in use already.")
        if len(self._subscriptions) >= MAX_SUBSCRIPTIONS_PER_SOCKET:
            raise Overloaded("too many subscriptions on one socket.", hint="Close some.")
        self._subscriptions[id_] = self._door.bus.subscribe(topic, self._news.set)
        self._sequence[id_] = 0
        self._news.set()

    def _unsubscribe(self, id_: int) -> None:
        subscription = self._subscriptions.pop(id_, None)
        self._sequence.pop(id_, None)
        if subscription is not None:
            self._door.bus.unsubscribe(subscription)

    # -- writing

    async def _pump(self) -> None:
        """Send what subscriptions hold, one event of each in turn; they overflow by themselves."""
        try:
            while True:
                await self._news.wait()
                self._news.clear()
                more = True
                while more:
                    more = False
                    for id_, subscription in tuple(self._subscriptions.items()):
                        if id_ not in self._subscriptions:
                            continue  # it was ended while another one was being sent
                        event = subscription.take()
                        if event is not None:
                            more = True
                            await self._send(self._message(id_, event))
        except ConnectionError:
            return
        except Exception:
            log.exception("an event could not be sent")
            self._cut()  # a socket that has gone mute would look like nothing happening

    def _message(self, id_: int, event: Snapshot | Delta | Gap) -> dict[str, Any]:
        match event:
            case Gap(first, last):
                return {"id": id_, "kind": "gap", "first": first, "last": last}
            case Snapshot(data):
                kind = "snapshot"
            case Delta(data):
                kind = "delta"
        self._sequence[id_] += 1
        return {"id": id_, "kind": kind, "seq": self._sequence[id_], "data": data}

    async def _send(self, message: dict[str, Any]) -> None:
        """One message, after as much waiting as the client's reading asks for.

        Raises:
            ConnectionError: the client is gone, or did not read for too long.
        """
        text = json_text.dumps(message).decode()
        try:
            async with asyncio.timeout(self._door.patience):
                await self._response.send_str(text)
        except TimeoutError:
            self._cut()
            raise ConnectionResetError("the client does not read") from None
        except RuntimeError as error:  # aiohttp's word for a socket that is closed
            raise ConnectionResetError(str(error)) from error

    async def _hang_up(self, code: int, reason: bytes) -> None:
        try:
            async with asyncio.timeout(CLOSE_PATIENCE * 2):
                await self._response.close(code=code, message=reason)
        except (TimeoutError, ConnectionError, RuntimeError):
            self._cut()

    def _cut(self) -> None:
        """Drop the connection with what it has not taken; a plain close would wait for that."""
        transport = self._request.transport
        if transport is not None:
            transport.abort()


def _positive(value: object) -> int:
    ok = isinstance(value, int) and not isinstance(value, bool) and 0 < value <= json_text.LARGEST
    return value if ok else 0  # pyright: ignore[reportReturnType]
