"""Writing that lasts, and OS errors said in words.

Everything here blocks; call it from a thread or a child, never on the event loop.
"""

from __future__ import annotations

import errno
import os
from pathlib import Path

from spice_engine.errors import Place, StorageError

_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
_DENIED = {errno.EROFS, errno.EACCES, errno.EPERM}


def storage_error(error: OSError, doing: str, path: Path | str) -> StorageError:
    """`error`, met while `doing` something with `path`, as one of ours."""
    if error.errno in _FULL:
        what, hint = "the disk is full", "Free some space and try again; nothing stored is lost."
    elif error.errno in _DENIED:
        what = "the folder cannot be written"
        hint = "Make it writable for this user and try again; nothing stored is lost."
    else:
        what = error.strerror or str(error)
        hint = "Check the disk and the file, then try again."
    return StorageError(f"cannot {doing}: {what}.", hint=hint, place=Place(str(path)))


def sync_folder(folder: Path) -> None:
    """Makes names just created in, renamed into or removed from `folder` survive a power loss."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def write_all(descriptor: int, data: bytes | memoryview) -> None:
    """Writes every byte of `data`; `os.write` alone may write fewer, as on a nearly full disk."""
    view = memoryview(data)
    while view:
        view = view[os.write(descriptor, view) :]
