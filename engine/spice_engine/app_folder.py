"""The engine's side of an app folder: its directories, the one-engine lock, the token.

The lock is a `flock` on `engine.lock`, so that it goes with the process however that ends; the
file's text (pid, start time, address) only informs people. A restarting engine inherits the
open file, and with it the lock, so that no other engine can slip in between.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import secrets
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

from spice_engine.errors import EngineUnavailable, StorageError
from spice_engine.protocol.location import Location, runtime_directory, state_home
from spice_engine.records import record

DIRECTORIES = ("runs", "uploads", "environments", "objects", "trainers", "tmp", "observations")


@record
class Holder:
    """Who holds a folder's lock, by its own word."""

    pid: int
    started: float
    version: str
    http: str


def write_atomically(path: Path, text: str, *, mode: int = 0o644) -> None:
    """Replace `path` by a file with `text`; nobody ever sees half of it.

    Raises:
        StorageError: it cannot be written; what was there is untouched.
    """
    beside = path.with_name(f".{path.name}.{os.getpid()}.new")
    try:
        descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode)
        with os.fdopen(descriptor, "w", encoding="utf-8") as out:
            out.write(text)
            out.flush()
            os.fsync(out.fileno())
        beside.rename(path)
    except OSError as error:
        with contextlib.suppress(OSError):
            beside.unlink(missing_ok=True)
        raise _unwritable(path, error) from error


def prepare(location: Location) -> None:
    """Make the state's directories.

    Raises:
        StorageError: the folder is missing, read-only, full, or not ours to write.
    """
    if not location.root.is_dir():
        raise StorageError(
            f"{location.root} is not a directory.", hint="Make it, or name another app folder."
        )
    try:
        # It holds the environments and the output of runs, which are nobody else's business.
        location.state.mkdir(mode=0o700, parents=True, exist_ok=True)
        if location.state.stat().st_mode & 0o077:
            location.state.chmod(0o700)
        for name in DIRECTORIES:
            (location.state / name).mkdir(exist_ok=True)
        ignore = location.state / ".gitignore"
        if not ignore.exists():
            write_atomically(ignore, "*\n")
        if location.socket.parent != location.state:
            private = runtime_directory()
            private.mkdir(mode=0o700, parents=True, exist_ok=True)
            if private.stat().st_uid != os.getuid() or private.stat().st_mode & 0o077:
                raise StorageError(
                    f"{private} belongs to somebody else or is open to others.",
                    hint="Remove it, or set XDG_RUNTIME_DIR.",
                )
    except OSError as error:
        raise StorageError(
            f"the engine's state cannot be kept in {location.state}: {error.strerror}.",
            hint="Free the disk, make the folder writable, or set SPICE_STATE_DIR.",
        ) from error


class FolderLock:
    """The right to be the engine of a folder. Held until `release` or the process's end."""

    def __init__(self, location: Location, descriptor: int) -> None:
        self._location = location
        self.descriptor = descriptor

    @classmethod
    def acquire(cls, location: Location) -> FolderLock:
        """Take the lock.

        Raises:
            EngineUnavailable: another engine holds it; the message says which.
            StorageError: the lock's file cannot be opened.
        """
        try:
            descriptor = os.open(location.lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise _unwritable(location.lock, error) from error
        # Somebody who only looks whether the lock is held has it for an instant.
        for attempt in range(5):
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if attempt < 4:
                    time.sleep(0.02)
        else:
            os.close(descriptor)
            holder = read_holder(location)
            who = f"process {holder.pid} since {_clock(holder.started)}" if holder else "a process"
            raise EngineUnavailable(
                f"another engine already runs on {location.root} ({who}).",
                hint="Use it (spice-tui engine status) or stop it (spice-tui engine stop).",
            )
        return cls(location, descriptor)

    @classmethod
    def inherited(cls, location: Location, descriptor: int) -> FolderLock:
        """The lock of the engine this one takes over from, as an open file."""
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        os.set_inheritable(descriptor, False)
        return cls(location, descriptor)

    def describe(self, *, version: str, http: str) -> None:
        """Write who holds the lock, for people and for `engine list`.

        Raises:
            StorageError: the disk is full or broken.
        """
        text = json.dumps(
            {"pid": os.getpid(), "started": time.time(), "version": version, "http": http}
        )
        try:
            os.ftruncate(self.descriptor, 0)
            os.pwrite(self.descriptor, text.encode(), 0)
        except OSError as error:
            raise _unwritable(self._location.lock, error) from error

    def holds(self) -> bool:
        """Whether the lock is still that of the folder: not if somebody removed its file.

        Then another engine may run there by now, and what lies there is not ours.
        """
        try:
            return os.path.samestat(self._location.lock.stat(), os.fstat(self.descriptor))
        except OSError:
            return False

    def release(self) -> None:
        """Give the folder free."""
        with contextlib.suppress(OSError):
            os.ftruncate(self.descriptor, 0)
        os.close(self.descriptor)


def read_holder(location: Location) -> Holder | None:
    """What the lock's holder wrote about itself, if it is readable."""
    try:
        data = cast("dict[str, Any]", json.loads(location.lock.read_text(encoding="utf-8")))
        return Holder(
            int(data["pid"]), float(data["started"]), str(data["version"]), str(data["http"])
        )
    except (OSError, ValueError, KeyError, TypeError):
        return None


def ensure_token(location: Location) -> str:
    """The bearer token of this folder, made at first use; readable by the owner alone."""
    with contextlib.suppress(OSError):
        token = location.token.read_text(encoding="ascii").strip()
        if len(token) >= 32:
            if location.token.stat().st_mode & 0o077:
                location.token.chmod(0o600)
            return token
    token = secrets.token_urlsafe(32)
    write_atomically(location.token, token + "\n", mode=0o600)
    return token


def remember(location: Location) -> None:
    """Note the folder in the user's list of folders, for `engine list`. Best effort."""
    with contextlib.suppress(OSError, StorageError):
        folder = state_home() / "engines"
        folder.mkdir(parents=True, exist_ok=True)
        write_atomically(folder / location.key, f"{location.root}\n{location.state}\n")


def forget(location: Location) -> None:
    """Take the folder off the list."""
    with contextlib.suppress(OSError):
        (state_home() / "engines" / location.key).unlink(missing_ok=True)


def remembered() -> Iterator[Location]:
    """All folders on the list; those that are gone are dropped from it."""
    folder = state_home() / "engines"
    for entry in sorted(folder.glob("*")) if folder.is_dir() else []:
        try:
            root, state = entry.read_text(encoding="utf-8").splitlines()[:2]
        except (OSError, ValueError):
            continue
        location = Location(Path(root), Path(state))
        if location.state.is_dir():
            yield location
        else:
            entry.unlink(missing_ok=True)


def _unwritable(path: Path, error: OSError) -> StorageError:
    return StorageError(
        f"{path} cannot be written: {error.strerror}.",
        hint="Free the disk, or make the folder writable for this user.",
    )


def _clock(moment: float) -> str:
    return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(moment))
