"""Removing files and folders whatever their permissions, and those that nobody needs. Blocks."""

from __future__ import annotations

import itertools
import os
import secrets
import stat
from collections.abc import Collection
from pathlib import Path

from spice_engine.store.blobs import HASH

_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


def remove(top: Path) -> None:
    """Remove a file or a folder, whatever its permissions, if it is there."""
    try:
        status = top.lstat()
    except FileNotFoundError:
        return
    if not stat.S_ISDIR(status.st_mode):
        top.unlink()
        return
    top.chmod(0o700)
    folder = os.open(top, _FOLDER)
    try:
        _empty(folder)
    finally:
        os.close(folder)
    top.rmdir()


def _empty(top: int) -> None:
    """Remove all that is in an open folder. Folders in it come up into it one by one, so that no
    path is too long, nothing nested too deep."""
    names = itertools.count()
    begin = secrets.token_hex(8)
    left = _unlink_files(top)
    while left:
        name = left.pop()
        folder = os.open(name, _FOLDER, dir_fd=top)
        try:
            for inner in _unlink_files(folder):
                up = f".{begin}.{next(names)}"
                os.rename(inner, up, src_dir_fd=folder, dst_dir_fd=top)
                left.append(up)
        finally:
            os.close(folder)
        os.rmdir(name, dir_fd=top)


def _unlink_files(folder: int) -> list[str]:
    """Remove the files in an open folder; gives the folders in it, which can be opened then."""
    with os.scandir(folder) as found:
        entries = list(found)
    folders: list[str] = []
    for entry in entries:
        if entry.is_dir(follow_symlinks=False):
            os.chmod(entry.name, 0o700, dir_fd=folder)
            folders.append(entry.name)
        else:
            os.unlink(entry.name, dir_fd=folder)
    return folders


def sweep(folder: Path, needed: Collection[str], before: float) -> int:
    """Remove the folders in `folder` that are named by a hash which is not needed, or left half
    made, and were not used since `before` (Unix seconds); gives how many."""
    removed = 0
    for entry in list(folder.iterdir()):
        left = entry.name.startswith(".") or HASH.fullmatch(entry.name)
        if left and entry.name not in needed and entry.stat().st_mtime <= before:
            remove(entry)
            removed += 1
    return removed
