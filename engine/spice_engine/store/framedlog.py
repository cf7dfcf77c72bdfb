"""An append-only file of CRC-checked frames that survives crashes at any byte. Blocking.

A frame is `<II` (the payload's length and CRC-32) and the payload, never empty. A group of frames
is appended by one `write` and confirmed by one `fdatasync`. What a crash left unfinished at the
end is cut off at the last whole frame when the file is next opened for writing.
"""

from __future__ import annotations

import os
import struct
import threading
import zlib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final

from spice_engine.errors import InvalidRequest, NotFound, Place, StorageError
from spice_engine.store.disk import storage_error, sync_folder, write_all

HEADER = struct.Struct("<II")
LARGEST_PAYLOAD: Final = 16 * 2**20


def frame(payload: bytes) -> bytes:
    """The payload with its header.

    Raises:
        InvalidRequest: it is empty or over 16 MiB.
    """
    if not 0 < len(payload) <= LARGEST_PAYLOAD:
        raise InvalidRequest(f"a frame of {len(payload)} bytes is not in 1 .. {LARGEST_PAYLOAD}.")
    return HEADER.pack(len(payload), zlib.crc32(payload)) + payload


def read_frames(path: Path, offset: int = 0) -> Iterator[tuple[int, bytes]]:
    """The whole frames from `offset` on, each with the offset of the next one. Ends quietly at a
    frame that is not whole: another process may be writing it.

    Raises:
        NotFound: there is no such file.
        StorageError: it cannot be read.
    """
    try:
        with path.open("rb") as source:
            source.seek(offset)
            while len(header := source.read(HEADER.size)) == HEADER.size:
                length, crc = HEADER.unpack(header)
                # A length of 0 is not a frame: zeros are what a power loss may leave.
                if not 0 < length <= LARGEST_PAYLOAD:
                    return
                payload = source.read(length)
                if len(payload) < length or zlib.crc32(payload) != crc:
                    return
                offset += HEADER.size + length
                yield offset, payload
    except FileNotFoundError as error:
        raise NotFound(f"there is no file {path}.") from error
    except OSError as error:
        raise storage_error(error, "read the log", path) from error


class FramedLog:
    """One such file, open for appending; safe from several threads, `close` it at the end."""

    def __init__(self, path: Path) -> None:
        """Opens or makes the file and cuts what is not whole at its end.

        The bytes cut off are kept beside it as `NAME.torn` (the last cut only), since after damage
        in the middle they may hold good frames; `cut_bytes` says how many there were.

        Raises:
            StorageError: the file cannot be written.
        """
        self.path = path
        self.cut_bytes = 0
        self._lock = threading.Lock()
        self._size = 0
        self._clean = True
        try:
            is_new = not path.exists()
            self._descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o600)
        except OSError as error:
            raise storage_error(error, "open the log", path) from error
        try:
            if is_new:
                sync_folder(path.parent)
            else:
                self._cut_torn_end()
        except OSError as error:
            self.close()
            raise storage_error(error, "open the log", path) from error
        except StorageError:
            self.close()
            raise

    @property
    def size(self) -> int:
        """Bytes of whole, confirmed frames."""
        return self._size

    def append(self, payloads: Iterable[bytes]) -> int:
        """Appends the payloads as one group and gives the file's new size. All are on disk when
        this returns; if it raises, none is.

        Raises:
            InvalidRequest: a payload is empty or too large.
            StorageError: the disk is full or broken. The log can be used again when it is not.
        """
        group = b"".join(map(frame, payloads))
        with self._lock:
            if self._descriptor < 0:
                raise StorageError("the log is closed.", place=Place(str(self.path)))
            if not group:
                return self._size
            try:
                if not self._clean:
                    os.ftruncate(self._descriptor, self._size)
                    self._clean = True
                self._clean = False
                write_all(self._descriptor, group)
                _sync_data(self._descriptor)
                self._clean = True
            except OSError as error:
                self._take_back()
                raise storage_error(error, "append to the log", self.path) from error
            self._size += len(group)
            return self._size

    def close(self) -> None:
        """Closes the file. May be repeated."""
        with self._lock:
            if self._descriptor >= 0:
                os.close(self._descriptor)
                self._descriptor = -1

    def _take_back(self) -> None:
        """Cuts what a failed append left; where that fails too, the next append does it first."""
        try:
            os.ftruncate(self._descriptor, self._size)
        except OSError:
            return
        self._clean = True

    def _cut_torn_end(self) -> None:
        for end, _ in read_frames(self.path):
            self._size = end
        length = os.fstat(self._descriptor).st_size
        self.cut_bytes = length - self._size
        if not self.cut_bytes:
            return
        torn = self.path.with_name(f"{self.path.name}.torn")
        with torn.open("wb") as target:
            position = self._size
            while part := os.pread(self._descriptor, 2**20, position):
                target.write(part)
                position += len(part)
            target.flush()
            os.fsync(target.fileno())
        os.ftruncate(self._descriptor, self._size)
        os.fsync(self._descriptor)


def _sync_data(descriptor: int) -> None:
    # macOS has no fdatasync; there the whole of fsync is what there is.
    getattr(os, "fdatasync", os.fsync)(descriptor)
