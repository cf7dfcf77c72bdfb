"""The event files of a run: where they are, and what each holds from where it was read last.

A file that is being written ends anywhere; what is not whole yet is read the next time. A tag's
series is named `folder/tag`, where folder is the file's below the run's TensorBoard folder.
Everything here blocks.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Iterable
from pathlib import Path
from typing import BinaryIO

from spice_engine.runs import event_wire
from spice_engine.runs.run_files import CHANGES, OUTPUTS, WORK
from spice_engine.store.metrics import Row
from spice_runtime.run_metrics import LONGEST_NAME, LONGEST_TEXT

log = logging.getLogger(__name__)

MARK = "tfevents"
"""Event files have it in their names."""
MOST_FILES = 1000
CHUNK_BYTES = 1024 * 1024
LARGEST_RECORD = 64 * 2**20
SLACK_SECONDS = 1.0
"""By which a file may seem older than the run that wrote it."""


def places(tensorboard: str, cwd: Path, copied: tuple[Path, Path] | None) -> tuple[Path, ...]:
    """Where the files may be of a run that began in `cwd` and writes them to `tensorboard`.

    `copied` are the run's own folder and the app folder it has a copy of; None for a run that
    is in `cwd` itself.
    """
    if not tensorboard:
        return ()
    if copied is None or Path(tensorboard).is_absolute():
        return (cwd / tensorboard,)
    folder, root = copied
    inner = os.path.normpath(cwd.relative_to(root) / tensorboard)
    return tuple(folder / part / inner for part in (CHANGES, WORK, OUTPUTS))


def files_in(folders: Iterable[Path]) -> dict[str, Path]:
    """The event files of the first of these folders that has any, by their paths in it."""
    for folder in folders:
        found: dict[str, Path] = {}
        for path, inner, names in os.walk(folder):
            inner.sort()
            for name in sorted(names):
                if MARK in name and len(found) < MOST_FILES:
                    file = Path(path, name)
                    found[str(file.relative_to(folder))] = file
        if found:
            return found
    return {}


class EventReader:
    """Reads one event file on and on; `offset` is where it goes on."""

    def __init__(self, name: str, offset: int = 0, *, since: float = 0.0) -> None:
        """`name` is the file's path in the TensorBoard folder. A file that was begun before
        `since` (Unix seconds) is another run's and is passed over."""
        self.offset = offset
        self._prefix = name.rpartition("/")[0]
        self._since = since
        self._over = False

    def read(self, path: Path) -> list[Row]:
        """The next points, of about a megabyte; none where there is nothing new.

        Raises:
            OSError: the file cannot be read.
        """
        rows: list[Row] = []
        if self._over:
            return rows
        with path.open("rb") as file:
            file.seek(self.offset)
            begin = self.offset
            while self.offset - begin < CHUNK_BYTES:
                try:
                    record = _next_record(file)
                    event = event_wire.event_of(event_wire.data_of(record)) if record else None
                except event_wire.Damaged as error:
                    # Nothing tells where the next record begins.
                    log.warning("%s: %s at byte %s; the rest is left", path, error, self.offset)
                    self._over = True
                    break
                if event is None:
                    break
                if not self.offset and event.time < self._since - SLACK_SECONDS:
                    self._over = True
                    break
                self.offset = file.tell()
                rows += self._rows(event)
        return rows

    def _rows(self, event: event_wire.Event) -> list[Row]:
        if not event_wire.is_kept(event):
            return []
        names = [f"{self._prefix}/{tag}" if self._prefix else tag for tag, _ in event.values]
        return [
            (name[:LONGEST_NAME], _kept(value), event.step, event.time)
            for name, (_, value) in zip(names, event.values, strict=True)
        ]


def _kept(value: float | str) -> float | str:
    return value[:LONGEST_TEXT] if isinstance(value, str) else value


def _next_record(file: BinaryIO) -> bytes:
    """The record at which the file stands; nothing where it is not whole yet.

    Raises:
        Damaged: it is none.
        OSError: the file cannot be read.
    """
    header = file.read(event_wire.HEADER_BYTES)
    if len(header) < event_wire.HEADER_BYTES:
        return b""
    size = event_wire.record_size(header)
    if size > LARGEST_RECORD:
        raise event_wire.Damaged("a record is larger than any event")
    rest = file.read(size - len(header))
    return header + rest if len(header) + len(rest) == size else b""
