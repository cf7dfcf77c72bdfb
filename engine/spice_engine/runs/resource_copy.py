"""Copies a resource out, into a folder of this machine; what is in the store is verified.

Everything here blocks: call it through `asyncio.to_thread`.
"""

from __future__ import annotations

import hashlib
import os
import uuid
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import BinaryIO, Literal

from spice_engine.errors import Conflict, InvalidRequest, NotFound, Place, StorageError
from spice_engine.records import record
from spice_engine.runs.resource_files import Kind, Resource
from spice_engine.store.disk import storage_error
from spice_engine.store.objects import ObjectStore

Existing = Literal["refuse", "overwrite", "skip"]
NAMED = 3
"""Files that are there already and that an error names, at most."""
_CHUNK = 2**20


@dataclass(slots=True)
class Copied:
    """What a copy did; `size` is the bytes that were written."""

    copied: int = 0
    skipped: int = 0
    size: int = 0


@record
class _Piece:
    """One file, folder or symbolic link of a resource; `content` is a hash or a link's target."""

    at: PurePosixPath
    kind: Kind
    mode: int
    content: str = ""
    place: Path | None = None


def existing_of(text: str) -> Existing:
    """What is to be done about files that are there.

    Raises:
        InvalidRequest: it is none of the three words.
    """
    match text:
        case "refuse" | "overwrite" | "skip":
            return text
        case _:
            raise InvalidRequest(f"existing: {text[:40]!r} is none of refuse, overwrite and skip.")


def copy_out(
    objects: ObjectStore,
    resource: Resource,
    destination: Path,
    existing: Existing,
    told: Callable[[int], None] | None = None,
) -> Copied:
    """Write what a folder holds, or a file, into `destination`, which is made where it is not.

    With `refuse` nothing is written if one of the files is there already. A file appears whole
    under its name or not at all; symbolic links are written as links, and never through one.
    `told` is called with the bytes of each part of a file; what it raises ends the copy.

    Raises:
        Conflict: a file is there already, or a file or link is where a folder has to be.
        StorageError: an object is damaged, the disk is full, or the folder cannot be written.
    """
    done = Copied()
    try:
        _check_destination(destination)
        pieces = list(_pieces(objects, resource))
        if existing == "refuse":
            _refuse_existing(pieces, destination)
        for piece in pieces:
            if piece.kind == "folder" or existing == "overwrite":
                _check_place(piece, destination / piece.at)
        destination.mkdir(parents=True, exist_ok=True)
        folders: list[tuple[Path, int]] = []
        for piece in pieces:
            target = destination / piece.at
            if piece.kind == "folder":
                target.mkdir(exist_ok=True)
                folders.append((target, piece.mode))
            elif existing == "skip" and os.path.lexists(target):
                done.skipped += 1
            else:
                size = _write(objects, piece, target, told)
                done.copied, done.size = done.copied + 1, done.size + size
        for folder, mode in reversed(folders):
            folder.chmod(mode | 0o700)
    except OSError as error:
        raise storage_error(error, "copy the resource", destination) from error
    return done


def _check_destination(destination: Path) -> None:
    there = next(one for one in (destination, *destination.parents) if os.path.lexists(one))
    if not there.is_dir():
        raise Conflict(f"{there} is no folder.", hint="Name another folder to copy to.")


def _refuse_existing(pieces: list[_Piece], destination: Path) -> None:
    there = [
        piece
        for piece in pieces
        if piece.kind != "folder" and os.path.lexists(destination / piece.at)
    ]
    if there:
        names = ", ".join(repr(str(piece.at)) for piece in there[:NAMED])
        more = f" and {len(there) - NAMED} more" if len(there) > NAMED else ""
        raise Conflict(
            f"{'files exist' if len(there) > 1 else 'a file exists'} already: {names}{more}.",
            hint="Overwrite (-f) or skip (-i) what is there, or name another folder.",
        )


def _check_place(piece: _Piece, target: Path) -> None:
    """Refuse a file where a folder has to be, a link to one, and a folder in a file's place."""
    is_folder = target.is_dir() and not target.is_symlink()
    if piece.kind == "folder" and os.path.lexists(target) and not is_folder:
        raise Conflict(
            f"{target} is a file or a link, where a folder has to be.",
            hint="Move it away, or copy to another folder.",
        )
    if piece.kind != "folder" and is_folder:
        raise Conflict(
            f"{target} is a folder, where a file has to be.",
            hint="Move it away, or copy to another folder.",
        )


def _write(
    objects: ObjectStore, piece: _Piece, target: Path, told: Callable[[int], None] | None
) -> int:
    beside = target.with_name(f".{uuid.uuid4().hex}.tmp")
    try:
        if piece.kind == "link":
            beside.symlink_to(piece.content)
            size = 0
        else:
            with _opened(objects, piece) as source, beside.open("xb") as out:
                size = _copy(source, out, piece, told)
            beside.chmod(piece.mode | 0o600)
        beside.replace(target)
    finally:
        beside.unlink(missing_ok=True)
    return size


def _copy(
    source: BinaryIO, out: BinaryIO, piece: _Piece, told: Callable[[int], None] | None
) -> int:
    digest, size = hashlib.sha256(), 0
    while data := source.read(_CHUNK):
        out.write(data)
        size += len(data)
        if piece.place is None:
            digest.update(data)
        if told is not None:
            told(len(data))
    if piece.place is None and digest.hexdigest() != piece.content:
        raise StorageError(
            f"{piece.at}: its content is not what was stored.",
            hint="Check the disk; make the resource again from its source.",
            place=Place(source.name),
        )
    return size


@contextmanager
def _opened(objects: ObjectStore, piece: _Piece) -> Generator[BinaryIO]:
    if piece.place is None:
        with objects.open(piece.content) as source:
            yield source
        return
    # A link that took the file's place since it was listed is not followed.
    try:
        descriptor = os.open(piece.place, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    except FileNotFoundError as error:
        raise NotFound(f"{piece.at} went away while it was copied.") from error
    with os.fdopen(descriptor, "rb") as source:
        yield source


def _pieces(objects: ObjectStore, resource: Resource) -> Iterator[_Piece]:
    """Everything in a resource; folders come before what they hold."""
    if resource.kind == "file":
        at = PurePosixPath(resource.name)
        yield _Piece(at, "file", resource.mode, resource.object, resource.place)
    elif resource.place is None:
        yield from _stored_pieces(objects, resource.object, PurePosixPath())
    else:
        yield from _disk_pieces(resource.place, PurePosixPath(), resource.hidden)


def _stored_pieces(objects: ObjectStore, tree: str, at: PurePosixPath) -> Iterator[_Piece]:
    for entry in objects.list_tree(tree):
        piece = _Piece(at / entry.name, entry.kind, entry.mode, entry.content)
        yield piece
        if entry.kind == "folder":
            yield from _stored_pieces(objects, entry.content, piece.at)


def _disk_pieces(folder: Path, at: PurePosixPath, hidden: frozenset[str]) -> Iterator[_Piece]:
    with os.scandir(folder) as found:
        items = sorted(found, key=lambda item: item.name)
    for item in items:
        if item.name in hidden:
            continue
        place, here = Path(item.path), at / item.name
        if item.is_symlink():
            yield _Piece(here, "link", 0o777, os.readlink(place))  # noqa: PTH115 - kept as it is
        elif item.is_dir(follow_symlinks=False):
            yield _Piece(here, "folder", place.stat().st_mode & 0o777)
            yield from _disk_pieces(place, here, frozenset())
        elif item.is_file(follow_symlinks=False):
            yield _Piece(here, "file", place.stat().st_mode & 0o777, "", place)
