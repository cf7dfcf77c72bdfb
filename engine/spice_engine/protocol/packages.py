"""Requests and answers about packages, versions of policies, and trust."""

from __future__ import annotations

from dataclasses import field

from spice_engine.records import record


@record
class ExportPod:
    """Write a trained pod into a `.spicepod` file.

    `directory` is relative to the app folder and must lie inside it; `filename` is by default
    `<pod>.spicepod`; `alias` says which version of the policy goes with it.
    """

    pod: str
    directory: str = "."
    filename: str = ""
    alias: str = "latest"
    overwrite: bool = False


@record
class Exported:
    """A package that was written: its path relative to the app folder, and its size in bytes."""

    path: str
    bytes: int
    policy_version: int
    notes: list[str] = field(default_factory=list[str])


@record
class ImportPod:
    """Take in a `.spicepod` file: one inside the app folder, or its bytes (base64 in JSON).

    `pod`, where given, must be the name of the pod in it. The policy gets the name `alias`
    besides `latest`. With `overwrite` a pod of that name is replaced.
    """

    path: str = ""
    data: bytes = b""
    pod: str = ""
    alias: str = "latest"
    overwrite: bool = False


@record
class Imported:
    """A pod that was taken in, with the files written; no `policy_version`: it is untrained."""

    pod: str
    policy_version: int | None
    files: list[str]
    notes: list[str] = field(default_factory=list[str])
    trust_reset: bool = False


@record
class AddPackage:
    """Add a package: `samples/serverops`, a folder, an address, `git+URL#path@ref`, `org/pod@2`.

    With `force` files that are there with other content are written over.
    """

    reference: str
    force: bool = False


@record
class AddLocked:
    """Add all packages of `spice.lock` again, exactly as they were."""

    force: bool = False


@record
class AddedPackage:
    """A package that was added. `files` are all of it, `changed` those that were written."""

    name: str
    version: str
    source: str
    sha256: str
    files: list[str]
    changed: list[str]
    trust_reset: bool = False


@record
class AddedPackages:
    """Packages that were added, by name."""

    packages: list[AddedPackage]


@record
class SearchPackages:
    """Packages of all registries whose name or summary holds all words of `text`."""

    text: str = ""


@record
class PackageInfo:
    """A package of a registry, in its newest version."""

    name: str
    version: str
    summary: str
    registry: str


@record
class PackageList:
    """Packages found, built-in ones first, and the registries that could not be asked."""

    packages: list[PackageInfo]
    failures: list[str]


@record
class PublishPod:
    """Write a pod's package into a registry that is a folder.

    `name` is by default the pod's, `version` the next whole number.
    """

    pod: str
    registry: str
    name: str = ""
    version: str = ""
    summary: str = ""


@record
class Published:
    """A version that a registry has now; `commit` is empty where it lies in no repository."""

    name: str
    version: str
    file: str
    sha256: str
    commit: str
    files: list[str]


@record
class PolicyVersion:
    """One version of a pod's policy. `created` is Unix seconds; no `training`: imported."""

    version: int
    algorithm: str
    created: float
    training: int | None
    aliases: list[str]
    held_out: float | None
    serving: bool


@record
class PolicyVersions:
    """The versions of a pod's policy, newest first; `best` is the one judged best, if any was."""

    versions: list[PolicyVersion]
    best: int | None


@record
class Aliases:
    """The names of a pod's versions."""

    aliases: dict[str, int]


@record
class SetAlias:
    """Name a version (by number, or by another name it has); `latest` makes the pod serve it."""

    pod: str
    alias: str
    version: str


@record
class RemoveAlias:
    """Take a name away; the version stays."""

    pod: str
    alias: str


@record
class Rollback:
    """Serve an earlier version again, until the pod is trained; without one, the one before."""

    pod: str
    version: str = ""


@record
class SetTrust:
    """Trust this app folder's code, or trust it no more."""

    trusted: bool


@record
class CodeFile:
    """A file whose code runs when the pods are trained; `exists` is False where it is missing."""

    path: str
    pods: list[str]
    exists: bool


@record
class TrustedFolderInfo:
    """A folder whose code may run, since Unix seconds."""

    path: str
    since: float


@record
class TrustStatus:
    """Whether this folder's code may run, what of it would, and all folders that are trusted.

    `for_this_process` says that the engine was started with `--trust`.
    """

    folder: str
    trusted: bool
    code: list[CodeFile]
    folders: list[TrustedFolderInfo]
    for_this_process: bool = False
