"""The files of one pod's accepted observations: segments of frames, sealed into Parquet. Blocks.

`000008.frames` is segment 8; `000001-000007.parquet` holds what segments 1 to 7 held, and
`000001-000007.seen` when their payloads came. A file that covers others supersedes them the moment
it has its name, so a crash at any point loses nothing and counts nothing twice: what is superseded
is removed when the folder is next opened.
"""

from __future__ import annotations

import logging
import os
import re
import shutil
import threading
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from spice_engine.errors import Place, StorageError
from spice_engine.pods.seen import DAY, Head, Record, Seen, head_of, read_records, write_records
from spice_engine.records import record
from spice_engine.store.disk import storage_error, sync_folder
from spice_engine.store.framedlog import FramedLog, read_frames

log = logging.getLogger(__name__)

SEGMENT_FRAMES: Final = 1000
SEGMENT_BYTES: Final = 8 * 2**20
LARGEST_MERGE: Final = 256 * 2**20
"""Sealed files over this are left as they are."""
_NAME = re.compile(r"(\d{6,})(?:-(\d{6,}))?\.(frames|parquet|seen)", re.ASCII)


class InvalidObservations(StorageError):
    """A frame of observations that cannot be read back."""

    code = "invalid_observations"
    http_status = 500


@dataclass(slots=True)
class _File:
    """Segments `first` to `last` in one file of `size` whole bytes."""

    first: int
    last: int
    path: Path
    size: int

    @property
    def form(self) -> str:
        return self.path.suffix[1:]

    def covers(self, other: _File) -> bool:
        return self is not other and self.first <= other.first and other.last <= self.last


@record
class Sealing:
    """A merge to be done: the loader reads `files` and writes `out`."""

    files: tuple[Path, ...]
    out: Path
    target: Path


