"""Record what a client and its engine say to each other, and play the engine's part again.

For bug reports, demonstrations and screens that look the same every time. A recording is a
file of the private door's frames: first a header (a map with format and version), then
`[seconds, "in" | "out", message]`, in order. It holds whatever went over the connection, the
environment variables of started runs among it: look before you send one to somebody.

    with Recorder(path) as recorder:
        client = await AsyncClient.connect(location, observer=recorder)
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, Literal

from spice_engine.errors import IncompatibleVersion, InvalidData, NotFound, ProtocolError
from spice_engine.protocol import frames
from spice_engine.records import record

if TYPE_CHECKING:
    from typing import Self

FORMAT = "spice-tui recording"
VERSION = 1
MAX_BYTES = 256 * 2**20
"""A recording ends here; the session goes on."""


class InvalidRecording(InvalidData):
    """A file that is not a recording, or a damaged one."""

    code = "invalid_recording"


@record
class Entry:
    """One message: `seconds` since the start, `in` from the engine or `out` to it."""

    seconds: float
    direction: Literal["in", "out"]
    message: list[Any]


@record
class Recording:
    """A whole recording. `started` is Unix time; `torn`: the file ends within a message."""

    version: int
    started: float
    entries: tuple[Entry, ...]
    torn: bool = False


class Recorder:
    """Writes a recording; give it to `AsyncClient` as its observer."""

    def __init__(self, path: Path, *, limit: int = MAX_BYTES) -> None:
        """Begin a file at `path`, readable by its owner alone; one that is there is replaced.

        Raises:
            InvalidRecording: it cannot be written.
        """
        self._limit = limit
        self._start = time.monotonic()
        self._size = 0
        self.full = False
        try:
            path.unlink(missing_ok=True)
            path.touch(mode=0o600)
            self._file: BinaryIO = path.open("wb")
        except OSError as error:
            raise InvalidRecording(
                f"{path} cannot be written: {error.strerror}.", hint="Name another file."
            ) from error
        self._write({"format": FORMAT, "version": VERSION, "started": time.time()})

    def __call__(self, direction: str, message: Any) -> None:
        """Take down one message (the observer's hook)."""
        if not self._file.closed and not self.full:
            self._write([time.monotonic() - self._start, direction, message])

    def _write(self, item: Any) -> None:
        data = frames.encode(item)
        if self._size + len(data) > self._limit:
            self.full = True
            return
        self._size += len(data)
        self._file.write(data)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *details: object) -> None:
        self.close()

    def close(self) -> None:
        """End the file; what comes after is not taken down."""
        self._file.close()


def read_recording(path: Path) -> Recording:
    """The recording in a file. A torn last message, as a crash leaves it, is left out.

    Raises:
        NotFound: there is no such file.
        InvalidRecording: it is not a recording, or is damaged; the message says where.
        IncompatibleVersion: it was made by a newer program.
    """
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        raise NotFound(f"there is no recording {path}.") from None
    except OSError as error:
        raise InvalidRecording(f"{path} cannot be read: {error.strerror}.") from error
    items, torn = _cut(path, data)
    if not items:
        raise InvalidRecording(f"{path} is not a recording: it has no header.")
    started = _started(path, items[0][1])
    entries = tuple(_entry(path, offset, item) for offset, item in items[1:])
    return Recording(VERSION, started, entries, torn)


def _cut(path: Path, data: bytes) -> tuple[list[tuple[int, Any]], bool]:
    """The frames with their offsets, and whether the last one is torn."""
    items: list[tuple[int, Any]] = []
    at = 0
    while at + frames.HEADER.size <= len(data):
        (length,) = frames.HEADER.unpack_from(data, at)
        end = at + frames.HEADER.size + length
        if length > frames.MAX_FRAME_BYTES:
            raise InvalidRecording(f"{path} is not a recording, or is damaged at byte {at}.")
        if end > len(data):
            break
        try:
            items.append((at, frames.decode(data[at + frames.HEADER.size : end])))
        except ProtocolError:
            raise InvalidRecording(
                f"{path} is not a recording, or is damaged at byte {at}."
            ) from None
        at = end
    return items, at < len(data)


def _started(path: Path, header: Any) -> float:
    match header:
        case {"format": str(name), "version": int(version)} if name == FORMAT:
            if version > VERSION:
                raise IncompatibleVersion(
                    f"{path} is a recording of version {version}; this program reads {VERSION}.",
                    hint="Update spice-tui.",
                )
            started = header.get("started", 0.0)
            return float(started) if isinstance(started, int | float) else 0.0
        case _:
            raise InvalidRecording(f"{path} is not a recording: its header is of another kind.")


def _entry(path: Path, offset: int, item: Any) -> Entry:
    match item:
        case [float() | int() as seconds, "in" | "out" as direction, [int(), *_] as message]:
            return Entry(float(seconds), direction, list(message))
        case _:
            raise InvalidRecording(f"{path} is damaged at byte {offset}: no message is there.")


def request_key(operation: str, params: Mapping[str, Any]) -> str:
    """What makes two requests the same: the operation and its parameters in any order."""
    return f"{operation} {_canonical(params)}"


def _canonical(value: Any) -> str:
    if isinstance(value, Mapping):
        items = sorted((str(key), _canonical(item)) for key, item in value.items())
        return "{" + ",".join(f"{key}:{item}" for key, item in items) + "}"
    if isinstance(value, list | tuple):
        return "[" + ",".join(_canonical(item) for item in value) + "]"
    return repr(value)
