"""The object store: files and folders kept once, read-only, under the SHA-256 of their content.

Everything here blocks: call it through `asyncio.to_thread` or in a child, never on the loop.
Safe from several threads and processes at once.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import hashlib
import os
import time
import uuid
from collections.abc import Callable, Iterable
from pathlib import Path, PurePosixPath
from typing import Final

from spice_engine.errors import NotFound, Place, StorageError
from spice_engine.records import record
from spice_engine.store import trees
from spice_engine.store.blobs import Blobs, GoneError, Told, hash_of, unreadable
from spice_engine.store.copying import clone_or_copy
from spice_engine.store.disk import storage_error
from spice_engine.store.putting import Put
from spice_engine.store.removal import remove
from spice_engine.store.stat_cache import Known, identity_of, key_of
from spice_engine.store.trees import Entry

_DEEPEST = 200
_NO_FILE: Final = (0, 0, 0, 0, 0)  # in the place of what tells a file: this is a manifest

Ignore = Callable[[PurePosixPath, bool], bool]
"""Called with a path relative to the snapshot's root and whether it is a folder."""


@record
class Snapshot:
    """A folder put into the store.

    `hash` names its manifest; `size` is in bytes; `skipped` lists what is not in it: sockets,
    devices, and files that went away while it was taken.
    """

    hash: str
    files: int
    size: int
    skipped: tuple[str, ...]


@record
class Collected:
    """What a collection removed. `busy`: something was being put, so nothing was looked at."""

    removed: int
    size: int
    kept: int
    busy: bool = False


