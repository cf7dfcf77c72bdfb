"""Requests and answers about resources: outputs of runs, uploads, links."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class ListResources:
    """What lies at a path of the resource tree: `uploads/x`, `runs/3`, a link; empty: the roots."""

    path: str = ""


@dataclass(frozen=True, slots=True)
class ResourceInfo:
    """One entry; `size` is bytes (folders: None), `modified` Unix seconds."""

    path: str
    kind: str
    size: int | None
    modified: float | None
    link_target: str = ""
    info: str = ""


@dataclass(frozen=True, slots=True)
class ResourceList:
    """Entries by name; `link` says `alias → target` where the path led through one, `left_out`
    how many more entries there are."""

    entries: list[ResourceInfo]
    link: str = ""
    left_out: int = 0


@dataclass(frozen=True, slots=True)
class ResourcePath:
    """One resource, by its path in the tree."""

    path: str


@dataclass(frozen=True, slots=True)
class UploadResource:
    """Take a file or folder of this machine into the store as `uploads/NAME`."""

    source: str
    name: str
    replace: bool = False


@dataclass(frozen=True, slots=True)
class CopyResource:
    """Copy a resource out, to a folder of this machine. `existing`: refuse, overwrite or skip."""

    path: str
    destination: str
    existing: str = "refuse"


@dataclass(frozen=True, slots=True)
class CopiedResource:
    """What a copy did; `bytes` counts what was written."""

    copied: int
    skipped: int
    bytes: int


@dataclass(frozen=True, slots=True)
class LinkResource:
    """Give a resource a short name."""

    alias: str
    path: str


@dataclass(frozen=True, slots=True)
class LinkAlias:
    """One link, by its name."""

    alias: str


@dataclass(frozen=True, slots=True)
class LinkInfo:
    """One link."""

    alias: str
    path: str
    created: float


@dataclass(frozen=True, slots=True)
class LinkList:
    """Links by name."""

    links: list[LinkInfo]
