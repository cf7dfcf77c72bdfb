"""Copies an open file's content, sharing the disk blocks where the file system can (reflinks)."""

from __future__ import annotations

import errno
import fcntl
import shutil
import sys
from typing import BinaryIO

_FICLONE = 0x40049409
_CANNOT = {errno.EOPNOTSUPP, errno.EXDEV, errno.EINVAL, errno.ENOTTY, errno.ENOSYS, errno.EPERM}


def clone_or_copy(source: BinaryIO, target: BinaryIO) -> None:
    """Makes the empty file `target` hold what `source` holds. Neither changes with the other.

    Raises:
        OSError: the disk is full, or one of them cannot be used.
    """
    if not cloned(source, target):
        shutil.copyfileobj(source, target, 2**20)
        target.flush()


def cloned(source: BinaryIO, target: BinaryIO) -> bool:
    """Makes the empty file `target` share the blocks of `source`, or gives False where the file
    system cannot.

    Raises:
        OSError: the disk is full, or one of them cannot be used.
    """
    if sys.platform != "linux":
        return False
    try:
        fcntl.ioctl(target.fileno(), _FICLONE, source.fileno())
    except OSError as error:
        if error.errno not in _CANNOT:
            raise
        return False
    return True
