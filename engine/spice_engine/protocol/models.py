"""Requests and answers about models: named, versioned bundles of files."""

from __future__ import annotations

from dataclasses import field

from spice_engine.records import record


@record
class CreateModel:
    """Make the next version of a model from a resource.

    `version` is a custom name beside the number that every version gets (`v3`). `resource` is a
    path of the resource tree, or a folder or file of this machine. `files` are `PATH[:DEST]`
    inside it; none: all of it. Of all requests with the same `request_key` the first makes a
    version.
    """

    name: str
    resource: str
    version: str = ""
    files: list[str] = field(default_factory=list[str])
    description: str = ""
    request_key: str = ""


@record
class ModelVersionInfo:
    """One version; `run` and `pod` say what it came from where that is known. `size` is bytes."""

    model: str
    number: int
    version: str
    resource: str
    files: list[str]
    description: str
    created: float
    creator: str
    size: int
    object: str
    run: int | None = None
    pod: str = ""
    policy_version: int | None = None
    aliases: list[str] = field(default_factory=list[str])
    servers: list[str] = field(default_factory=list[str])

    @property
    def label(self) -> str:
        """`v2`, or `demo (v2)`."""
        return f"{self.version} (v{self.number})" if self.version else f"v{self.number}"


@record
class ModelInfo:
    """One model. `kind`: files, or policy (a pod's, there without being created)."""

    name: str
    kind: str
    latest: ModelVersionInfo
    versions: int
    created: float
    creator: str


@record
class ModelList:
    """Models by name."""

    models: list[ModelInfo]


@record
class ModelName:
    """One model, by its name."""

    name: str


@record
class ModelRef:
    """A model or a version: `version` is `v2`, `2`, a custom name, an alias with or without `@`
    (`latest`, `best:METRIC`), or empty."""

    name: str
    version: str = ""


@record
class ModelVersions:
    """A model with all its versions, newest first."""

    model: ModelInfo
    versions: list[ModelVersionInfo]


@record
class DescribeVersion:
    """Replace a version's description."""

    name: str
    version: str
    description: str


@record
class DownloadModel:
    """Write a version's files to a folder of this machine. `existing` as for copies."""

    name: str
    version: str
    destination: str
    existing: str = "refuse"


@record
class SetModelAlias:
    """Let an alias name a version; with an empty version the alias goes."""

    name: str
    alias: str
    version: str = ""
