"""The log of a command: appended as it comes, bounded, with a sparse index from time to place."""

from __future__ import annotations

import os
import struct
import time
from pathlib import Path

INDEX_RECORD = struct.Struct("<Qd")
"""One record of `<log>.idx`: the offset of the first byte appended after a moment, and that
moment in seconds since 1970 (never less than in the record before)."""
INDEX_BYTES = 65536
INDEX_SECONDS = 1.0


class LogWriter:
    """Appends to a log and its index.

    Keeps the first `max_bytes` (0: all), then one line that says so; the rest is only counted.
    With `rotate_bytes` a log that grew so large becomes `<log>.1`, instead of the one that was
    there, and a new one begins: what was written last is kept. A full disk loses log lines,
    which are counted too, and nothing else.
    """

    def __init__(self, path: str, max_bytes: int = 0, rotate_bytes: int = 0) -> None:
        self._path = path
        self._rotate_bytes = rotate_bytes
        self._open()
        self.dropped = 0
        self.error = ""
        self._max_bytes = max_bytes
        self._limit_said = False
        self._last_stamp = 0.0

    def _open(self) -> None:
        flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT
        self._log = os.open(self._path, flags, 0o644)
        self._index = os.open(self._path + ".idx", flags, 0o644)
        self.size = os.fstat(self._log).st_size
        self._last_offset = -1
        self._last_moment = 0.0
        # A torn last record of an earlier writer would shift all that follow.
        torn = os.fstat(self._index).st_size % INDEX_RECORD.size
        if torn:
            os.ftruncate(self._index, os.fstat(self._index).st_size - torn)

    def write(self, data: bytes) -> None:
        """Takes bytes of the command's output."""
        if self._rotate_bytes and self.size and self.size + len(data) > self._rotate_bytes:
            self._rotate()
        if self._max_bytes:
            room = max(0, self._max_bytes - self.size)
            if len(data) > room:
                self.dropped += len(data) - room
                if not self._limit_said:
                    self._limit_said = True
                    # What follows the room is our line, not the command's output.
                    self._append(data[:room])
                    self._append(
                        b"\n[the log reached its limit of %d bytes; the rest is not kept]\n"
                        % self._max_bytes
                    )
                return
        self._append(data)

    def say(self, text: str) -> None:
        """A line of the shim's own, outside of the limit."""
        self._append(f"[{text}]\n".encode("utf-8", "replace"))

    def close(self) -> None:
        """Flushes and closes; an error of the disk is kept in `error`."""
        try:
            os.fsync(self._log)
        except OSError as error:
            self.error = self.error or str(error)
        os.close(self._log)
        os.close(self._index)

    def _rotate(self) -> None:
        before = self._log, self._index
        try:
            Path(self._path).rename(self._path + ".1")
            Path(self._path + ".idx").rename(self._path + ".1.idx")
            self._open()
        except OSError as error:
            # The log goes on where it is, and this is tried again with the next output.
            self._log, self._index = before
            self.error = self.error or str(error)
            return
        for descriptor in before:
            os.close(descriptor)

    def _append(self, data: bytes) -> None:
        if not data:
            return
        view = memoryview(data)
        try:
            self._note_time()
            while view:
                written = os.write(self._log, view)
                self.size += written
                view = view[written:]
        except OSError as error:
            self.dropped += len(view)
            self.error = self.error or str(error)

    def _note_time(self) -> None:
        moment = time.monotonic()
        first = self._last_offset < 0
        if (
            first
            or self.size - self._last_offset >= INDEX_BYTES
            or moment - self._last_moment >= INDEX_SECONDS
        ):
            # Readers search the index by time, so a clock that was set back must not show.
            self._last_stamp = max(self._last_stamp, time.time())
            os.write(self._index, INDEX_RECORD.pack(self.size, self._last_stamp))
            self._last_offset, self._last_moment = self.size, moment
