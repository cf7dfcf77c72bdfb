"""Removing files and folders whatever their permissions, and those that nobody needs. Blocks."""

from __future__ import annotations

import os
import shutil
import stat
from collections.abc import Collection
from pathlib import Path

from spice_engine.store.blobs import HASH


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
    for path, folders, _ in os.walk(top):
        for name in folders:
            inner = Path(path, name)
            if not inner.is_symlink():
                inner.chmod(0o700)
    shutil.rmtree(top)


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
