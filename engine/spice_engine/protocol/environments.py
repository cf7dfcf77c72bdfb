"""Requests and answers about environments: what is kept of them, what is in them."""

from __future__ import annotations

from dataclasses import field
from typing import Any

from spice_engine.records import record


@record
class EnvironmentInfo:
    """One that is kept. `kind` is python, conda or system; `asked` is what was asked for, by the
    fields of `Dependencies`; `seconds` what it took to make. Times are Unix seconds, sizes bytes;
    `own` are those that it shares with nothing, so that removing it frees them. `in_use`: a run
    that is not over, a server, or another environment stands on it."""

    key: str
    kind: str
    asked: dict[str, Any]
    created: float
    used: float
    seconds: float
    size: int
    own: int
    in_use: bool


@record
class EnvironmentList:
    """Those that are kept, the one that was used last at the end, and the keys of those that are
    being made."""

    environments: list[EnvironmentInfo]
    building: list[str]


@record
class EnvironmentName:
    """A run, by number or name, or the key of an environment."""

    name: str


@record
class PackageVersion:
    """One of what is in an environment. `kind` is python, pip, conda, apt, image or setup."""

    kind: str
    name: str
    version: str


@record
class EnvironmentDetails:
    """What is in an environment. `lock` makes one again, as `dependencies.lock`. Of a run's:
    `cached` tells whether it was there, `waited` how many seconds the run waited for it."""

    key: str
    run: int | None
    cached: bool
    waited: float
    seconds: float
    packages: list[PackageVersion]
    lock: str


@record
class CompareEnvironments:
    """Two runs, by number or name, or keys of environments."""

    one: str
    other: str


@record
class PackageChange:
    """Something that is not the same in both; a version is empty where it is not there."""

    kind: str
    name: str
    before: str
    after: str


@record
class EnvironmentDiff:
    """What differs, by kind and name."""

    changes: list[PackageChange]


@record
class RemoveEnvironments:
    """Remove these; or, without keys, those that nobody used for so many seconds."""

    keys: list[str] = field(default_factory=list[str])
    unused: float = 30 * 86400.0


@record
class RemovedEnvironments:
    """The keys of those that went, and the bytes that are free for it."""

    keys: list[str]
    bytes: int
