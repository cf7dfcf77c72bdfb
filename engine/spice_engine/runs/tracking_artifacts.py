"""The files that tracking clients send: outputs of their runs, in `runs/N/outputs`.

A file comes in beside, below `tmp`, and takes its place when it is whole and on the disk: one that
was cut off leaves nothing. No path leads out of a run's outputs, through a symbolic link neither.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import secrets
import shutil
import sqlite3
import stat
from collections.abc import AsyncIterator
from pathlib import Path
from typing import BinaryIO

from spice_engine.errors import Conflict, InvalidRequest, NotFound, Overloaded, TooLarge
from spice_engine.records import record
from spice_engine.runs.run_files import OUTPUTS
from spice_engine.runs.service import Runs
from spice_engine.store import runs as run_table
from spice_engine.store.disk import storage_error, sync_folder
from spice_engine.store.runs import FINAL_STATES, OutputsRow, RunRow

LARGEST_BYTES = 2**36
"""Of one file."""
UPLOADS_AT_ONCE = 32
PIECE_BYTES = 2**20
LONGEST_PATH = 1000


@record
class Artifact:
    """A file or folder in a run's outputs; `size` is None for a folder."""

    path: str
    size: int | None


class Artifacts:
    """The service behind a client's files. Belongs to the engine's loop."""

    def __init__(self, runs: Runs) -> None:
        self._runs = runs
        self._uploads = 0

    async def take(self, number: int, path: str, pieces: AsyncIterator[bytes]) -> None:
        """Keep a file; one that is there already is replaced.

        Raises:
            NotFound: there is no such run.
            InvalidRequest: the path cannot be used.
            Conflict: a folder is there.
            Overloaded: too many come at once.
            TooLarge: it is.
            StorageError: the disk is full or the folder cannot be written.
        """
        parts = parts_of(path)
        row = await self._row(number)
        if row.archived is not None:
            raise InvalidRequest(
                f"The run {number} must be in 'active' lifecycle_stage.", hint="Restore it first."
            )
        if self._uploads >= UPLOADS_AT_ONCE:
            raise Overloaded(f"{UPLOADS_AT_ONCE} files come at once.", hint="Try again.")
        beside = self._runs.location.state / "tmp" / f"artifact-{secrets.token_hex(8)}"
        self._uploads += 1
        try:
            await self._receive(beside, pieces)
            await asyncio.to_thread(_put, beside, self._top(number), parts)
        finally:
            self._uploads -= 1
            await asyncio.shield(asyncio.to_thread(beside.unlink, missing_ok=True))
        await self._recount(row)

    async def _receive(self, beside: Path, pieces: AsyncIterator[bytes]) -> None:
        file = await asyncio.to_thread(_open_new, beside)
        try:
            held, received = bytearray(), 0
            async for piece in pieces:
                received += len(piece)
                if received > LARGEST_BYTES:
                    raise TooLarge(f"the file is over the limit of {LARGEST_BYTES} bytes.")
                held += piece
                if len(held) >= PIECE_BYTES:
                    await asyncio.to_thread(_write, file, bytes(held))
                    held.clear()
            await asyncio.to_thread(_finish, file, bytes(held))
        finally:
            await asyncio.to_thread(_close, file)

    async def open(self, number: int, path: str) -> BinaryIO:
        """A file, to be read and closed in threads.

        Raises:
            NotFound: there is no such run or file.
            InvalidRequest: the path cannot be used.
        """
        parts = parts_of(path)
        await self._row(number)
        return await asyncio.to_thread(_open, self._top(number), parts)

    async def list(self, number: int, path: str) -> list[Artifact]:
        """What is in a folder, by name; nothing for what is none.

        Raises:
            NotFound: there is no such run.
            InvalidRequest: the path cannot be used.
        """
        parts = parts_of(path) if path.strip("/") else ()
        await self._row(number)
        return await asyncio.to_thread(_list, self._top(number), parts)

    async def remove(self, number: int, path: str) -> None:
        """Remove a file or a folder.

        Raises:
            NotFound: there is no such run, or nothing at the path.
            InvalidRequest: the path cannot be used.
            StorageError: it cannot be removed.
        """
        parts = parts_of(path) if path.strip("/") else ()
        row = await self._row(number)
        await asyncio.to_thread(_remove, self._top(number), parts)
        await self._recount(row)

    def _top(self, number: int) -> Path:
        return self._runs.folder(number) / OUTPUTS

    async def _row(self, number: int) -> RunRow:
        return await self._runs.database.read(lambda connection: run_table.get(connection, number))

    async def _recount(self, row: RunRow) -> None:
        """Note anew what a run left that was over already."""
        if row.state not in FINAL_STATES:
            return
        left = await asyncio.to_thread(measured, self._runs.folder(row.id))

        def change(connection: sqlite3.Connection) -> RunRow:
            run_table.note_outputs(connection, row.id, left)
            return run_table.get(connection, row.id)

        self._runs.known.note(await self._runs.database.write(change))


