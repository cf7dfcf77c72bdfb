"""The files of a model: chosen from a resource, put together as one stored folder.

All of it blocks.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from spice_engine.errors import InvalidRequest, NotFound
from spice_engine.runs import resource_files as files
from spice_engine.runs.resource_files import Resource, Stored
from spice_engine.serving.model_names import FileSpec
from spice_engine.store import trees
from spice_engine.store.objects import ObjectStore
from spice_engine.store.trees import Entry

NAMED = 10
"""Missing files that an error names, at most."""


def gather(
    objects: ObjectStore,
    resource: Resource,
    specs: list[FileSpec],
    told: Callable[[int], None] | None = None,
) -> Stored:
    """A resource, or the parts of it that `specs` name, as one folder in the object store.

    `told` is called with the bytes of each file that was read; what it raises ends the work.

    Raises:
        NotFound: parts are missing; the error names them.
        InvalidRequest: there is no file in it, or a part leads out of the resource.
        StorageError: something cannot be read, or the disk is full.
    """
    if specs:
        taken = _chosen(objects, resource, specs, told)
    else:
        taken = files.stored(objects, resource, told)
    if not taken.files:
        raise InvalidRequest(f"{resource.path[:200]} holds no file.", hint="Name another resource.")
    return taken


def _chosen(
    objects: ObjectStore,
    resource: Resource,
    specs: list[FileSpec],
    told: Callable[[int], None] | None,
) -> Stored:
    if resource.kind == "file":
        raise InvalidRequest(
            f"{resource.path[:200]} is a single file; there are no files to choose from.",
            hint="Name the resource that holds it.",
        )
    found: list[tuple[FileSpec, Resource]] = []
    missing: list[str] = []
    for spec in specs:
        try:
            found.append((spec, files.descend(objects, resource, spec.path)))
        except NotFound:
            missing.append("/".join(spec.path))
    if missing:
        more = f" and {len(missing) - NAMED} more" if len(missing) > NAMED else ""
        raise NotFound(
            f"{resource.path[:200]} does not hold {', '.join(missing[:NAMED])[:1000]}{more}.",
            hint="`spice-tui ls` shows what it holds.",
        )
    top = _Folder()
    for spec, part in found:
        top.put(spec.destination, files.entry_of(objects, part, told))
    return files.measured(objects, top.store(objects))


@dataclass(slots=True)
class _Folder:
    """A folder that is being put together."""

    entries: dict[str, Entry] = field(default_factory=dict[str, Entry])
    folders: dict[str, _Folder] = field(default_factory=dict[str, "_Folder"])

    def put(self, place: tuple[str, ...], entry: Entry) -> None:
        """Put an entry at a place below."""
        name, *rest = place
        if rest:
            self.folders.setdefault(name, _Folder()).put(tuple(rest), entry)
        else:
            self.entries[name] = Entry(name, entry.kind, entry.mode, entry.content, entry.size)

    def store(self, objects: ObjectStore) -> str:
        """Put the folder with all below it into the store; gives its hash."""
        below = [
            Entry(name, "folder", 0o755, folder.store(objects))
            for name, folder in self.folders.items()
        ]
        return objects.put_bytes(trees.encode([*self.entries.values(), *below]))
