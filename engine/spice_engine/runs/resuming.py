"""A run that was lost goes on as another one, which gets the files it had."""

from __future__ import annotations

from pathlib import Path

from spice_engine.store import trees
from spice_engine.store.objects import ObjectStore
from spice_engine.store.trees import Entry

MOST_RESUMES = 10
"""In a row: what is lost each time would go on for ever."""


def with_outputs(objects: ObjectStore, code: str, outputs: Path) -> str:
    """The stored folder `code` with the files of `outputs` in it. What the run removed is there
    again. Blocks.

    Raises:
        NotFound: an object is missing.
        StorageError: the disk is full or a file cannot be read.
    """
    if not outputs.is_dir():
        return code
    return _merged(objects, code, objects.put_tree(outputs).hash)


def _merged(objects: ObjectStore, below: str, above: str) -> str:
    entries = {entry.name: entry for entry in objects.list_tree(below)}
    for entry in objects.list_tree(above):
        old = entries.get(entry.name)
        if old is not None and old.kind == entry.kind == "folder":
            content = _merged(objects, old.content, entry.content)
            entries[entry.name] = Entry(entry.name, "folder", old.mode, content)
        else:
            entries[entry.name] = entry
    return objects.put_bytes(trees.encode(list(entries.values())))
