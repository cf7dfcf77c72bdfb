"""Arrays as bytes of a policy file: little-endian, their shapes follow from what is around."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from spice_engine.learning.features import Matrix

Integers = NDArray[np.int64]


def pack_floats(array: Matrix) -> bytes:
    """Doubles, row by row."""
    return np.ascontiguousarray(array, dtype="<f8").tobytes()


def unpack_floats(data: bytes, shape: tuple[int, ...]) -> Matrix:
    """Doubles of a shape in which one length may be -1; ValueError where they don't fit."""
    return np.frombuffer(data, dtype="<f8").reshape(shape).astype(np.float64)


def pack_integers(array: Integers) -> bytes:
    """Integers within 32 bits."""
    return np.ascontiguousarray(array, dtype="<i4").tobytes()


def unpack_integers(data: bytes) -> Integers:
    """The integers; ValueError where the bytes are not whole ones."""
    return np.frombuffer(data, dtype="<i4").astype(np.int64)
