"""The `file` connector: a file of the app folder, plain or with gzip (`.gz`).

A relative path is taken from the app folder and may not lead out of it by `..`; symbolic links
inside the folder are followed, for they are its owner's own. A file elsewhere is named by its
absolute path, so that a manifest says openly that it reaches outside.
"""

from __future__ import annotations

import hashlib
import io
import os
import stat
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

from spice_engine.data.sources import HashedReader, Unpacked
from spice_engine.errors import InvalidData, Place
from spice_engine.records import record

MAX_BYTES = 4 << 30
_BUFFER_BYTES = 1 << 20


@record
class FileContent:
    """What was read: the bytes and their SHA-256."""

    data: bytes
    digest: str


@record
class OpenFile:
    """A file being read: its `content` (unpacked), and what tells it from any other state of it."""

    content: io.BufferedIOBase
    identity: tuple[str, int, int, int]
    """Path, time of change (ns), size, inode."""
    raw: HashedReader

    def digest(self) -> str:
        """SHA-256 of the file as it lies on the disk, in hexadecimal; reads what is left of it."""
        return self.raw.digest()


def resolve(app_folder: Path, path: str, place: Place | None = None) -> Path:
    """The absolute path of a manifest's `path`; blocks on nothing.

    Raises InvalidData where a relative path leads out of the app folder, and where the path can
    name no file.
    """
    root = os.path.normpath(app_folder.absolute())
    try:
        wanted = Path(path).expanduser()
    except RuntimeError as error:
        raise InvalidData(
            f"The path '{path}' begins with the home folder of a user who is not known here.",
            hint="Put the file into the app folder, or give its absolute path.",
            place=place,
        ) from error
    if "\0" in path:
        hint = "Take it out."
        raise InvalidData("The path holds a NUL character.", hint=hint, place=place)
    full = os.path.normpath(Path(root) / wanted)
    outside = not wanted.is_absolute() and os.path.commonpath([root, full]) != root
    if not path or outside:
        raise InvalidData(
            f"The path '{path}' leads out of the app folder." if path else "The path is empty.",
            hint="Put the file into the app folder, or give its absolute path.",
            place=place,
        )
    return Path(full)


@contextmanager
def opened(app_folder: Path, path: str, place: Place | None = None) -> Generator[OpenFile]:
    """The file, open for reading once from the front; blocks on the disk.

    Raises InvalidData where it is missing, no regular file, unreadable, or over MAX_BYTES; and
    from reading, where a packed one is broken.
    """
    full = resolve(app_folder, path, place)
    try:
        # A pipe would block for ever on open, so open without waiting and look before reading.
        descriptor = os.open(full, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        try:
            status = os.fstat(descriptor)
            _check(path, status, place)
            raw = HashedReader(os.fdopen(descriptor, "rb", buffering=0, closefd=False))
            packed = path.lower().endswith(".gz")
            content = io.BufferedReader(
                Unpacked(raw, path, place) if packed else raw, _BUFFER_BYTES
            )
            identity = (str(full), status.st_mtime_ns, status.st_size, status.st_ino)
            yield OpenFile(content, identity, raw)
        finally:
            os.close(descriptor)
    except FileNotFoundError as error:
        hint = f"Looked for {full}. Paths are relative to the app folder."
        raise InvalidData(f"There is no file '{path}'.", hint=hint, place=place) from error
    except OSError as error:
        raise InvalidData(
            f"'{path}' cannot be read: {error.strerror or error}.",
            hint=f"Check {full}.",
            place=place,
        ) from error


def read(app_folder: Path, path: str, place: Place | None = None) -> FileContent:
    """The whole file as it lies on the disk; blocks on it.

    Raises InvalidData as `opened` does.
    """
    with opened(app_folder, path, place) as file:
        data = io.BufferedReader(file.raw, _BUFFER_BYTES).read()
    return FileContent(data, hashlib.sha256(data).hexdigest())


def _check(path: str, status: os.stat_result, place: Place | None) -> None:
    if not stat.S_ISREG(status.st_mode):
        raise InvalidData(f"'{path}' is no regular file.", place=place)
    if status.st_size > MAX_BYTES:
        raise InvalidData(
            f"'{path}' is larger than {MAX_BYTES >> 30} GiB.",
            hint="Cut the file down to the pod's period.",
            place=place,
        )
