"""A part of a stored folder as a stored folder: what a step sees, and what its cache goes by.

Everything here blocks.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import PurePosixPath

from spice_engine.errors import InvalidRequest
from spice_engine.runs.workflows.reading import FOLDER, SUFFIXES
from spice_engine.store import trees
from spice_engine.store.objects import ObjectStore

_TOP = PurePosixPath()


def without_workflows(objects: ObjectStore, code: str) -> str:
    """The folder without the files of workflows: a change to one must not change what steps see.

    Raises:
        StorageError, NotFound: as the store.
    """

    def keep(path: PurePosixPath, is_folder: bool) -> bool:
        return is_folder or path.parent != PurePosixPath(FOLDER) or path.suffix not in SUFFIXES

    return _filtered(objects, code, keep)


def chosen(objects: ObjectStore, code: str, patterns: Sequence[str]) -> str:
    """The files that git's patterns name, such as `train.py`, `lib/` and `*.txt`.

    Raises:
        InvalidRequest: a pattern cannot be read, or nothing is there that they name.
        StorageError, NotFound: as the store.
    """
    import pathspec

    try:
        spec = pathspec.GitIgnoreSpec.from_lines(patterns)
    except ValueError as error:
        raise InvalidRequest(f"code: {error}.") from error

    def keep(path: PurePosixPath, is_folder: bool) -> bool:
        return is_folder or bool(spec.check_file(path.as_posix()).include)

    found = _filtered(objects, code, keep)
    if not objects.list_tree(found):
        raise InvalidRequest(
            f"code: nothing in the folder is named {', '.join(patterns)[:200]}.",
            hint="Patterns are those of .gitignore, and what that names is left out.",
        )
    return found


def _filtered(
    objects: ObjectStore,
    code: str,
    keep: Callable[[PurePosixPath, bool], bool],
    at: PurePosixPath = _TOP,
) -> str:
    """The folder with what is kept; folders that hold nothing then are left out."""
    entries: list[trees.Entry] = []
    for entry in objects.list_tree(code):
        path, is_folder = at / entry.name, entry.kind == "folder"
        if not keep(path, is_folder):
            continue
        if is_folder:
            inner = _filtered(objects, entry.content, keep, path)
            before = inner == entry.content
            if not before and not objects.list_tree(inner):
                continue
            entries.append(entry if before else replace(entry, content=inner))
        else:
            entries.append(entry)
    return objects.put_bytes(trees.encode(entries))
