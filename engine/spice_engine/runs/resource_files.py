"""What a resource holds: finding a path inside it, listing it, taking it into the object store.

A resource lies in the object store (uploads, models) or on disk (the folder of a run, a folder
of this machine). A symbolic link inside it is followed only to places inside it. Everything here
blocks: call it through `asyncio.to_thread`.
"""

from __future__ import annotations

import contextlib
import dataclasses
import os
from collections import deque
from collections.abc import Callable
from pathlib import Path, PurePosixPath
from typing import Literal

from spice_engine.errors import InvalidRequest, NotFound
from spice_engine.records import record
from spice_engine.store import trees
from spice_engine.store.disk import storage_error
from spice_engine.store.objects import ObjectStore
from spice_engine.store.trees import Entry

MOST_LINKS = 40

Kind = Literal["file", "folder", "link"]


@record
class Resource:
    """A file or folder of the resource tree.

    `path` is where it is in the tree, every reference and link followed. It is in the store
    under `object`, or on disk at `place`, where `top` is the folder it must not lead out of and
    `hidden` are names at its top that are not shown, and `without` a folder that is never a part
    of it. `size` is bytes of a file; `modified` unix seconds; `run` the run whose output it is;
    `link` says `alias → target` where one led here.
    """

    path: str
    kind: Literal["file", "folder"]
    object: str = ""
    place: Path | None = None
    top: Path | None = None
    hidden: frozenset[str] = frozenset()
    without: Path | None = None
    size: int = 0
    mode: int = 0o644
    modified: float | None = None
    run: int | None = None
    link: str = ""

    @property
    def name(self) -> str:
        """The last part of its path."""
        return self.path.rpartition("/")[2]


@record
class Child:
    """One name in a folder; `target` is where a symbolic link leads."""

    name: str
    kind: Kind
    size: int | None
    modified: float | None
    target: str = ""


@record
class Stored:
    """A folder in the object store: its hash, how many files it holds, and their bytes."""

    object: str
    files: int
    size: int


def descend(objects: ObjectStore, resource: Resource, names: tuple[str, ...]) -> Resource:
    """What lies at `names` below a resource.

    Raises:
        NotFound: nothing does.
        InvalidRequest: a symbolic link leads out of the resource.
        StorageError: it cannot be read.
    """
    if not names:
        return resource
    path = "/".join((resource.path, *names))
    if resource.kind == "file":
        raise _nothing_at(path)
    if resource.place is not None:
        return _descend_disk(resource, resource.place, names, path)
    entry = _descend_stored(objects, resource.object, names, path)
    kind = "folder" if entry.kind == "folder" else "file"
    return dataclasses.replace(
        resource, path=path, kind=kind, object=entry.content, size=entry.size, mode=entry.mode
    )


def children(objects: ObjectStore, resource: Resource) -> list[Child]:
    """What a folder holds, or the file itself, by name.

    Raises:
        StorageError: it cannot be read.
    """
    if resource.kind == "file":
        return [Child(resource.name, "file", resource.size, resource.modified)]
    if resource.place is None:
        return [
            Child(
                entry.name,
                entry.kind,
                entry.size if entry.kind == "file" else None,
                resource.modified,
                entry.content if entry.kind == "link" else "",
            )
            for entry in objects.list_tree(resource.object)
        ]
    found: list[Child] = []
    try:
        with os.scandir(resource.place) as items:
            for item in items:
                if item.name not in resource.hidden:
                    with contextlib.suppress(FileNotFoundError):
                        found.append(_child(item))
    except OSError as error:
        raise storage_error(error, "list the folder", resource.place) from error
    return sorted(found, key=lambda child: child.name)


def entry_of(
    objects: ObjectStore, resource: Resource, told: Callable[[int], None] | None = None
) -> Entry:
    """The resource as an entry of a stored folder, after what lies on disk is in the store.

    `told` is called with bytes that are in, and with 0 when a file is.

    Raises:
        NotFound: it is gone.
        StorageError: it cannot be read, or the disk is full.
    """
    if resource.place is None:
        return Entry(resource.name, resource.kind, resource.mode, resource.object, resource.size)
    mode = resource.place.stat().st_mode & 0o777
    if resource.kind == "file":
        digest = objects.put_file(resource.place, told)
        size = objects.path_of(digest).stat().st_size
        if told is not None:
            told(0)
        return Entry(resource.name, "file", mode, digest, size)
    place, hidden, without = resource.place, resource.hidden, resource.without

    def ignore(at: PurePosixPath, is_folder: bool) -> bool:
        return (len(at.parts) == 1 and at.name in hidden) or (is_folder and place / at == without)

    snapshot = objects.put_tree(place, ignore, told)
    return Entry(resource.name, "folder", mode, snapshot.hash, 0)


def stored(
    objects: ObjectStore, resource: Resource, told: Callable[[int], None] | None = None
) -> Stored:
    """The resource as a folder in the object store; a single file is in a folder of its own.

    Raises:
        NotFound, StorageError: as `entry_of`.
    """
    entry = entry_of(objects, resource, told)
    if entry.kind == "folder":
        return measured(objects, entry.content)
    return Stored(objects.put_bytes(trees.encode([entry])), 1, entry.size)


