"""Which files of a run's folder are its outputs, and moving them to where outputs lie. Blocks.

A command may leave anything: closed folders, files it cannot read itself, paths longer than the
system takes. What cannot be kept is told, and keeps nothing else from being kept.
"""

from __future__ import annotations

import errno
import filecmp
import os
from collections.abc import Collection, Iterator, Sequence
from contextlib import suppress
from pathlib import Path, PurePosixPath

from spice_engine.runs.folder_ignore import NEVER
from spice_engine.store.removal import remove

Lost = list[tuple[str, str]]
"""What could not be kept: a path in the run's folder, and why."""

_FOR_EVER = frozenset({errno.EACCES, errno.EPERM, errno.ENAMETOOLONG, errno.ELOOP})
"""Errors that another try would meet again, however long the disk is waited for."""


def files_of(top: Path, mounted: Collection[str], lost: Lost) -> Iterator[PurePosixPath]:
    """The files and links below a folder that can be outputs, by their paths in it."""
    left = [PurePosixPath()]
    while left:
        folder = left.pop()
        try:
            found = _scan(top / folder)
        except OSError as error:
            _note(lost, folder, error)
            continue
        for entry in found:
            path = folder / entry.name
            if entry.name in NEVER or str(path) in mounted:
                continue
            if entry.is_dir(follow_symlinks=False):
                left.append(path)
            elif entry.is_symlink() or entry.is_file(follow_symlinks=False):
                yield path


def changed(
    changes: Path, before: Path, mounted: Collection[str], lost: Lost
) -> list[PurePosixPath]:
    """What is in an overlay's upper folder and not the same below. What was removed is there as
    a device, and no file; what was only touched is there, and the same."""
    found: list[PurePosixPath] = []
    for path in files_of(changes, mounted, lost):
        try:
            if not _is_same(changes / path, before / path):
                found.append(path)
        except OSError as error:
            _note(lost, path, error)
    return found


def move(source: Path, paths: Sequence[PurePosixPath], target: Path, lost: Lost) -> None:
    """Make these files of `source` those of `target`."""
    some = target.is_dir()
    for path in paths:
        place = target / path
        try:
            if some:
                _make_way(place, target)
            place.parent.mkdir(parents=True, exist_ok=True)
            # The command may have closed its folders; they are the user's all the same.
            with suppress(OSError):
                (source / path).parent.chmod(0o700)
            (source / path).rename(place)
        except OSError as error:
            _note(lost, path, error)


def in_words(lost: Lost) -> str:
    """What could not be kept, as a line for the run's log; empty where there is nothing."""
    if not lost:
        return ""
    path, why = lost[0][0].replace("\n", "\\n"), lost[0][1]
    shown = path if len(path) <= 80 else f"{path[:80]}..."
    more = f", and {len(lost) - 1} more" if len(lost) > 1 else ""
    return f"[not kept: {shown}: {why}{more}]\n"


def _scan(folder: Path) -> list[os.DirEntry[str]]:
    try:
        return sorted(os.scandir(folder), key=lambda entry: entry.name)
    except PermissionError:
        folder.chmod(0o700)
        return sorted(os.scandir(folder), key=lambda entry: entry.name)


def _is_same(new: Path, old: Path) -> bool:
    if old.is_symlink() or new.is_symlink():
        return old.is_symlink() and new.is_symlink() and old.readlink() == new.readlink()
    if not old.is_file():
        return False
    try:
        return filecmp.cmp(old, new, shallow=False)
    except PermissionError:
        new.chmod(0o600)
        return filecmp.cmp(old, new, shallow=False)


def _note(lost: Lost, path: PurePosixPath, error: OSError) -> None:
    """Note that something cannot be kept; raise what may pass."""
    if error.errno not in _FOR_EVER:
        raise error
    lost.append((str(path), error.strerror or "it cannot be read"))


def _make_way(place: Path, target: Path) -> None:
    """What a tracking client sent to that place meanwhile gives way to what the command left."""
    for folder in reversed(place.relative_to(target).parents[:-1]):
        if (target / folder).is_symlink() or (target / folder).is_file():
            (target / folder).unlink()
    if place.is_dir() and not place.is_symlink():
        remove(place)
