"""What a training that takes long keeps of itself, so that one cut by a crash goes on from there.

One file in a folder of its pod's own, written beside and renamed, so that it is whole or not there
at all. It is read only by a training of the very same inputs, data included, and is removed when
that is done. Trainings that take less than FIRST_SECONDS write nothing.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import time
from collections.abc import Callable, Generator, Mapping
from pathlib import Path
from typing import Any, cast

import msgpack  # pyright: ignore[reportMissingTypeStubs]
import numpy as np
from numpy.typing import NDArray

from spice_engine.errors import SpiceError

VERSION = 1
FIRST_SECONDS = 2.0
BETWEEN_SECONDS = 3.0
SHARE = 20
"""No more than one part in so many of the time goes to writing."""

_ELSEWHERE = frozenset({"values", "times", "checkpoint", "loggers", "tensorboard"})
"""Of a call's parameters, those that say where something lies, or what is also written."""

# msgpack has no type stubs; these names are all that is used of it.
_pack = cast("Callable[..., bytes]", msgpack.packb)  # pyright: ignore[reportUnknownMemberType]
_unpack = cast("Callable[..., Any]", msgpack.unpackb)  # pyright: ignore[reportUnknownMemberType]
_UnpackError = cast("type[Exception]", msgpack.exceptions.UnpackException)


class Checkpoints:
    """The checkpoint of one training; without a `path` nothing is ever kept."""

    def __init__(self, path: Path | None, key: Callable[[], str]) -> None:
        """`key` tells the training's inputs from all others; it is asked when it is needed."""
        self._path = path
        self._key = key
        self._next = time.monotonic() + FIRST_SECONDS

    @classmethod
    def of(cls, params: Mapping[str, Any]) -> Checkpoints:
        """Those of a trainer's call, which says under `checkpoint` where."""
        given = params.get("checkpoint")
        return cls(Path(given) if given else None, lambda: key_of(params))

    @contextlib.contextmanager
    def until_done(self) -> Generator[None]:
        """Within it the training goes on; after it, and where it failed, there is none to go on.

        One that is cut off, as by whoever asked for it, goes on from here another time.
        """
        try:
            yield
        except SpiceError:
            self.forget()  # it would fail again
            raise
        self.forget()

    def take_up(self, go_on: Callable[[dict[str, Any]], None], begin: Callable[[], None]) -> None:
        """Have a training go on from what an earlier one of the same inputs kept, if it did.

        It begins anew where another version of this wrote what was kept.
        """
        kept = self.load()
        if kept is None:
            return
        try:
            go_on(kept)
        except (LookupError, TypeError, ValueError):
            begin()

    def load(self) -> dict[str, Any] | None:
        """What a training of the same inputs kept; None where there is none that can be used."""
        if self._path is None:
            return None
        try:
            found = _unpack(self._path.read_bytes(), strict_map_key=False)
        except (OSError, ValueError, _UnpackError):
            return None  # there is none, or another version's: it begins anew
        if not isinstance(found, dict):
            return None
        kept = cast("dict[str, Any]", found)
        same = kept.get("version") == VERSION and kept.get("key") == self._key()
        return kept["content"] if same else None

    def offer(self, content: Callable[[], dict[str, Any]]) -> None:
        """Keeps the content, unless it is too early; a disk that refuses ends no training."""
        if self._path is None or time.monotonic() < self._next:
            return
        begin = time.monotonic()
        kept = _pack({"version": VERSION, "key": self._key(), "content": content()})
        with contextlib.suppress(OSError):
            _write(self._path, kept)
        now = time.monotonic()
        self._next = now + max(BETWEEN_SECONDS, SHARE * (now - begin))

    def forget(self) -> None:
        """Removes the file: the training is done, or would fail again."""
        if self._path is not None:
            with contextlib.suppress(OSError):
                self._path.unlink(missing_ok=True)


def _write(path: Path, content: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    for other in path.parent.iterdir():
        # Of inputs that there are no longer, or half a file.
        if other.name != path.name:
            other.unlink()
    part = path.with_name(f"{path.name}.part")
    with part.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    part.rename(path)


def key_of(params: Mapping[str, Any]) -> str:
    """A hash of all inputs of a training: what it is asked, and the data by their checksums."""
    plain = {name: value for name, value in params.items() if name not in _ELSEWHERE}
    for name in ("values", "times"):
        plain[name] = {key: one for key, one in params[name].items() if key != "path"}
    return hashlib.sha256(json.dumps(plain, sort_keys=True, default=repr).encode()).hexdigest()


def pack_array(array: NDArray[Any]) -> dict[str, Any]:
    """An array as plain data."""
    return {"type": array.dtype.str, "shape": list(array.shape), "data": array.tobytes()}


def unpack_array(data: Mapping[str, Any]) -> NDArray[Any]:
    """The array that `pack_array` was given, to be changed at will."""
    return np.frombuffer(data["data"], dtype=data["type"]).reshape(data["shape"]).copy()
