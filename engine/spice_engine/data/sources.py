"""Where a payload's bytes come from: read once, from the front, hashed on the way."""

from __future__ import annotations

import gzip
import hashlib
import io
import zlib
from io import BufferedIOBase

from spice_engine.errors import InvalidData, Place

MAX_WHOLE_BYTES = 1 << 30
"""A payload of a form that must be read whole, and what a gzip file may unpack to."""
_BLOCK = 1 << 20


class HashedReader(io.RawIOBase):
    """A binary stream that knows the SHA-256 of all that was read from it."""

    def __init__(self, source: io.RawIOBase) -> None:
        super().__init__()
        self._source = source
        self._hash = hashlib.sha256()

    def readable(self) -> bool:
        """It is for reading only."""
        return True

    def readinto(self, buffer: bytearray | memoryview, /) -> int:  # pyright: ignore[reportIncompatibleMethodOverride]
        """Reads into the buffer and hashes it; 0 at the end."""
        data = self._source.read(len(buffer)) or b""
        buffer[: len(data)] = data
        self._hash.update(data)
        return len(data)

    def digest(self) -> str:
        """SHA-256 of the whole stream, in hexadecimal; reads what is left of it."""
        while self.read(_BLOCK):
            pass
        return self._hash.hexdigest()


class Unpacked(io.RawIOBase):
    """The content of a gzip stream, bounded, with plain errors."""

    def __init__(
        self, source: HashedReader, name: str, place: Place | None, limit: int = MAX_WHOLE_BYTES
    ) -> None:
        super().__init__()
        self._source = gzip.GzipFile(fileobj=io.BufferedReader(source, _BLOCK))
        self._name = name
        self._place = place
        self._left = limit
        self._limit = limit

    def readable(self) -> bool:
        """It is for reading only."""
        return True

    def readinto(self, buffer: bytearray | memoryview, /) -> int:  # pyright: ignore[reportIncompatibleMethodOverride]
        """Unpacks into the buffer; 0 at the end.

        Raises InvalidData where it is no gzip, not whole, or unpacks to too much.
        """
        try:
            data = self._source.read(len(buffer))
        except (OSError, EOFError, zlib.error) as error:
            raise InvalidData(
                f"'{self._name}' cannot be unpacked: {error}.",
                hint="Pack it again with gzip, or take the '.gz' from its name.",
                place=self._place,
            ) from error
        self._left -= len(data)
        if self._left < 0:
            raise InvalidData(
                f"'{self._name}' unpacks to more than {self._limit >> 20} MiB.",
                hint="Cut the data down to the pod's period.",
                place=self._place,
            )
        buffer[: len(data)] = data
        return len(data)


def read_whole(source: BufferedIOBase, name: str, place: Place | None = None) -> bytes:
    """All that is left of a payload.

    Raises InvalidData where it is over MAX_WHOLE_BYTES.
    """
    data = source.read(MAX_WHOLE_BYTES + 1)
    if len(data) > MAX_WHOLE_BYTES:
        raise InvalidData(
            f"'{name}' is larger than {MAX_WHOLE_BYTES >> 20} MiB, too much for its format.",
            hint="Cut the data down to the pod's period, or give them as CSV.",
            place=place,
        )
    return data