def measured(objects: ObjectStore, folder: str) -> Stored:
    """How much a stored folder holds.

    Raises:
        NotFound, StorageError: a part of it is missing or damaged.
    """
    files, size, left = 0, 0, [folder]
    while left:
        for entry in objects.list_tree(left.pop()):
            if entry.kind == "folder":
                left.append(entry.content)
            elif entry.kind == "file":
                files, size = files + 1, size + entry.size
    return Stored(folder, files, size)


def machine_resource(text: str, state: Path) -> Resource:
    """A folder or file of this machine, by its absolute path.

    The engine's own state is never a part of it.

    Raises:
        NotFound: there is none.
        InvalidRequest: it is no absolute path, or lies in the engine's state.
    """
    if "\0" in text or not text.startswith("/"):
        raise InvalidRequest(
            f"{text[:200]!r} is no absolute path.", hint="Name the file or folder from / on."
        )
    try:
        place = Path(text).resolve(strict=True)
        stat = place.stat()
    except (OSError, RuntimeError, ValueError) as error:
        raise NotFound(f"there is no file or folder {text[:200]}.") from error
    if place == Path("/") or place.is_relative_to("/proc") or place.is_relative_to("/sys"):
        raise InvalidRequest(
            f"{text[:200]} is no folder of files that can be kept.", hint="Name another folder."
        )
    inside = state.resolve()
    if place.is_relative_to(inside):
        raise InvalidRequest(
            f"{text[:200]} lies in the engine's own state.", hint="Name its resource: runs/3."
        )
    if not (place.is_dir() or place.is_file()):
        raise InvalidRequest(f"{text[:200]} is neither a file nor a folder.")
    return Resource(
        path=place.name or "files",
        kind="folder" if place.is_dir() else "file",
        place=place,
        top=place if place.is_dir() else place.parent,
        without=inside,  # an app folder holds the state it is kept in
        size=stat.st_size,
        mode=stat.st_mode & 0o777,
        modified=stat.st_mtime,
    )


def shown(name: str) -> str:
    """A file's name as text that can be sent; bytes that are no UTF-8 become U+FFFD."""
    return name.encode("utf-8", "surrogateescape").decode("utf-8", "replace")


def _child(item: os.DirEntry[str]) -> Child:
    stat = item.stat(follow_symlinks=False)
    if item.is_symlink():
        return Child(item.name, "link", None, stat.st_mtime, os.readlink(item.path))  # noqa: PTH115
    if item.is_dir(follow_symlinks=False):
        return Child(item.name, "folder", None, stat.st_mtime)
    return Child(item.name, "file", stat.st_size, stat.st_mtime)


def _descend_disk(resource: Resource, place: Path, names: tuple[str, ...], path: str) -> Resource:
    if names[0] in resource.hidden:
        raise _nothing_at(path)
    top = (resource.top or place).resolve()
    try:
        found = place.joinpath(*names).resolve(strict=True)
        if not found.is_relative_to(top):
            raise _leads_out(path)
        stat = found.stat()
    except (OSError, RuntimeError, ValueError) as error:
        raise _nothing_at(path) from error
    hidden = found.parent == place.resolve() and found.name in resource.hidden  # by a link
    if hidden or (resource.without and found.is_relative_to(resource.without)):
        raise _nothing_at(path)
    if not (found.is_dir() or found.is_file()):
        raise InvalidRequest(f"{path[:200]!r} is neither a file nor a folder.")
    return dataclasses.replace(
        resource,
        path=path,
        kind="folder" if found.is_dir() else "file",
        place=found,
        hidden=frozenset[str](),
        size=stat.st_size,
        mode=stat.st_mode & 0o777,
        modified=stat.st_mtime,
    )


def _descend_stored(objects: ObjectStore, root: str, names: tuple[str, ...], path: str) -> Entry:
    """The entry at a path of a stored folder; symbolic links are followed inside of it."""
    folders = [Entry("", "folder", 0o755, root)]
    left = deque(names)
    links = 0
    while left:
        name = left.popleft()
        if name in {"", "."}:
            continue
        if name == "..":
            if len(folders) == 1:
                raise _leads_out(path)
            folders.pop()
            continue
        entry = next(
            (one for one in objects.list_tree(folders[-1].content) if one.name == name), None
        )
        if entry is None:
            raise _nothing_at(path)
        if entry.kind == "folder":
            folders.append(entry)
        elif entry.kind == "link":
            links += 1
            if entry.content.startswith("/") or links > MOST_LINKS:
                raise _leads_out(path)
            left.extendleft(reversed(entry.content.split("/")))
        elif left:
            raise _nothing_at(path)
        else:
            return entry
    return folders[-1]


def _nothing_at(path: str) -> NotFound:
    parent = path.rpartition("/")[0]
    return NotFound(
        f"there is no resource {path[:200]!r}.", hint=f"`spice-tui ls {parent[:200]}` lists more."
    )


def _leads_out(path: str) -> InvalidRequest:
    return InvalidRequest(
        f"{path[:200]!r} leads through a symbolic link out of its resource.",
        hint="Name the place it leads to.",
    )
