"""Bodies that come compressed: gzip and deflate (RFC 1950, 1951, 1952), bounded and whole.

The HTTP library would take a body that was cut for a whole one.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from typing import Any

from spice_engine.errors import InvalidRequest, SpiceError

STEP = 2**18
"""Bytes decoded at a time: what a small body grows to is seen before it is held."""


class UnsupportedEncoding(SpiceError):
    """The body has a Content-Encoding that this door does not read."""

    code = "unsupported_encoding"
    http_status = 415
    exit_code = 2


class Decoder:
    """Takes the chunks of a body and gives what they hold."""

    def __init__(self, encoding: str) -> None:
        """`encoding` is the text of the header.

        Raises:
            UnsupportedEncoding: it is none of gzip, deflate, identity.
        """
        self._encoding = encoding.strip().lower()
        self._inner: Any = None  # zlib names the class of its decompressors nowhere in public
        self._any = False
        if self._encoding in {"gzip", "x-gzip"}:
            self._inner = zlib.decompressobj(wbits=16 + zlib.MAX_WBITS)
        elif self._encoding not in {"", "identity", "deflate"}:
            raise UnsupportedEncoding(
                f"the Content-Encoding {encoding[:40]!r} is not read here.",
                hint="Send the body as it is, or with gzip or deflate.",
            )

    def feed(self, chunk: bytes) -> Iterator[bytes]:
        """What a chunk holds, in steps.

        Raises:
            InvalidRequest: it is not what the header says.
        """
        if self._encoding in {"", "identity"}:
            yield chunk
            return
        if self._inner is None:
            # Some clients send deflate without the header that RFC 1950 wants.
            raw = chunk[:1] and chunk[0] & 0x0F != 8
            self._inner = zlib.decompressobj(wbits=-zlib.MAX_WBITS if raw else zlib.MAX_WBITS)
        self._any = self._any or bool(chunk)
        try:
            while chunk:
                yield self._inner.decompress(chunk, STEP)
                chunk = self._inner.unconsumed_tail
        except zlib.error as error:
            raise InvalidRequest(f"the body is not {self._encoding}: {error}.") from None
        if self._inner.unused_data:
            raise InvalidRequest(f"the body goes on after the end of its {self._encoding} data.")

    def close(self) -> None:
        """Raise InvalidRequest where the body was cut."""
        if self._inner is not None and self._any and not self._inner.eof:
            raise InvalidRequest(f"the {self._encoding} data of the body are cut short.")
