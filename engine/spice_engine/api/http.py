"""The public door: aiohttp on one listening socket, with every limit set.

The socket is handed in, so that a restarting engine can hand it to the next one: `HttpDoor`
listens on a duplicate and leaves the socket itself open where `close(keep_socket=True)` asks.
Connections begin in the fast lane, which takes ordinary predictions only, and hands its own
sockets on at a restart. Every other request passes one gate: known Host, no foreign page, token,
then its handler; whatever comes out, an answer in our form, a request id and a count.
"""

from __future__ import annotations

import asyncio
import itertools
import logging
import secrets
import socket
from collections.abc import Sequence
from pathlib import Path
from typing import cast

from aiohttp import web
from aiohttp.http_exceptions import HttpProcessingError
from aiohttp.typedefs import Handler

from spice_engine.api import mlflow, rest
from spice_engine.api.bodies import PATIENCE, BodyReader
from spice_engine.api.docs_routes import DocsRoutes
from spice_engine.api.exposure import check_exposure
from spice_engine.api.fast_connection import FastConnection
from spice_engine.api.fast_http import ID
from spice_engine.api.fast_lane import FastLane
from spice_engine.api.handover import HandedOver
from spice_engine.api.infer import InferRoutes
from spice_engine.api.listen import BACKLOG, base_url, bind
from spice_engine.api.metrics import EngineMetrics
from spice_engine.api.plain import HealthSource, PlainRoutes
from spice_engine.api.predict import ServerRoutes
from spice_engine.api.replies import REQUEST_ID, ClientGone, error_response, from_http_exception
from spice_engine.api.security import EVENTS_PATH, Guard
from spice_engine.api.server_openapi import ServerDocuments
from spice_engine.api.spell_metrics import SpellMetrics
from spice_engine.api.spice_v01 import PREFIX, SpiceV01
from spice_engine.api.spice_v01_data import SpiceV01Data
from spice_engine.api.spice_v01_files import SpiceV01Files
from spice_engine.api.tls import TlsPair
from spice_engine.api.websocket import EventSockets
from spice_engine.errors import SpiceError
from spice_engine.events import Bus
from spice_engine.learning.catalog import ALGORITHMS, Algorithm
from spice_engine.loop_lag import LoopLag
from spice_engine.operations import Dispatcher, internal_error
from spice_engine.runs.tracking import Tracking
from spice_engine.serving.calls import GONE
from spice_engine.serving.directory import Directory
from spice_engine.settings import Settings

__all__ = ["HttpDoor", "bind"]

log = logging.getLogger(__name__)
_server_log = logging.getLogger(f"{__name__}.server")

MAX_CONNECTIONS = 1024
KEEPALIVE = 75.0
"""Seconds a connection may idle, or take to send the head of a request."""
MAX_LINE = 8190
MAX_HEADERS = 100
LINGER = 2.0
"""Seconds in which the rest of a refused body is swallowed, so that the answer is read."""
TLS_HANDSHAKE = 10.0


