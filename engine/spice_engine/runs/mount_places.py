"""Whether mounts can appear at the places they are wanted at. Blocking.

Looked at when a run is asked for, so that it is refused then and does not fail once it has waited.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path, PurePosixPath

from spice_engine.errors import InvalidRequest
from spice_engine.store import trees
from spice_engine.store.objects import ObjectStore
from spice_engine.store.runs import MountRow

_OF_THE_KERNEL = ("/dev", "/proc", "/sys")


def is_folder(objects: ObjectStore, content: str) -> bool:
    """Whether an object is a stored folder.

    Raises:
        NotFound: there is no such object.
    """
    with objects.open(content) as source:
        return trees.is_tree(source.read(len(trees.HEADER)))


def check(
    objects: ObjectStore,
    code: str | Path,
    mounts: Sequence[MountRow],
    state: Path,
    *,
    system: bool,
) -> None:
    """Refuse mounts that cannot appear. `code` is the stored folder that the run begins with, or
    the one it works in itself; `state` is the engine's own; with a `system` the places from / on
    are those of another one.

    Raises:
        InvalidRequest: what is at a place is of another kind, or must not be hidden.
        NotFound, StorageError: a folder of the object store is missing or damaged.
    """
    for mount in mounts:
        shows_folder = is_folder(objects, mount.object)
        inner = not mount.path.startswith("/")
        if inner and isinstance(code, str):
            _check_kind(mount, *_stored(objects, code, mount.path), shows_folder=shows_folder)
            continue
        place = Path(code, mount.path) if inner else Path(mount.path)
        if any(place.is_relative_to(one) for one in _OF_THE_KERNEL):
            raise _cannot(mount, "it is the kernel's own", "Give it a place elsewhere.")
        if state.is_relative_to(place) or place.is_relative_to(state):
            raise _cannot(mount, "the engine's own state is there", "Give it a place elsewhere.")
        if inner or not system:
            there = replace(mount, path=str(place))
            _check_kind(there, *_found(place), shows_folder=shows_folder)


def _check_kind(mount: MountRow, at: str, kind: str, *, shows_folder: bool) -> None:
    shown = "folder" if shows_folder else "file"
    hint = f"Give it another place: {mount.resource}:PATH."
    if kind == "file" and at != mount.path:
        raise _cannot(mount, f"{at} is a file", hint)
    if at == mount.path and kind != shown and kind in {"file", "folder"}:
        raise _cannot(mount, f"there is a {kind}, and a {shown} is to be shown", hint)


def _cannot(mount: MountRow, reason: str, hint: str) -> InvalidRequest:
    return InvalidRequest(
        f"{mount.resource[:200]} cannot appear at {mount.path[:200]}: {reason}.", hint=hint
    )


def _stored(objects: ObjectStore, code: str, path: str) -> tuple[str, str]:
    """The last part of a path that a stored folder has, and its kind; a link ends the search, for
    the command may have it lead anywhere."""
    at, kind, tree = "", "folder", code
    for name in PurePosixPath(path).parts:
        if kind != "folder":
            break
        entry = next((one for one in objects.list_tree(tree) if one.name == name), None)
        if entry is None:
            break
        at, kind, tree = f"{at}/{name}" if at else name, entry.kind, entry.content
    return at, kind


def _found(place: Path) -> tuple[str, str]:
    """The last part of a path that this machine has, and its kind."""
    # `os.path`: what may not be looked at is as if it were not there.
    at = next(one for one in (place, *place.parents) if os.path.exists(one))  # noqa: PTH110
    return str(at), "folder" if at.is_dir() else "file"
