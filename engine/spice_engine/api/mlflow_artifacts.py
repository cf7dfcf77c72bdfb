"""Artifacts of MLflow's tracking door: files are sent, fetched, listed and removed by HTTP.

The path of a file is `runs/N/…`, which is where its run's `artifact_uri` leads.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator
from typing import BinaryIO

from aiohttp import web

from spice_engine.api import mlflow_messages as messages
from spice_engine.api.bodies import SLOWEST_RATE, BodyReader
from spice_engine.api.decoding import UnsupportedEncoding
from spice_engine.api.replies import ClientGone, RequestTimeout, json_response
from spice_engine.errors import InvalidRequest, TooLarge
from spice_engine.runs.tracking import Tracking
from spice_engine.runs.tracking_artifacts import LARGEST_BYTES

ARTIFACTS = "/api/2.0/mlflow-artifacts/artifacts"
PIECE_BYTES = 2**20

_PATH = re.compile(r"/*runs/(\d{1,18})(?:/(.*))?", re.DOTALL)


class ArtifactRoutes:
    """The handlers of files."""

    def __init__(self, tracking: Tracking, bodies: BodyReader) -> None:
        self._artifacts = tracking.artifacts
        self._patience = bodies.patience

    def install(self, app: web.Application, base: str) -> None:
        """Add the routes below a base."""
        app.router.add_get(f"{base}{ARTIFACTS}", self.list)
        app.router.add_get(f"{base}{ARTIFACTS}/{{path:.+}}", self.fetch, allow_head=False)
        app.router.add_put(f"{base}{ARTIFACTS}/{{path:.+}}", self.take)
        app.router.add_delete(f"{base}{ARTIFACTS}/{{path:.+}}", self.remove)

    async def list(self, request: web.Request) -> web.Response:
        """The names in a folder."""
        number, path = _split(request.query.get("path", ""))
        files = await self._artifacts.list(number, path)
        return json_response({"files": [messages.file(one, name_only=True) for one in files]})

    async def take(self, request: web.Request) -> web.Response:
        """Keep a file."""
        number, path = _split(request.match_info["path"])
        if request.headers.get("Content-Encoding", "identity") != "identity":
            raise UnsupportedEncoding("a file must be sent as it is, not compressed.")
        if (request.content_length or 0) > LARGEST_BYTES:
            raise TooLarge(f"the file is over the limit of {LARGEST_BYTES} bytes.")
        await self._artifacts.take(number, path, self._pieces(request))
        return json_response({})

    async def _pieces(self, request: web.Request) -> AsyncIterator[bytes]:
        """The body as it comes, at no less than the slowest rate.

        Raises:
            RequestTimeout: it came too slowly.
            InvalidRequest: it was malformed or cut short.
            ClientGone: the client hung up.
        """
        loop = asyncio.get_running_loop()
        started, received = loop.time(), 0
        while True:
            try:
                async with asyncio.timeout_at(started + self._patience + received / SLOWEST_RATE):
                    piece = await request.content.readany()
            except TimeoutError:
                raise RequestTimeout(
                    f"the file came too slowly ({received} bytes in all)."
                ) from None
            except ConnectionError:
                raise ClientGone from None
            except web.RequestPayloadError as error:
                raise InvalidRequest(f"the file was cut short: {error}.") from None
            if not piece:
                return
            received += len(piece)
            yield piece

    async def fetch(self, request: web.Request) -> web.StreamResponse:
        """Send a file."""
        number, path = _split(request.match_info["path"])
        file = await self._artifacts.open(number, path)
        try:
            return await _send(request, file)
        finally:
            await asyncio.shield(asyncio.to_thread(file.close))

    async def remove(self, request: web.Request) -> web.Response:
        """Remove a file or a folder."""
        number, path = _split(request.match_info["path"])
        await self._artifacts.remove(number, path)
        return json_response({})


async def _send(request: web.Request, file: BinaryIO) -> web.StreamResponse:
    size = await asyncio.to_thread(lambda: file.seek(0, 2))
    await asyncio.to_thread(lambda: file.seek(0))
    response = web.StreamResponse(
        headers={
            "Content-Type": "application/octet-stream",
            "Content-Disposition": "attachment",
            "Content-Length": str(size),
        }
    )
    await response.prepare(request)
    left = size
    while left:
        piece = await asyncio.to_thread(file.read, min(PIECE_BYTES, left))
        if not piece:  # it was cut meanwhile; without its end nobody takes it for whole
            if request.transport is not None:
                request.transport.abort()
            return response
        left -= len(piece)
        try:
            await response.write(piece)
        except ConnectionError:
            raise ClientGone from None
    await response.write_eof()
    return response


def _split(path: str) -> tuple[int, str]:
    """The run whose file a path names, and the path in its outputs.

    Raises:
        InvalidRequest: it names none.
    """
    found = _PATH.fullmatch(path)
    if found is None:
        raise InvalidRequest(
            f"Invalid path: {path[:200]!r}", hint="Artifacts are those of runs: runs/7/model.pkl."
        )
    return int(found[1]), found[2] or ""
