"""Feeds that send by themselves: WebSockets of JSON messages, handed on in batches."""

from __future__ import annotations

import asyncio
import time

import aiohttp

from spice_engine import __version__
from spice_engine.data.connectors.remote import FeedFailed, shown
from spice_engine.data.connectors.websocket import StreamSource, data_of
from spice_engine.errors import SpiceError
from spice_engine.pods.feed_link import Link

MAX_MESSAGE_BYTES = 2**20
BATCH_BYTES = 64 * 2**10
CONNECT_SECONDS = 10.0
HEARTBEAT_SECONDS = 20.0


async def stream(source: StreamSource, link: Link) -> None:
    """Keeps the connection, for ever; after failures with growing waits."""
    while True:
        try:
            await _connection(source, link)
        except SpiceError as error:
            link.failed(error)
        await link.back_off()


async def _connection(source: StreamSource, link: Link) -> None:
    """One connection, from its handshake to its end, which is always a failure."""
    where = shown(source.url)
    try:
        async with aiohttp.ClientSession(
            trust_env=True,
            cookie_jar=aiohttp.DummyCookieJar(),
            headers={"User-Agent": f"spice-tui/{__version__}", **source.headers},
        ) as session:
            async with asyncio.timeout(CONNECT_SECONDS):
                socket = await session.ws_connect(
                    source.url,
                    heartbeat=HEARTBEAT_SECONDS,
                    max_msg_size=MAX_MESSAGE_BYTES,
                    timeout=aiohttp.ClientWSTimeout(ws_close=2.0),  # pyright: ignore[reportCallIssue],
                )
            async with socket:
                for message in source.subscribe:
                    await socket.send_str(message)
                link.connected()
                await _receive(socket, source, link)
    except aiohttp.WSServerHandshakeError as error:
        raise FeedFailed(
            f"{where} answered {error.status} instead of opening a WebSocket.",
            hint="Check the address, and what it needs in 'headers'.",
        ) from None
    except aiohttp.ClientConnectorCertificateError:
        raise FeedFailed(f"The certificate of {where} cannot be verified.") from None
    except TimeoutError:
        raise FeedFailed(f"{where} did not answer within {CONNECT_SECONDS:g} s.") from None
    except (aiohttp.ClientError, ConnectionError, ValueError) as error:
        # Without the error's text, which may hold the whole address.
        reason = getattr(error, "strerror", None) or type(error).__name__
        raise FeedFailed(f"{where} cannot be reached: {reason}.") from None


async def _receive(
    socket: aiohttp.ClientWebSocketResponse, source: StreamSource, link: Link
) -> None:
    """Hands messages on until the connection ends: 64 KiB of them, or those of a quarter second.

    While a batch is on its way nothing is read, so a server that is too fast is slowed down.
    """
    batch: list[str] = []
    size, ends_at = 0, 0.0
    selector = link.template.params.get("time_selector", "") or "time"
    receiving = asyncio.create_task(socket.receive())
    try:
        while True:
            left = max(0.0, ends_at - time.monotonic()) if batch else None
            done, _ = await asyncio.wait({receiving}, timeout=left)
            if done:
                message = receiving.result()
                if message.type not in {aiohttp.WSMsgType.TEXT, aiohttp.WSMsgType.BINARY}:
                    await _hand_on(batch, link)
                    raise _ended(message, source)
                receiving = asyncio.create_task(socket.receive())
                found = _read(message, source, selector, link)
                if found and not batch:
                    ends_at = time.monotonic() + link.pace.batch
                batch += found
                size += sum(map(len, found))
            if batch and (size >= BATCH_BYTES or time.monotonic() >= ends_at):
                await _hand_on(batch, link)
                batch, size = [], 0
    finally:
        receiving.cancel()
        await asyncio.wait({receiving})


def _read(message: aiohttp.WSMessage, source: StreamSource, selector: str, link: Link) -> list[str]:
    """The data of one message; one that cannot be read is noted, and left out."""
    try:
        text = message.data if isinstance(message.data, str) else message.data.decode()
        return list(data_of(text, source, selector))
    except ValueError as error:  # of UTF-8 and of JSON
        link.status.bad_rows += 1
        link.complain(f"A message of {shown(source.url)} cannot be read: {error}.")
        return []


async def _hand_on(batch: list[str], link: Link) -> None:
    if not batch:
        return
    data = f"[{','.join(batch)}]".encode()
    try:
        await link.deliver(data)
    except SpiceError as error:
        # These messages are no data; the connection is as good as before.
        link.complain(str(error))
    else:
        link.worked(len(data))


def _ended(message: aiohttp.WSMessage, source: StreamSource) -> FeedFailed:
    where = shown(source.url)
    if isinstance(message.data, aiohttp.WebSocketError):
        if message.data.code == aiohttp.WSCloseCode.MESSAGE_TOO_BIG:
            return FeedFailed(f"{where} sent a message of over {MAX_MESSAGE_BYTES >> 20} MiB.")
        return FeedFailed(f"{where} sent what is no WebSocket message.")
    code = f" ({message.data})" if isinstance(message.data, int) else ""
    return FeedFailed(f"{where} closed the connection{code}.", hint="It is opened again.")
