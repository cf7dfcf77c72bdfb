"""Requests and answers about what the engine's files take of the disk, and what can go."""

from __future__ import annotations

from spice_engine.records import record


@record
class UsagePart:
    """A part of the engine's files; `bytes` is what it takes on disk, what several have once."""

    name: str
    files: int
    bytes: int


@record
class StoredFor:
    """What is in the object store for one kind of owner; `alone` is what no other kind needs."""

    name: str
    owners: int
    objects: int
    bytes: int
    alone: int


@record
class RunUsage:
    """What one run takes on disk: what it left, and all that is in its folder."""

    id: int
    outputs: int
    bytes: int


@record
class DiskUsage:
    """All of the engine's files. `runs` are the largest ones, the largest first."""

    folder: str
    total: int
    free: int
    parts: list[UsagePart]
    stored: list[StoredFor]
    runs: list[RunUsage]


@record
class PruneRuns:
    """Remove what runs left, or the folders that they began with; the runs stay, with their logs.

    It is done to runs that are archived, and with `older_than` seconds to those that ended longer
    ago, too. With `dry_run` nothing is done: the answer says what would be.
    """

    older_than: float | None = None
    outputs: bool = True
    snapshots: bool = True
    dry_run: bool = True


@record
class PrunedRuns:
    """What was removed of which runs, in bytes on disk, and which stayed as they are, and why.

    `snapshot_bytes` are objects that nothing else needs; they go within an hour.
    """

    runs: list[int]
    output_files: int
    output_bytes: int
    snapshots: int
    snapshot_bytes: int
    kept: dict[str, str]
    dry_run: bool
