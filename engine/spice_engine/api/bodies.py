"""Reading request bodies: bounded in size, in time and, over all requests together, in memory."""

from __future__ import annotations

import asyncio

from aiohttp import web

from spice_engine.api.decoding import Decoder
from spice_engine.api.replies import ClientGone, RequestTimeout
from spice_engine.errors import InvalidRequest, Overloaded, TooLarge

PATIENCE = 30.0
"""Seconds a body may take before its rate counts."""
SLOWEST_RATE = 32 * 1024
"""Bytes per second under which a long body is given up."""
MEMORY_FACTOR = 4
"""Bodies of all requests together may weigh this many times the largest one."""
JSON_LIMIT = 2**20
"""Largest JSON body of an operation: parsing more would hold up the loop."""


class BodyReader:
    """Reads bodies for all handlers of one door.

    `limit` is the largest body in bytes; `patience` in seconds.
    """

    def __init__(self, limit: int, *, patience: float = PATIENCE) -> None:
        self.limit = limit
        self.patience = patience
        self.held = 0
        self._budget = max(limit * MEMORY_FACTOR, 8 * JSON_LIMIT)

    async def read(
        self, request: web.Request, *, limit: int | None = None, setting: str = "max_body_bytes"
    ) -> bytes:
        """The whole body, decompressed; at most `limit` bytes (default: the door's limit).

        `setting` is what raises that limit.

        Raises:
            TooLarge: more came, or was announced.
            RequestTimeout: it came too slowly.
            Overloaded: too much is being received from everybody together.
            UnsupportedEncoding: it is compressed in a way this door does not read.
            InvalidRequest: chunks or compression are malformed, or cut short.
            ClientGone: the client hung up.
        """
        most = self.limit if limit is None else min(limit, self.limit)
        announced = request.content_length
        too_large = TooLarge(
            f"the body is over the limit of {most} bytes.",
            hint=f"Send it in parts, or raise {setting if most < self.limit else 'max_body_bytes'} "
            "if the path takes larger bodies.",
        )
        if announced is not None and announced > most:
            raise too_large
        if not request.body_exists:
            return b""
        decoder = Decoder(request.headers.get("Content-Encoding", ""))
        body, received = bytearray(), 0
        loop = asyncio.get_running_loop()
        started = loop.time()
        try:
            async with asyncio.timeout(self.patience) as timeout:
                async for chunk in request.content.iter_any():
                    received += len(chunk)
                    for piece in decoder.feed(chunk):
                        if len(body) + len(piece) > most:
                            raise too_large
                        if self.held + len(piece) > self._budget:
                            raise Overloaded(
                                "too much is being received at once.",
                                hint="Try again in a moment.",
                            )
                        body += piece
                        self.held += len(piece)
                    timeout.reschedule(started + self.patience + received / SLOWEST_RATE)
            decoder.close()
            return bytes(body)
        except TimeoutError:
            raise RequestTimeout(
                f"the body did not arrive within {self.patience:.0f} s ({len(body)} bytes came).",
                hint="Send it faster, or in smaller parts.",
            ) from None
        except ConnectionError:
            raise ClientGone from None
        except web.RequestPayloadError as error:
            raise InvalidRequest(f"the body cannot be read: {error}.") from None
        finally:
            # What a handler keeps of it from here on is bounded by the door's connections.
            self.held -= len(body)