def parts_of(path: str) -> tuple[str, ...]:
    """A path below a run's outputs, taken apart.

    Raises:
        InvalidRequest: it is none, or leads elsewhere.
    """
    parts = tuple(path.strip("/").split("/"))
    bad = any(part in {"", ".", ".."} or len(os.fsencode(part)) > 255 for part in parts)
    if bad or "\0" in path or "\\" in path or len(path) > LONGEST_PATH:
        raise InvalidRequest(f"Invalid path: {path[:200]!r}", hint="Such as: model/weights.npy.")
    return parts


def measured(folder: Path) -> OutputsRow:
    """How much is in the outputs of a run. Blocks."""
    files = size = 0
    for path, _, names in os.walk(folder / OUTPUTS):
        for name in names:
            with contextlib.suppress(FileNotFoundError):
                size += Path(path, name).lstat().st_size
                files += 1
    return OutputsRow(files, size)


def _inside(top: Path, parts: tuple[str, ...]) -> Path:
    """Where a path leads, links followed.

    Raises:
        InvalidRequest: out of the outputs.
    """
    place = top.joinpath(*parts)
    try:
        found = place.resolve()
    except (OSError, RuntimeError) as error:
        raise InvalidRequest(f"Invalid path: {'/'.join(parts)[:200]!r}") from error
    if not found.is_relative_to(top.resolve()):
        raise InvalidRequest(
            f"Invalid path: {'/'.join(parts)[:200]!r} leads out of the outputs of its run."
        )
    return found


def _open_new(path: Path) -> BinaryIO:
    try:
        return path.open("xb")
    except OSError as error:
        raise storage_error(error, "take a file in", path) from error


def _write(file: BinaryIO, data: bytes) -> None:
    try:
        file.write(data)
    except OSError as error:
        raise storage_error(error, "take a file in", file.name) from error


def _finish(file: BinaryIO, data: bytes) -> None:
    try:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    except OSError as error:
        raise storage_error(error, "take a file in", file.name) from error


def _close(file: BinaryIO) -> None:
    with contextlib.suppress(OSError):  # what could not be written was told
        file.close()


def _put(beside: Path, top: Path, parts: tuple[str, ...]) -> Path:
    place = _inside(top, parts[:-1]) / parts[-1]
    try:
        place.parent.mkdir(parents=True, exist_ok=True)
        if place.is_dir() and not place.is_symlink():
            raise Conflict(f"{'/'.join(parts)[:200]!r} is a folder.")
        beside.replace(place)
        sync_folder(place.parent)
    except (NotADirectoryError, FileExistsError) as error:
        raise Conflict(f"{'/'.join(parts[:-1])[:200]!r} is a file.") from error
    except OSError as error:
        raise storage_error(error, "keep a file", place) from error
    return place


def _open(top: Path, parts: tuple[str, ...]) -> BinaryIO:
    place = _inside(top, parts)
    try:
        if not stat.S_ISREG(place.stat().st_mode):  # a pipe would never open
            raise _nothing(parts)
        return place.open("rb")
    except OSError as error:
        raise _nothing(parts) from error


def _list(top: Path, parts: tuple[str, ...]) -> list[Artifact]:
    place = _inside(top, parts)
    found: list[Artifact] = []
    try:
        for entry in os.scandir(place):
            name = "/".join((*parts, os.fsencode(entry.name).decode("utf-8", "replace")))
            if entry.is_dir():
                found.append(Artifact(name, None))
            elif entry.is_file():
                found.append(Artifact(name, entry.stat().st_size))
    except OSError:
        return []
    return sorted(found, key=lambda one: one.path)


def _remove(top: Path, parts: tuple[str, ...]) -> None:
    place = _inside(top, parts[:-1]).joinpath(*parts[-1:])
    try:
        if place.is_dir() and not place.is_symlink():
            shutil.rmtree(place)
        else:
            place.unlink()
    except FileNotFoundError as error:
        raise _nothing(parts) from error
    except OSError as error:
        raise storage_error(error, "remove a file", place) from error


def _nothing(parts: tuple[str, ...]) -> NotFound:
    return NotFound(f"there is no artifact {'/'.join(parts)[:200]!r}.")
