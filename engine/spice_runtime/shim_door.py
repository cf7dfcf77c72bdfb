"""The shim's socket: several engines, screens or tools at once, none of which can hold it up.

Messages are JSON objects, each behind its length as 4 bytes (big-endian).
"""

from __future__ import annotations

import json
import os
import selectors
import socket
import struct
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

if TYPE_CHECKING:
    from collections.abc import Callable

    Handler = Callable[["Client", dict[str, Any]], None]

HEADER = struct.Struct(">I")
MAX_CLIENTS = 16
MAX_REQUEST_BYTES = 65536
MAX_UNSENT_BYTES = 262144
MAX_STALLED_SECONDS = 10.0


class Client:
    """One connection; `subscribed` is set by the handler of requests."""

    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock
        self.subscribed = False
        self.told_offset = -1
        self.inbox = bytearray()
        self.outbox = bytearray()
        self.stalled_since = 0.0


class Door:
    """Listens in the working directory and carries messages.

    Relative to the working directory, because a Unix socket's address holds about 100 bytes and
    a folder's path any number.
    """

    def __init__(self, selector: selectors.BaseSelector, path: str, handler: Handler) -> None:
        self._selector = selector
        self._path = path
        self._handler = handler
        self.clients: list[Client] = []
        self._listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        with suppress(FileNotFoundError):
            Path(path).unlink()
        before = os.umask(0o177)
        try:
            self._listener.bind(path)
        finally:
            os.umask(before)
        self._listener.listen(MAX_CLIENTS)
        self._listener.setblocking(False)
        selector.register(self._listener, selectors.EVENT_READ, self._accept)

    def adopt(self, sock: socket.socket) -> Client:
        """Takes a connection that exists already."""
        sock.setblocking(False)
        client = Client(sock)
        self.clients.append(client)

        def ready(events: int) -> None:
            self._serve(client, events)

        self._selector.register(sock, selectors.EVENT_READ, ready)
        return client

    def send(self, client: Client, message: dict[str, Any]) -> None:
        """Sends at once what the socket takes and keeps the rest; drops who does not read."""
        if client not in self.clients:
            return
        body = json.dumps(message, separators=(",", ":")).encode()
        if not client.outbox:
            client.stalled_since = time.monotonic()
        client.outbox += HEADER.pack(len(body)) + body
        self._push(client)
        if len(client.outbox) > MAX_UNSENT_BYTES:
            self.drop(client)

    def drop_stalled(self) -> None:
        """Drops the clients that have not read for long."""
        now = time.monotonic()
        for client in list(self.clients):
            if client.outbox and now - client.stalled_since > MAX_STALLED_SECONDS:
                self.drop(client)

    def drop(self, client: Client) -> None:
        """Ends one connection."""
        if client in self.clients:
            self.clients.remove(client)
            self._selector.unregister(client.sock)
            client.sock.close()

    def close(self, seconds: float) -> None:
        """Gives what is unsent up to `seconds`, then ends everything."""
        self._selector.unregister(self._listener)
        with suppress(OSError):
            Path(self._path).unlink()
        until = time.monotonic() + seconds
        while any(client.outbox for client in self.clients):
            left = until - time.monotonic()
            if left <= 0:
                break
            for key, events in self._selector.select(left):
                if any(client.sock is key.fileobj for client in self.clients):
                    key.data(events)
        self._listener.close()
        for client in list(self.clients):
            self.drop(client)

    def _accept(self, events: int) -> None:
        try:
            sock, _ = self._listener.accept()
        except OSError:
            # Nobody there any more, or no descriptor left: the command must not die of that.
            return
        if len(self.clients) >= MAX_CLIENTS:
            sock.close()
            return
        self.adopt(sock)

    def _serve(self, client: Client, events: int) -> None:
        if events & selectors.EVENT_WRITE:
            self._push(client)
        if not events & selectors.EVENT_READ or client not in self.clients:
            return
        try:
            data = client.sock.recv(16384)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:
            self.drop(client)
            return
        client.inbox += data
        self._take_messages(client)

    def _take_messages(self, client: Client) -> None:
        while len(client.inbox) >= HEADER.size and client in self.clients:
            (length,) = HEADER.unpack_from(client.inbox)
            if length > MAX_REQUEST_BYTES:
                self.drop(client)
                return
            end = HEADER.size + length
            if len(client.inbox) < end:
                return
            body = bytes(client.inbox[HEADER.size : end])
            del client.inbox[:end]
            try:
                request = json.loads(body)
            except (ValueError, RecursionError):
                request = None
            if not isinstance(request, dict):
                self.drop(client)
                return
            self._handler(client, cast("dict[str, Any]", request))

    def _push(self, client: Client) -> None:
        before = len(client.outbox)
        try:
            while client.outbox:
                del client.outbox[: client.sock.send(client.outbox[:65536])]
        except BlockingIOError:
            pass
        except OSError:
            self.drop(client)
            return
        if len(client.outbox) < before:
            client.stalled_since = time.monotonic()
        wanted = selectors.EVENT_READ | (selectors.EVENT_WRITE if client.outbox else 0)
        key = self._selector.get_key(client.sock)
        if key.events != wanted:
            self._selector.modify(client.sock, wanted, key.data)
