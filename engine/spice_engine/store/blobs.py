"""Content-addressed files: bytes kept once, read-only, under the SHA-256 of their content.

Everything here blocks: call it through `asyncio.to_thread` or in a child, never on the loop.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import re
import sqlite3
import time
import uuid
from collections.abc import Callable, Generator
from pathlib import Path
from stat import S_ISREG
from typing import BinaryIO, Final

from spice_engine.errors import NotFound, Place, StorageError
from spice_engine.store.copying import cloned
from spice_engine.store.disk import storage_error, write_all
from spice_engine.store.putting import Put
from spice_engine.store.sqlite_errors import storage_failure
from spice_engine.store.stat_cache import StatCache

HASH: Final = re.compile(r"[0-9a-f]{64}")
YOUNG_SECONDS = 600.0
"""Much less than the age at which objects are collected."""
_CHUNK = 2**20
_ATTEMPTS = 3

Told = Callable[[int], None]
"""Called with the bytes that were taken in since the last time; what it raises ends the work."""


class Blobs:
    """The files in one folder; `close` it at the end. `ObjectStore` adds folders to it.

    An object has its final name only when all its bytes are on disk. Putting holds a shared lock
    on the folder, so that collecting, which takes it alone, never runs in the middle of it.
    """

    def __init__(self, folder: Path) -> None:
        """Opens or makes the store.

        Raises:
            StorageError: the folder cannot be written.
        """
        self.folder = folder
        self._temporary = folder / "tmp"
        self._lock_path = folder / "lock"
        try:
            self._temporary.mkdir(parents=True, exist_ok=True)
            self._lock_path.touch()
            self._cache = StatCache(folder / "stat-cache.db")
        except OSError as error:
            raise storage_error(error, "open the object store", folder) from error
        except sqlite3.Error as error:
            raise storage_failure(error, folder / "stat-cache.db") from error

    def close(self) -> None:
        """Closes the stat cache. May be repeated."""
        self._cache.close()

    def path_of(self, object_hash: str) -> Path:
        """Where the object's file is, or would be. Read it only; it is shared.

        Raises:
            NotFound: `object_hash` is not the form of a hash.
        """
        if not HASH.fullmatch(object_hash):
            raise NotFound(f"{object_hash!r} is not the hash of an object.")
        return self.folder / object_hash[:2] / object_hash[2:]

    def __contains__(self, object_hash: str) -> bool:
        return self.path_of(object_hash).exists()

    def put_bytes(self, data: bytes) -> str:
        """Stores `data` and gives its hash.

        Raises:
            StorageError: the disk is full or the folder cannot be written; nothing is left.
        """
        with self._putting("store an object") as put:
            return self._put_bytes(data, put)

    def put_all(self, make: Callable[[Callable[[bytes], str]], str]) -> str:
        """Calls `make` with a function that stores bytes and gives their hash, and gives what it
        gives: what was stored is on disk then.

        Raises:
            StorageError: the disk is full or the folder cannot be written.
        """
        with self._putting("store objects") as put:
            return make(lambda data: self._put_bytes(data, put))

    def put_file(self, path: Path, told: Told | None = None) -> str:
        """Stores the file's content and gives its hash; a link is followed.

        Raises:
            NotFound: there is no such file.
            StorageError: it cannot be read, or the disk is full; nothing is left.
        """
        with self._putting("store a file") as put:
            absolute = path.absolute()
            if not absolute.is_file():
                raise NotFound(f"there is no file {path}.")
            try:
                stat = absolute.stat()
                digest = self._cache.get(absolute, stat)
                if digest is not None and self._keep(digest):
                    if told is not None:
                        told(stat.st_size)
                    return digest
                digest, stat = self._put_file(absolute, put, told)
            except (FileNotFoundError, GoneError) as error:
                raise NotFound(f"there is no file {path}.") from error
        # Not before all of it is on disk: what is known here is not synced again.
        self._cache.add(absolute, stat, digest)
        return digest

    def open(self, object_hash: str) -> BinaryIO:
        """The object for reading.

        Raises:
            NotFound: there is no such object.
        """
        try:
            return self.path_of(object_hash).open("rb")
        except FileNotFoundError as error:
            raise NotFound(
                f"the object store has no object {object_hash[:12]}.",
                hint="It may have been removed; make it again from its source.",
            ) from error

    def read_bytes(self, object_hash: str, *, verify: bool = False) -> bytes:
        """The object's content, with `verify` compared with its hash.

        Raises:
            NotFound: there is no such object.
            StorageError: its content is not what was stored.
        """
        with self.open(object_hash) as source:
            data = source.read()
        if verify and hashlib.sha256(data).hexdigest() != object_hash:
            raise self._damaged(object_hash)
        return data

    def _damaged(self, object_hash: str) -> StorageError:
        return StorageError(
            "an object's content is not what was stored.",
            hint="Check the disk; remove the file and make the object again from its source.",
            place=Place(str(self.path_of(object_hash))),
        )

    def _put_file(
        self, path: Path, put: Put, told: Told | None = None
    ) -> tuple[str, os.stat_result]:
        for attempt in range(1, _ATTEMPTS + 1):
            beside = self._temporary / uuid.uuid4().hex
            try:
                with open_source(path) as source:
                    before = os.fstat(source.fileno())
                    with beside.open("xb+") as target:
                        digest = _copied(source, target, told)
                    settled = _same_content(before, os.fstat(source.fileno()))
                if settled or attempt == _ATTEMPTS:
                    put.add(beside, digest)
                    return digest, before
                beside.unlink()
            except BaseException:
                beside.unlink(missing_ok=True)
                raise
        raise AssertionError("the last attempt returns")

    def _put_bytes(self, data: bytes, put: Put) -> str:
        digest = hashlib.sha256(data).hexdigest()
        if self._keep(digest):
            # The put that made it may not have synced the names yet.
            put.touched |= {self.folder, self.path_of(digest).parent}
            return digest
        beside = self._temporary / uuid.uuid4().hex
        try:
            with beside.open("xb", buffering=0) as target:
                write_all(target.fileno(), data)
            put.add(beside, digest)
        except BaseException:
            beside.unlink(missing_ok=True)
            raise
        return digest

    def _keep(self, digest: str) -> bool:
        """Whether the object is there; if so its age starts anew, so that it is not collected
        before its new owner is noted."""
        path = f"{self.folder}/{digest[:2]}/{digest[2:]}"
        try:
            # Each new time is a change that a sync has to write: of young ones it is not needed.
            if os.stat(path).st_mtime < time.time() - YOUNG_SECONDS:  # noqa: PTH116 - a hot path
                os.utime(path)
        except FileNotFoundError:
            return False
        return True

    @contextlib.contextmanager
    def _putting(self, doing: str) -> Generator[Put]:
        """Keeps collections away. What is put is synced and named at the end, which is before the
        caller learns a hash; nothing of it is left when that fails."""
        put = Put(self.folder)
        try:
            with self._lock_path.open("rb") as lock:
                fcntl.flock(lock, fcntl.LOCK_SH)
                try:
                    yield put
                    put.finish()
                finally:
                    put.drop()
        except OSError as error:
            raise storage_error(error, doing, self.folder) from error


class GoneError(Exception):
    """A file or folder of the user's went away between being listed and being read."""


