"""Requests and answers about resources: outputs of runs, uploads, links."""

from __future__ import annotations

from spice_engine.records import record


@record
class ListResources:
    """What lies at a path of the resource tree: `uploads/x`, `runs/3`, a link; empty: the roots."""

    path: str = ""


@record
class ResourceInfo:
    """One entry; `size` is bytes (folders: None), `modified` Unix seconds."""

    path: str
    kind: str
    size: int | None
    modified: float | None
    link_target: str = ""
    info: str = ""


@record
class ResourceList:
    """Entries by name; `link` says `alias → target` where the path led through one, `left_out`
    how many more entries there are."""

    entries: list[ResourceInfo]
    link: str = ""
    left_out: int = 0


@record
class ResourcePath:
    """One resource, by its path in the tree."""

    path: str


@record
class ReadResource:
    """The beginning of a file of the resource tree, at most `limit` bytes of it."""

    path: str
    limit: int = 16384


@record
class ResourceText:
    """What a file begins with; `binary`: it is no text, and `text` is empty. `size` is the whole
    file's bytes."""

    path: str
    text: str
    size: int
    binary: bool = False


@record
class ResourceSize:
    """How much a folder or a file of the resource tree holds; `bytes` as they are, not on disk."""

    path: str
    files: int
    bytes: int


@record
class UploadResource:
    """Take a file or folder of this machine into the store as `uploads/NAME`."""

    source: str
    name: str
    replace: bool = False


@record
class CopyResource:
    """Copy a resource out, to a folder of this machine. `existing`: refuse, overwrite or skip."""

    path: str
    destination: str
    existing: str = "refuse"


@record
class CopiedResource:
    """What a copy did; `bytes` counts what was written."""

    copied: int
    skipped: int
    bytes: int


@record
class LinkResource:
    """Give a resource a short name."""

    alias: str
    path: str


@record
class LinkAlias:
    """One link, by its name."""

    alias: str


@record
class LinkInfo:
    """One link."""

    alias: str
    path: str
    created: float


@record
class LinkList:
    """Links by name."""

    links: list[LinkInfo]
