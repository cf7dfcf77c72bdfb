"""Arrays handed from process to process as memory-mapped files: a frame carries only an `ArrayRef`.

The file holds the raw bytes in C order, is written beside and renamed, and is never changed after
that, so that a mapping can never be torn. The functions block (disk and checksum): children call
them as they are, the engine through `asyncio.to_thread`.
"""

from __future__ import annotations

import math
import secrets
import zlib
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from spice_engine.errors import InvalidData, StorageError
from spice_engine.records import record

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

SUFFIX = ".array"
PART_SUFFIX = ".array-part"
# The kinds whose `dtype.str` says all there is to know about the bytes, and that hold no pointers.
_PLAIN_KINDS = "biufcmMSU"


@record
class ArrayRef:
    """Where an array's bytes lie and how to read them.

    `path` is absolute, `dtype` is NumPy's short form with the byte order (`<f8`), `checksum` is
    the CRC-32 of the file.
    """

    path: str
    dtype: str
    shape: tuple[int, ...]
    checksum: int

    @property
    def nbytes(self) -> int:
        """Bytes of the array, and of its file."""
        return math.prod(self.shape) * _dtype(self.dtype).itemsize

    def as_dict(self) -> dict[str, Any]:
        """The reference as plain data, for a frame."""
        return {
            "path": self.path,
            "dtype": self.dtype,
            "shape": list(self.shape),
            "checksum": self.checksum,
        }

    @classmethod
    def from_dict(cls, data: Any) -> ArrayRef:
        """The reference that `as_dict` gave.

        Raises:
            InvalidData: it does not have that form.
        """
        fields = cast("dict[Any, Any]", data) if isinstance(data, dict) else {}
        path, dtype = fields.get("path"), fields.get("dtype")
        shape, checksum = fields.get("shape"), fields.get("checksum")
        if not (
            isinstance(path, str)
            and isinstance(dtype, str)
            and isinstance(shape, list | tuple)
            and all(type(n) is int and n >= 0 for n in cast("list[Any]", shape))
            and type(checksum) is int
        ):
            raise InvalidData(f"this is not a reference to an array: {data!r:.200}")
        _dtype(dtype)
        return cls(path, dtype, tuple(cast("list[int]", shape)), checksum)


def save(folder: Path, array: NDArray[Any], *, name: str = "") -> ArrayRef:
    """Writes an array into `folder` (made if need be) under a new name that starts with `name`.

    The array may have any shape and memory order. Not flushed to the disk: a hand-over file does
    not outlive the engine.

    Raises:
        InvalidData: an array of objects or of records.
        StorageError: the disk is full or not writable.
    """
    import numpy as np

    if array.dtype.kind not in _PLAIN_KINDS:
        raise InvalidData(
            f"an array of type {array.dtype} cannot be handed over",
            hint="Use numbers, booleans, times or fixed-width strings.",
        )
    # ascontiguousarray would turn a scalar's shape () into (1,), so the shape is kept by hand.
    data = np.ascontiguousarray(array)
    raw = data.reshape(-1).view(np.uint8).data if data.size else memoryview(b"")
    stem = f"{name}-{secrets.token_hex(8)}" if name else secrets.token_hex(8)
    path = (folder / f"{stem}{SUFFIX}").absolute()
    part = path.with_suffix(PART_SUFFIX)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        try:
            with part.open("xb", buffering=0) as file:
                # A single write(2) takes at most 2 GiB.
                written = 0
                while written < raw.nbytes:
                    written += file.write(raw[written:])
            part.rename(path)
        except OSError:
            part.unlink(missing_ok=True)
            raise
    except OSError as error:
        raise StorageError(
            f"an array of {raw.nbytes} bytes could not be written to {folder}: {error.strerror}",
            hint="Free some space, or check that the folder can be written.",
        ) from error
    return ArrayRef(str(path), array.dtype.str, tuple(array.shape), zlib.crc32(raw))


def load(ref: ArrayRef, *, verify: bool = True) -> NDArray[Any]:
    """The array, mapped read-only; its pages are shared with every other process that maps it.

    `verify=False` skips the checksum (about 1 s per 2 GiB), not the check of the size.

    Raises:
        InvalidData: the file is gone, of another size, or altered.
    """
    import numpy as np

    dtype = _dtype(ref.dtype)
    try:
        size = Path(ref.path).stat().st_size
        if size != ref.nbytes:
            raise InvalidData(
                f"{ref.path} holds {size} bytes where {ref.nbytes} were written",
                hint="Train again; the hand-over file was truncated or replaced.",
            )
        if not size:
            empty: NDArray[Any] = np.empty(ref.shape, dtype)
            empty.flags.writeable = False
            return empty
        array: NDArray[Any] = np.memmap(ref.path, dtype=dtype, mode="r", shape=ref.shape)
    except OSError as error:
        raise InvalidData(
            f"the hand-over file {ref.path} cannot be read: {error.strerror}",
            hint="Train again; the file belonged to an earlier run of the engine.",
        ) from error
    if verify and zlib.crc32(array.reshape(-1).view(np.uint8).data) != ref.checksum:
        raise InvalidData(
            f"{ref.path} was altered after it was written (its checksum differs)",
            hint="Train again; if it happens again, check the disk.",
        )
    return array


def discard(ref: ArrayRef) -> None:
    """Removes an array's file; those who have mapped it keep what they have."""
    Path(ref.path).unlink(missing_ok=True)


def clean(folder: Path) -> int:
    """Removes all hand-over files in `folder`, for the start of an engine; gives their number."""
    removed = 0
    if folder.is_dir():
        for path in folder.iterdir():
            if path.suffix in (SUFFIX, PART_SUFFIX):
                path.unlink(missing_ok=True)
                removed += 1
    return removed


def _dtype(text: str) -> np.dtype[Any]:
    import numpy as np

    try:
        dtype = np.dtype(text)
    except (TypeError, ValueError) as error:
        raise InvalidData(f"{text!r:.100} is not a type of array") from error
    if dtype.kind not in _PLAIN_KINDS:
        raise InvalidData(f"an array of type {text!r:.100} cannot be handed over")
    return dtype