def open_source(path: Path) -> BinaryIO:
    try:
        # A pipe may stand where a file was when it was listed: it is not waited for.
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        if not S_ISREG(os.fstat(descriptor).st_mode):
            os.close(descriptor)
            raise GoneError
        return open(descriptor, "rb")
    except FileNotFoundError as error:
        raise GoneError from error
    except OSError as error:
        raise unreadable(error, path) from error


def unreadable(error: OSError, path: Path) -> StorageError:
    return StorageError(
        f"cannot store the file or folder: {error.strerror or error}.",
        hint="Make it readable, or have it ignored.",
        place=Place(str(path)),
    )


def hash_of(source: BinaryIO, told: Told | None = None) -> str:
    digest = hashlib.sha256()
    while chunk := source.read(_CHUNK):
        digest.update(chunk)
        if told is not None:
            told(len(chunk))
    return digest.hexdigest()


def _copied(source: BinaryIO, target: BinaryIO, told: Told | None) -> str:
    """Copies an open file; the hash is that of what is stored, whatever happens to the source."""
    if cloned(source, target):
        return hash_of(target, told)
    digest = hashlib.sha256()
    while chunk := source.read(_CHUNK):
        target.write(chunk)
        digest.update(chunk)
        if told is not None:
            told(len(chunk))
    target.flush()
    return digest.hexdigest()


def _same_content(before: os.stat_result, after: os.stat_result) -> bool:
    return (before.st_size, before.st_mtime_ns) == (after.st_size, after.st_mtime_ns)
