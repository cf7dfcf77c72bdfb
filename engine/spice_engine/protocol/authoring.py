"""Requests and answers of an editor: texts of manifests, findings, completion, previews.

Lines and columns are 1-based and count characters; an end is exclusive.
"""

from __future__ import annotations

from dataclasses import field
from typing import Any

from spice_engine.protocol.pods import Episode, ProblemInfo
from spice_engine.records import record


@record
class ReadManifest:
    """Ask for a manifest's text, by pod, or by `path` relative to the app folder."""

    pod: str = ""
    path: str = ""


@record
class ManifestText:
    """A manifest as it is on disk; `digest` tells this text from others.

    `exists` is false for a path that has no file yet; `writable` whether it could be saved.
    """

    pod: str
    path: str
    text: str
    digest: str
    exists: bool = True
    writable: bool = True


@record
class SaveManifest:
    """Write a manifest, atomically. `base` is the digest of the text that was edited.

    A file that has changed since is not overwritten unless `force`; an empty `base`: a new file.
    """

    path: str
    text: str
    base: str = ""
    force: bool = False


@record
class Saved:
    """A manifest was written."""

    pod: str
    path: str
    digest: str
    problems: list[ProblemInfo] = field(default_factory=list[ProblemInfo])


@record
class UnsavedManifest:
    """The text of a manifest that is being written, not saved."""

    text: str
    path: str = "spicepods/unsaved.yaml"


@record
class OutlineItem:
    """A named part of a manifest. `kind`: dataspace, field, action, law, reward or test."""

    kind: str
    name: str
    line: int
    column: int = 1


@record
class Checked:
    """What is wrong with an unsaved manifest, and what is in it."""

    pod: str
    problems: list[ProblemInfo]
    outline: list[OutlineItem]
    fields: list[str]
    actions: list[str]
    valid: bool = False
    """No errors: it could be saved and trained."""


@record
class TextPosition:
    """A place in an unsaved manifest."""

    text: str
    line: int
    column: int
    path: str = "spicepods/unsaved.yaml"


@record
class Completion:
    """One thing that can be inserted. `kind`: key, value, field, action, connector, function.

    `insert` goes in place of what stands from `Completions.start_column` up to the cursor; its
    further lines are indented already.
    """

    label: str
    insert: str
    kind: str
    detail: str = ""


@record
class Completions:
    """What can be inserted at a place, best first."""

    start_column: int
    items: list[Completion]


@record
class Hover:
    """What stands at a place, explained; an empty title where there is nothing to say."""

    title: str = ""
    text: str = ""
    line: int = 0
    column: int = 0
    end_column: int = 0


@record
class StartPreview:
    """Train an unsaved manifest beside the saved pod. The newest text of a pod wins."""

    pod: str
    text: str
    path: str = "spicepods/unsaved.yaml"


@record
class PreviewInfo:
    """A preview: an item of the state topic `previews`, by pod.

    `state`: loading, training, done, failed, invalid or ended. Nothing of it is kept.
    """

    pod: str
    number: int
    state: str
    algorithm: str = ""
    started: float = 0.0
    ended: float | None = None
    episodes: list[Episode] = field(default_factory=list[Episode])
    evaluation: dict[str, Any] | None = None
    problems: list[ProblemInfo] = field(default_factory=list[ProblemInfo])
    message: str = ""