class ObservationFiles:
    """One pod's folder, open for appending. Safe from several threads; `close` it at the end."""

    def __init__(
        self,
        folder: Path,
        *,
        segment_frames: int = SEGMENT_FRAMES,
        segment_bytes: int = SEGMENT_BYTES,
    ) -> None:
        """Reads what the folder holds, and removes what is superseded or half-written.

        Raises:
            StorageError: the folder cannot be read or written.
        """
        self.folder = folder
        self.seen = Seen()
        self._segment_frames = segment_frames
        self._segment_bytes = segment_bytes
        self._lock = threading.Lock()
        self._sealed: list[_File] = []
        self._closed: list[_File] = []
        self._active: _File | None = None
        self._log: FramedLog | None = None
        self._frames = 0
        self._doomed: list[tuple[Path, int]] = []
        self._leases: dict[int, float] = {}
        self._moves = 0
        try:
            self._open()
        except OSError as error:
            raise storage_error(error, "open the observations", folder) from error

    def append(self, frames: Sequence[bytes]) -> list[bool]:
        """Appends the frames as one group and says which of them were left out as duplicates.

        All others are on disk when this returns; if it raises, none is.

        Raises:
            StorageError: the disk is full or broken.
        """
        now = time.time()
        with self._lock:
            duplicates: list[bool] = []
            fresh: list[bytes] = []
            added: dict[int, float] = {}
            for frame in frames:
                head = _head(frame, self.folder)
                prints = head.fingerprints()
                seen = any(one in added or self.seen.has(one, now) for one in prints)
                duplicates.append(seen)
                if not seen:
                    fresh.append(frame)
                    added.update((one, head.at) for one in prints)
            if fresh:
                self._append(fresh)
                for fingerprint, at in added.items():
                    self.seen.add(fingerprint, at)
            return duplicates

    def files(self, lease_seconds: float) -> tuple[list[dict[str, Any]], int]:
        """What there is now, oldest first, as the loader takes it, and the lease on it.

        The files stay where they are for `lease_seconds`, or until the lease is given to `free`.
        """
        with self._lock:
            self._moves += 1
            self._leases[self._moves] = time.monotonic() + lease_seconds
            there = [*self._sealed, *self._closed, *([self._active] if self._active else [])]
            found = [
                {"path": str(file.path), "format": file.form, "bytes": file.size}
                for file in there
                if file.size
            ]
            return found, self._moves

    def free(self, lease: int) -> None:
        """Ends a lease, and removes what only it kept."""
        with self._lock:
            self._leases.pop(lease, None)
            self._remove()

    def next_sealing(self) -> Sealing | None:
        """What to merge now; None where no segment waits for it."""
        with self._lock:
            if not self._closed:
                return None
            merged = list(self._closed)
            size = sum(file.size for file in merged)
            # Take in older files while they are no larger than what is merged anyway: that keeps
            # both the number of files and how often a row is written again logarithmic.
            for file in reversed(self._sealed):
                if file.size > min(size, LARGEST_MERGE):
                    break
                merged.insert(0, file)
                size += file.size
            name = f"{merged[0].first:06}-{merged[-1].last:06}.parquet"
            target = self.folder / name
            files = tuple(file.path for file in merged if file.size)
            return Sealing(files, target.with_suffix(".tmp"), target)

    def sealed(self, sealing: Sealing) -> None:
        """Puts what the loader wrote in the place of what it was made from.

        Raises:
            StorageError: the disk is full or broken; nothing has changed.
        """
        now = time.time()
        try:
            records = [record for path in sealing.files for record in _records(path, now - DAY)]
            size = _sync_file(sealing.out)
            seen = sealing.target.with_suffix(".seen")
            beside = seen.with_suffix(".seen.tmp")
            beside.write_bytes(write_records(sorted(records)))
            _sync_file(beside)
            beside.replace(seen)
            sealing.out.replace(sealing.target)
            sync_folder(self.folder)
        except OSError as error:
            raise storage_error(error, "seal the observations", sealing.target) from error
        with self._lock:
            new = _file(sealing.target, size)
            assert new is not None
            self._moves += 1
            for file in [*self._sealed, *self._closed]:
                if new.covers(file):
                    self._doomed.append((file.path, self._moves))
                    if file.form == "parquet":
                        self._doomed.append((file.path.with_suffix(".seen"), self._moves))
            self._sealed = [one for one in self._sealed if not new.covers(one)] + [new]
            self._closed = [one for one in self._closed if not new.covers(one)]
            self._remove()

    @property
    def counts(self) -> tuple[int, int, int]:
        """Sealed files, segments, and the bytes of both."""
        segments = [*self._closed, *([self._active] if self._active else [])]
        size = sum(file.size for file in (*self._sealed, *segments))
        return len(self._sealed), len(segments), size

    def close(self) -> None:
        """Closes the open segment. May be repeated."""
        with self._lock:
            if self._log is not None:
                self._log.close()

    def _append(self, frames: list[bytes]) -> None:
        if self._log is None or self._active is None:
            last = max((file.last for file in (*self._sealed, *self._closed)), default=0)
            path = self.folder / f"{last + 1:06}.frames"
            self._make_folder()
            self._log = FramedLog(path)
            self._active = _File(last + 1, last + 1, path, 0)
            self._frames = 0
        self._active.size = self._log.append(frames)
        self._frames += len(frames)
        if self._frames >= self._segment_frames or self._active.size >= self._segment_bytes:
            self._log.close()
            self._closed.append(self._active)
            self._log = self._active = None

    def _make_folder(self) -> None:
        if self.folder.is_dir():
            return
        try:
            self.folder.mkdir(parents=True, mode=0o700)
            sync_folder(self.folder.parent)
        except OSError as error:
            raise storage_error(error, "keep observations", self.folder) from error

    def _open(self) -> None:
        if not self.folder.is_dir():
            return
        found: list[_File] = []
        seen: list[_File] = []
        for path in sorted(self.folder.iterdir()):
            if path.suffix == ".tmp":
                path.unlink()
                continue
            file = _file(path, path.stat().st_size)
            if file is not None:
                (seen if file.form == "seen" else found).append(file)
        kept = [file for file in found if not any(_supersedes(other, file) for other in found)]
        for file in set(map(_path, found)) - set(map(_path, kept)):
            file.unlink()
        after = time.time() - DAY
        records: list[Record] = []
        for file in seen:
            records += read_records(file.path.read_bytes(), after)
            parquet = file.path.with_suffix(".parquet")
            if parquet not in {one.path for one in kept} or not file.size:
                file.path.unlink()
        self._sealed = sorted((f for f in kept if f.form == "parquet"), key=lambda f: f.first)
        segments = sorted((f for f in kept if f.form == "frames"), key=lambda f: f.first)
        for segment in segments:
            records += self._read_segment(segment, after, is_last=segment is segments[-1])
        for at, fingerprint in sorted(records):
            self.seen.add(fingerprint, at)

    def _read_segment(self, segment: _File, after: float, *, is_last: bool) -> list[Record]:
        count, size, records = 0, 0, list[Record]()
        for end, frame in read_frames(segment.path):
            count, size = count + 1, end
            head = _head(frame, segment.path)
            if head.at > after:
                records += ((head.at, one) for one in head.fingerprints())
        if size < segment.size:
            lost = segment.size - size
            log.warning("%s: %d bytes at its end are no whole frame", segment.path, lost)
        if is_last and count < self._segment_frames and size < self._segment_bytes:
            self._log, self._active, self._frames = FramedLog(segment.path), segment, count
        else:
            if size < segment.size:
                # Sealing removes the segment; after damage in its middle there may be more to save.
                shutil.copyfile(segment.path, segment.path.with_suffix(".frames.torn"))
            if size:
                self._closed.append(segment)
        segment.size = size
        return records

    def _remove(self) -> None:
        """Removes superseded files that no lease on an earlier state of the folder holds."""
        now = time.monotonic()
        self._leases = {one: ends for one, ends in self._leases.items() if ends > now}
        oldest = min(self._leases, default=self._moves + 1)
        for path, moved in self._doomed:
            if moved < oldest:
                with suppress(OSError):  # the next opening removes it
                    path.unlink(missing_ok=True)
        self._doomed = [(path, moved) for path, moved in self._doomed if moved >= oldest]


def _path(file: _File) -> Path:
    return file.path


def _supersedes(one: _File, other: _File) -> bool:
    return one.form == "parquet" and one.covers(other)


def _file(path: Path, size: int) -> _File | None:
    match = _NAME.fullmatch(path.name)
    if match is None:
        return None
    first, last = int(match[1]), int(match[2] or match[1])
    return _File(first, last, path, size)


def _head(frame: bytes, where: Path) -> Head:
    try:
        return head_of(frame)
    except (ValueError, KeyError, TypeError) as error:
        raise InvalidObservations(
            f"a frame of observations has an unknown form: {error!r}.",
            hint="It was written by another version, or is damaged.",
            place=Place(str(where)),
        ) from error


def _records(path: Path, after: float) -> list[Record]:
    """When the payloads in one file came, and their fingerprints."""
    if path.suffix == ".parquet":
        beside = path.with_suffix(".seen")
        return list(read_records(beside.read_bytes(), after)) if beside.exists() else []
    heads = (_head(frame, path) for _, frame in read_frames(path))
    return [(head.at, one) for head in heads if head.at > after for one in head.fingerprints()]


def _sync_file(path: Path) -> int:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
        return os.fstat(descriptor).st_size
    finally:
        os.close(descriptor)
