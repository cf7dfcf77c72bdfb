"""What a server's replicas find on disk: the app folder's code, models, mounts. All of it blocks.

A version's files lie under `<state>/servers/<server>/versions/<number>/`: `code` as it was when
the version was made, `model` (what appears as /model) and `mounts` (as /mounts).
"""

from __future__ import annotations

import shutil
import uuid
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path, PurePosixPath

from spice_engine.errors import NotFound, StorageError
from spice_engine.records import record
from spice_engine.runs.folder_ignore import FolderIgnore
from spice_engine.store import trees
from spice_engine.store.copying import clone_or_copy
from spice_engine.store.disk import storage_error
from spice_engine.store.objects import ObjectStore

LARGEST_FILE = 100 * 2**20
MOST_BYTES = 2 * 2**30


@record
class CodeSnapshot:
    """The app folder as an object; `left_out` names the files that are too large to be code."""

    hash: str
    files: int
    size: int
    left_out: tuple[str, ...]


def snapshot(objects: ObjectStore, root: Path, entrypoint: str) -> CodeSnapshot:
    """Take the app folder's code into the object store.

    Raises:
        StorageError: it cannot be read, is too large, or leaves the entrypoint out.
    """
    ignore = FolderIgnore(root, largest_file=LARGEST_FILE, most_bytes=MOST_BYTES)
    taken = objects.put_tree(root, ignore)
    if entrypoint and not _holds(objects, taken.hash, PurePosixPath(entrypoint)):
        raise StorageError(
            f"the entrypoint {entrypoint} is ignored by a .gitignore, or too large to be code.",
            hint=f"Take it out of .gitignore, or write !{entrypoint} into .spiceignore.",
        )
    return CodeSnapshot(taken.hash, taken.files, taken.size, tuple(ignore.left_out))


def check_entrypoint(objects: ObjectStore, code: str, entrypoint: str, source: str) -> None:
    """Refuse code of a repository that has no such file.

    Raises:
        NotFound: it has none.
    """
    if not _holds(objects, code, PurePosixPath(entrypoint)):
        raise NotFound(
            f"there is no file {entrypoint[:200]!r} in {source}.",
            hint="Name the entrypoint relative to the first folder of the repository.",
        )


def changed_files(
    objects: ObjectStore, old: str, new: str, most: int = 5, without: Collection[str] = ()
) -> list[str]:
    """Some of the files in which two snapshots differ, `+` and `-` before new and gone ones;
    those of `without` are passed over."""
    if not old or not new:
        return []
    before, after = dict(_files(objects, old)), dict(_files(objects, new))
    found = [
        path if path in before and path in after else f"{'+' if path in after else '-'}{path}"
        for path in sorted(before.keys() | after.keys())
        if before.get(path) != after.get(path) and path not in without
    ]
    return found if len(found) <= most else [*found[:most], f"{len(found) - most} more"]


def _files(objects: ObjectStore, tree: str, above: str = "") -> Iterator[tuple[str, str]]:
    for entry in objects.list_tree(tree):
        path = f"{above}{entry.name}"
        if entry.kind == "folder":
            yield from _files(objects, entry.content, f"{path}/")
        else:
            yield path, f"{entry.content} {entry.mode}"


def materialize(
    objects: ObjectStore,
    folder: Path,
    *,
    code: str,
    models: Sequence[tuple[str, Path]],
    mounts: Sequence[tuple[str, str]],
) -> None:
    """Make a version's folder, whole or not at all; once made it stays as it is.

    `models` are names with the folder of each one's files, `mounts` destinations with objects.

    Raises:
        NotFound: an object is missing.
        StorageError: the disk is full.
    """
    if (folder / "done").is_file():
        return
    beside = folder.with_name(f".{folder.name}.{uuid.uuid4().hex}.tmp")
    try:
        beside.mkdir(parents=True)
        if code:
            objects.materialize(code, beside / "code")
        else:
            (beside / "code").mkdir()
        _lay_models(beside / "model", models)
        (beside / "mounts").mkdir()
        for destination, object_hash in mounts:
            _mount(objects, object_hash, beside / "mounts" / destination)
        (beside / "done").touch()
        if folder.exists():
            shutil.rmtree(folder)
        beside.rename(folder)
    except OSError as error:
        raise storage_error(error, "make a server's files", folder) from error
    finally:
        shutil.rmtree(beside, ignore_errors=True)


def _lay_models(folder: Path, models: Sequence[tuple[str, Path]]) -> None:
    """`/model/<name>/…` for each model; of a single one also `/model/…`, as scripts expect."""
    folder.mkdir()
    for name, source in models:
        (folder / name).symlink_to(source, target_is_directory=True)
    if len(models) == 1:
        name, source = models[0]
        for entry in source.iterdir():
            if entry.name != name:
                (folder / entry.name).symlink_to(entry)


def _mount(objects: ObjectStore, object_hash: str, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with objects.open(object_hash) as source:
        if not trees.is_tree(source.read(len(trees.HEADER))):
            source.seek(0)
            with path.open("xb+") as target:
                clone_or_copy(source, target)
            return
    objects.materialize(object_hash, path)


def _holds(objects: ObjectStore, tree: str, path: PurePosixPath) -> bool:
    for part in path.parts:
        found = next((entry for entry in objects.list_tree(tree) if entry.name == part), None)
        if found is None:
            return False
        if found.kind != "folder":
            return part == path.parts[-1] or found.kind == "link"
        tree = found.content
    return False
