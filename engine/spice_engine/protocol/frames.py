"""Length-prefixed msgpack frames: the bytes of the private door and of the workers' sockets.

A frame is a 4-byte big-endian length and that many bytes of msgpack. `FrameParser` is fed
whatever a socket delivers and gives back whole messages; it never holds more than one frame's
limit plus what one read delivered.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from typing import Any, cast

import msgpack  # pyright: ignore[reportMissingTypeStubs]

from spice_engine.errors import ProtocolError

HEADER = struct.Struct(">I")
MAX_FRAME_BYTES = 16 * 2**20
"""The largest frame either side accepts; bulk data travels as memory-mapped files instead."""

# msgpack has no type stubs; these three names are all that is used of it.
_pack = cast("Callable[[Any], bytes]", msgpack.Packer(use_bin_type=True).pack)  # pyright: ignore[reportUnknownMemberType]
_unpack = cast("Callable[..., Any]", msgpack.unpackb)  # pyright: ignore[reportUnknownMemberType]
_UnpackError = cast("type[Exception]", msgpack.exceptions.UnpackException)


def encode(message: Any) -> bytes:
    """One message as a frame.

    Raises:
        ProtocolError: it holds a type msgpack has no form for, or is over `MAX_FRAME_BYTES`.
    """
    try:
        body = _pack(message)
    except (TypeError, ValueError, OverflowError, RecursionError) as error:
        raise ProtocolError(f"a message cannot be sent: {error}") from error
    if len(body) > MAX_FRAME_BYTES:
        raise ProtocolError(f"a message of {len(body)} bytes is over {MAX_FRAME_BYTES}")
    return HEADER.pack(len(body)) + body


def decode(body: bytes | bytearray | memoryview) -> Any:
    """The message in a frame's body.

    Raises:
        ProtocolError: the bytes are not exactly one msgpack value.
    """
    try:
        return _unpack(body, raw=False, strict_map_key=False)
    except (ValueError, TypeError, RecursionError, _UnpackError) as error:
        raise ProtocolError(f"a frame does not hold one msgpack value: {error}") from error


class FrameParser:
    """Cuts a stream of bytes into messages."""

    __slots__ = ("_buffer", "_limit")

    def __init__(self, limit: int = MAX_FRAME_BYTES) -> None:
        self._buffer = bytearray()
        self._limit = limit

    @property
    def pending(self) -> int:
        """Bytes held of a frame that is not whole yet."""
        return len(self._buffer)

    def feed(self, data: bytes) -> list[Any]:
        """All messages that are whole once `data` is added.

        Raises:
            ProtocolError: a length over the limit, or a body that is not msgpack. The stream
                cannot be trusted after that; the caller closes it.
        """
        buffer = self._buffer
        buffer += data
        messages: list[Any] = []
        start, size = 0, len(buffer)
        try:
            while size - start >= 4:
                (length,) = HEADER.unpack_from(buffer, start)
                if length > self._limit:
                    raise ProtocolError(f"a frame of {length} bytes is over {self._limit}")
                end = start + 4 + length
                if end > size:
                    break
                messages.append(decode(bytes(buffer[start + 4 : end])))
                start = end
        finally:
            if start:
                del buffer[:start]
        return messages