class ObjectStore(Blobs):
    """`Blobs` with folders: snapshots, making them again elsewhere, and collecting."""

    def put_tree(
        self, path: Path, ignore: Ignore | None = None, told: Told | None = None
    ) -> Snapshot:
        """Stores a folder as it is: names, permission bits, contents, links as links.

        Files unchanged since their last snapshot are not read again. `ignore` leaves out what it
        says True to; a folder left out is not entered. `told` is called with bytes that are in, and
        with 0 when a file is.

        Raises:
            NotFound: there is no such folder.
            StorageError: a file cannot be read, or the disk is full.
        """
        if not path.is_dir():
            raise NotFound(f"there is no folder {path}.")
        root = path.absolute()
        try:
            with self._putting("take a snapshot") as put:
                walk = _TreeWalk(put, self._cache.below(root), ignore, told)
                digest = self._put_folder(walk, str(root), PurePosixPath())
        except GoneError as error:
            raise NotFound(f"there is no folder {path}.") from error
        # Not before all of it is on disk: what is known here is not synced again.
        self._cache.replace(walk.hashed, walk.before)
        return Snapshot(digest, walk.files, walk.size, tuple(sorted(walk.skipped)))

    def _put_folder(self, walk: _TreeWalk, folder: str, at: PurePosixPath, depth: int = 0) -> str:
        if depth > _DEEPEST:
            raise StorageError(
                f"cannot take a snapshot: folders are nested deeper than {_DEEPEST}.",
                hint="Have the folder ignored.",
                place=Place(folder),
            )
        entries: list[Entry] = []
        for item in _scan(folder):
            is_folder = item.is_dir(follow_symlinks=False)
            relative = at / item.name
            if walk.ignore is not None and walk.ignore(relative, is_folder):
                continue
            try:
                stat = _stat(item)
                mode = stat.st_mode & 0o777
                if item.is_symlink():
                    entries.append(Entry(item.name, "link", 0o777, _target(item.path)))
                elif is_folder:
                    digest = self._put_folder(walk, item.path, relative, depth + 1)
                    entries.append(Entry(item.name, "folder", mode, digest))
                elif item.is_file(follow_symlinks=False):
                    digest, size = self._put_found(walk, item.path, stat)
                    entries.append(Entry(item.name, "file", mode, digest, size))
                else:
                    walk.skipped.append(str(relative))
            except GoneError:
                walk.skipped.append(str(relative))
        return self._put_manifest(walk, folder, trees.encode(entries))

    def _put_found(self, walk: _TreeWalk, path: str, stat: os.stat_result) -> tuple[str, int]:
        """Store a file that a walk found, unless it is known to be there; its hash and bytes."""
        key, identity = key_of(path), identity_of(stat)
        known = walk.before.get(key)
        if known is not None and known[0] == identity and self._keep(known[1]):
            digest = known[1]
            walk.tell(stat.st_size)
        else:
            digest, stat = self._put_file(Path(path), walk.put, walk.told)
            identity = identity_of(stat)
        walk.hashed[key] = identity, digest
        walk.files += 1
        walk.size += stat.st_size
        walk.tell(0)
        return digest, stat.st_size

    def _put_manifest(self, walk: _TreeWalk, folder: str, data: bytes) -> str:
        """Store a folder's manifest, unless it is the one that is known to be there."""
        known: Known = (_NO_FILE, hashlib.sha256(data).hexdigest())
        key = f"{key_of(folder)}/"
        if walk.before.get(key) != known or not self._keep(known[1]):
            self._put_bytes(data, walk.put)
        walk.hashed[key] = known
        return known[1]

    # -- reading ------------------------------------------------------------------------------

    def verify(self, object_hash: str) -> None:
        """Reads an object, and everything below it if it is a folder, and compares the hashes.

        Raises:
            NotFound: the object, or one below it, is not there.
            StorageError: one's content is not what was stored.
        """
        for found in self.closure([object_hash], strict=True):
            with self.open(found) as source:
                if hash_of(source) != found:
                    raise self._damaged(found)

    def list_tree(self, tree_hash: str) -> tuple[Entry, ...]:
        """The entries of a stored folder.

        Raises:
            NotFound: there is no such object.
            StorageError: it is not a folder's manifest.
        """
        return trees.decode(self.read_bytes(tree_hash, verify=True))

    def has_folder(self, tree_hash: str, inner: PurePosixPath) -> bool:
        """Whether there is such a folder in a stored one.

        Raises:
            NotFound, StorageError: as `list_tree`.
        """
        for name in inner.parts:
            entry = next((one for one in self.list_tree(tree_hash) if one.name == name), None)
            if entry is None or entry.kind != "folder":
                return False
            tree_hash = entry.content
        return True

    def materialize(self, tree_hash: str, destination: Path) -> None:
        """Makes the stored folder at `destination`, as files of its own that may be changed.

        Reflinks where the file system has them, copies where not; never hard links. The folder
        appears whole under its name or not at all.

        Raises:
            NotFound: an object is missing.
            StorageError: `destination` is there and not empty, or the disk is full.
        """
        beside = destination.with_name(f".{destination.name}.{uuid.uuid4().hex}.tmp")
        try:
            destination.parent.mkdir(parents=True, exist_ok=True)
            self.build(tree_hash, beside)
            if destination.exists():
                beside.chmod(destination.stat().st_mode & 0o777)
            beside.replace(destination)  # replaces an empty folder only
        except OSError as error:
            if error.errno in {errno.ENOTEMPTY, errno.EEXIST, errno.ENOTDIR}:
                raise StorageError(
                    "the folder to be made is there already, and not empty.",
                    hint="Name another one, or empty it.",
                    place=Place(str(destination)),
                ) from error
            raise storage_error(error, "make the folder", destination) from error
        finally:
            remove(beside)

    def build(
        self,
        tree_hash: str,
        folder: Path,
        mode: int = 0o755,
        *,
        place: Callable[[Entry, Path], None] | None = None,
    ) -> None:
        """Make a folder of a tree; `place` makes each file of it, by default as a copy.

        Raises:
            NotFound: an object is missing.
            OSError: the folder cannot be written; what was made of it is left.
        """
        folder.mkdir(mode=0o700)
        for entry in self.list_tree(tree_hash):
            path = folder / entry.name
            if entry.kind == "link":
                path.symlink_to(entry.content)
            elif entry.kind == "folder":
                self.build(entry.content, path, entry.mode, place=place)
            else:
                (place or self.place)(entry, path)
        folder.chmod(mode)

    def place(self, entry: Entry, path: Path) -> None:
        """Make a new file with an entry's content and permissions; a reflink where that can be."""
        with self.open(entry.content) as source, path.open("xb+") as target:
            clone_or_copy(source, target)
        path.chmod(entry.mode)

    # -- collecting ---------------------------------------------------------------------------

    def closure(self, hashes: Iterable[str], *, strict: bool = False) -> set[str]:
        """The objects, and all below those that are folders.

        Raises:
            NotFound: one is not in the store; without `strict` it is left out instead.
            StorageError: a folder's manifest is damaged, so what is below it is not known.
        """
        found: set[str] = set()
        left = list(hashes)
        while left:
            digest = left.pop()
            if digest in found or (not strict and digest not in self):
                continue
            found.add(digest)
            with self.open(digest) as source:
                if not trees.is_tree(source.read(len(trees.HEADER))):
                    continue
            data = self.read_bytes(digest, verify=True)
            # A user's file may look like a manifest: then it is not one, and leads nowhere.
            with contextlib.suppress(StorageError):
                left += [entry.content for entry in trees.decode(data) if entry.kind != "link"]
        return found

    def collect(self, referenced: Iterable[str], min_age_seconds: float) -> Collected:
        """Removes objects that nothing in `referenced` leads to and that are older than the age.

        The age must be longer than it takes from putting an object to noting who needs it.

        Raises:
            StorageError: the folder cannot be written.
        """
        try:
            with self._lock_path.open("rb") as lock:
                try:
                    fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                except BlockingIOError:
                    return Collected(0, 0, 0, busy=True)
                return self._sweep(self.closure(referenced), time.time() - min_age_seconds)
        except OSError as error:
            raise storage_error(error, "collect old objects", self.folder) from error

    def _sweep(self, needed: set[str], before: float) -> Collected:
        removed, size, kept = 0, 0, 0
        for path in self.folder.glob("[0-9a-f][0-9a-f]/*"):
            stat = path.stat()
            if path.parent.name + path.name in needed or stat.st_mtime > before:
                kept += 1
                continue
            path.unlink()
            removed, size = removed + 1, size + stat.st_size
        # No put is under way, so what lies here was left by a process that died.
        for left in self._temporary.iterdir():
            left.unlink()
        return Collected(removed, size, kept)


class _TreeWalk:
    """What one `put_tree` gathers on its way."""

    def __init__(
        self,
        put: Put,
        before: dict[str, Known],
        ignore: Ignore | None,
        told: Told | None,
    ) -> None:
        self.put = put
        self.before = before
        self.ignore = ignore
        self.told = told
        self.files = 0
        self.size = 0
        self.skipped: list[str] = []
        self.hashed: dict[str, Known] = {}

    def tell(self, size: int) -> None:
        if self.told is not None:
            self.told(size)


def _scan(folder: str) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(folder) as found:
            return sorted(found, key=lambda item: item.name)
    except FileNotFoundError as error:
        raise GoneError from error
    except OSError as error:
        raise unreadable(error, Path(folder)) from error


def _stat(item: os.DirEntry[str]) -> os.stat_result:
    try:
        return item.stat(follow_symlinks=False)
    except FileNotFoundError as error:
        raise GoneError from error


def _target(link: str) -> str:
    try:
        return os.readlink(link)  # noqa: PTH115 - pathlib would change "./x" and "x/"
    except FileNotFoundError as error:
        raise GoneError from error