class HttpDoor:
    """One HTTP server.

    `title` names the app folder on the front page; `patience` is how many seconds a body may
    take to arrive before its rate counts; `directory` holds the model servers.
    """

    def __init__(
        self,
        dispatcher: Dispatcher,
        bus: Bus,
        settings: Settings,
        token: str,
        health: HealthSource,
        *,
        metrics: EngineMetrics | None = None,
        algorithms: Sequence[Algorithm] = tuple(ALGORITHMS.values()),
        title: str = "spice-tui",
        patience: float = PATIENCE,
        max_connections: int = MAX_CONNECTIONS,
        directory: Directory | None = None,
        tracking: Tracking | None = None,
    ) -> None:
        check_exposure(settings)
        self.directory = Directory() if directory is None else directory
        self.metrics = metrics or EngineMetrics({}, LoopLag())
        self.guard = Guard(settings, token, self.directory)
        self.bodies = BodyReader(settings.max_body_bytes, patience=patience)
        self.events = EventSockets(bus, self.guard, dispatcher.call)
        self.sock: socket.socket | None = None
        self.url = ""
        self.draining = False
        self._tls: TlsPair | None = None
        if settings.tls_cert:
            self._tls = TlsPair(Path(settings.tls_cert), Path(settings.tls_key))
        self._max_connections = max_connections
        self._server: asyncio.AbstractServer | None = None
        self._runner: web.AppRunner | None = None
        self._lane: FastLane | None = None
        self._idle = asyncio.Event()
        self._idle.set()
        prefix = secrets.token_hex(4)
        self._ids = (f"{prefix}-{number:x}" for number in itertools.count(1))
        self._app = web.Application(
            middlewares=[self._gate], client_max_size=settings.max_body_bytes
        )
        self._app.on_response_prepare.append(self._prepare)
        self._app.router.add_get(EVENTS_PATH, self.events.handle, allow_head=False)
        PlainRoutes(dispatcher, health, self.metrics, title).install(self._app)
        strict = settings.compat == "strict"
        SpiceV01(dispatcher, self.bodies, algorithms, strict=strict).install(self._app)
        SpiceV01Data(dispatcher, self.bodies, strict=strict).install(self._app, PREFIX)
        SpiceV01Files(dispatcher, self.bodies).install(self._app, PREFIX)
        SpellMetrics(dispatcher, self.bodies, token).install(self._app)
        if tracking is not None:
            mlflow.TrackingRoutes(tracking, self.bodies, dispatcher.call).install(self._app)
        DocsRoutes(dispatcher.table, algorithms).install(self._app)
        ServerRoutes(self.directory, self.bodies).install(self._app)
        ServerDocuments(self.directory).install(self._app)
        InferRoutes(self.directory, self.bodies, health).install(self._app)
        rest.install(self._app, dispatcher, self.bodies)
        self.metrics.servers = self.directory
        self.metrics.http.connections = self._count_connections
        self.metrics.http.fast_in_flight = lambda: self._lane.in_flight if self._lane else 0
        self.metrics.http.websockets = lambda: len(self.events.sockets)

    # -- life

    async def start(self, sock: socket.socket) -> None:
        """Serve on a listening socket; it stays the caller's to hand on, `close` ends it."""
        self._runner = web.AppRunner(
            self._app,
            logger=_server_log,
            access_log=None,
            keepalive_timeout=KEEPALIVE,
            max_line_size=MAX_LINE,
            max_field_size=MAX_LINE,
            max_headers=MAX_HEADERS,
            lingering_time=LINGER,
            shutdown_timeout=0.5,
            auto_decompress=False,  # `BodyReader` does it, and sees where a body was cut
        )
        await self._runner.setup()
        self._lane = FastLane(
            self.directory,
            self.guard,
            self.metrics.http,
            successor=self._successor,
            next_id=self._ids.__next__,
            keepalive=KEEPALIVE,
        )
        self.sock = sock
        context = self._tls.context if self._tls is not None else None
        self._server = await asyncio.get_running_loop().create_server(
            self._accept,
            sock=sock.dup(),
            backlog=BACKLOG,
            ssl=context,
            ssl_handshake_timeout=TLS_HANDSHAKE if context is not None else None,
        )
        if self._tls is not None:
            self._tls.start()
        self.url = base_url(sock, tls=context is not None)

    async def take_up(self, connections: Sequence[HandedOver]) -> None:
        """Go on with open connections of the process image before this one."""
        lane = self._lane
        assert lane is not None, "the door is not open"
        for handed in connections:
            await lane.take_up(handed)

    async def close(
        self, grace: float, *, keep_socket: bool = False, reason: str = ""
    ) -> list[HandedOver]:
        """Stop accepting, let requests in flight end (`grace` seconds), close everything.

        Event sockets get 1001 with the reason. With `keep_socket` the listening socket stays
        open for the engine that follows, and clients that connect meanwhile wait in its backlog;
        the fast lane's connections are given back, for `take_up` in that engine.
        """
        self.draining = True
        if self._server is not None:
            self._server.close()
        if self.sock is not None and not keep_socket:
            self.sock.close()
        if self._tls is not None:
            await self._tls.stop()
        await self.events.close(reason or "the engine is stopping")
        runner, self._runner = self._runner, None
        lane, self._lane = self._lane, None
        if runner is None or lane is None:
            return []
        lane.stop(hand_over=keep_socket)
        await asyncio.sleep(0)  # what was just read becomes a request before idle ones close
        if runner.server is not None:
            runner.server.pre_shutdown()
        try:
            async with asyncio.timeout(grace):
                await self._idle.wait()
                await lane.drained()
        except TimeoutError:
            late = self.metrics.http.in_flight + lane.in_flight
            log.warning("%d requests did not end in time", late)
        taken = await lane.take() if keep_socket else []
        lane.cut()
        await runner.cleanup()
        return taken

    def _accept(self) -> asyncio.Protocol:
        if self.draining or self._lane is None:
            return _Refusal()
        if self._count_connections() >= self._max_connections:
            return _Refusal()
        return FastConnection(self._lane)

    def _successor(self) -> asyncio.Protocol:
        """aiohttp's protocol, for a connection of the fast lane."""
        runner = self._runner
        return _Refusal() if runner is None or runner.server is None else runner.server()

    def _count_connections(self) -> int:
        runner, lane = self._runner, self._lane
        slow = len(runner.server.connections) if runner is not None and runner.server else 0
        return slow + (len(lane.connections) if lane is not None else 0)

    # -- one request

    @web.middleware
    async def _gate(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        figures = self.metrics.http
        loop = asyncio.get_running_loop()
        started = loop.time()
        figures.in_flight += 1
        self._idle.clear()
        given = request.headers.get("X-Request-Id", "")
        request[REQUEST_ID] = given if given and ID.fullmatch(given) else next(self._ids)
        try:
            response = self.guard.check(request) or await handler(request)
        except web.HTTPException as error:
            response = from_http_exception(request, error)
        except SpiceError as error:
            ours = not mlflow.is_tracking(request.path)
            response = error_response(error) if ours else mlflow.error_response(error)
        except ClientGone:
            response = web.Response(status=GONE)  # for the count only
        except Exception as error:
            log.exception("%s %r failed (%s)", request.method, request.path, request[REQUEST_ID])
            response = error_response(internal_error(error))
        finally:
            figures.in_flight -= 1
            if not figures.in_flight:
                self._idle.set()
        resource = request.match_info.route.resource
        seconds = None if response.status == 101 else loop.time() - started
        route = resource.canonical if resource is not None else "unmatched"
        figures.observe(request.method, route, response.status, seconds)
        return response

    async def _prepare(self, request: web.Request, response: web.StreamResponse) -> None:
        if (request_id := request.get(REQUEST_ID)) is not None:
            response.headers["X-Request-Id"] = request_id
        self.guard.decorate(request, response)


def _is_ours(record: logging.LogRecord) -> bool:
    """Whether aiohttp complains about more than a client's bytes; those are answered with 400."""
    error = record.exc_info[1] if record.exc_info else None
    return not isinstance(error, HttpProcessingError)


_server_log.addFilter(_is_ours)


class _Refusal(asyncio.Protocol):
    """Says that there are too many connections, and hangs up."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        refused = cast("asyncio.Transport", transport)  # uvloop's is no subclass of it
        refused.write(
            b"HTTP/1.1 503 Service Unavailable\r\nRetry-After: 1\r\nContent-Length: 0\r\n"
            b"Connection: close\r\n\r\n"
        )
        refused.close()
