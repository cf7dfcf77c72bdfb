"""The operations behind an editor of manifests: texts, findings, completion, explanations."""

from __future__ import annotations

import asyncio
import dataclasses
from pathlib import Path

from spice_engine.data.connectors.gym import NAME as GYM
from spice_engine.errors import InvalidRequest
from spice_engine.operations import operation
from spice_engine.pods import completing, hovering, manifest_texts
from spice_engine.pods.edit_operations import Manifests
from spice_engine.pods.environments import named_problems
from spice_engine.pods.manifests import MAX_MANIFEST_BYTES, read_manifest
from spice_engine.pods.outline import Outline
from spice_engine.pods.previews import Previews
from spice_engine.pods.service import Pods
from spice_engine.pods.yaml_scan import scan
from spice_engine.protocol.authoring import (
    Checked,
    Completions,
    Hover,
    ManifestText,
    PreviewInfo,
    ReadManifest,
    Saved,
    SaveManifest,
    StartPreview,
    TextPosition,
    UnsavedManifest,
)
from spice_engine.protocol.engine import Nothing
from spice_engine.protocol.pods import PodName, ProblemInfo

REWARD_FILE = "reward_funcs"
"""Stands in a manifest with rewards in a file."""


class Authoring:
    """Reads, checks and saves manifests for editors, one save at a time."""

    def __init__(self, pods: Pods, manifests: Manifests, previews: Previews) -> None:
        self._pods = pods
        self.previews = previews
        self._root = pods.location.root
        self._manifests = manifests

    async def read(self, request: ReadManifest) -> ManifestText:
        """A manifest's text as it is on disk.

        Raises:
            InvalidRequest: neither a pod nor a manifest of this folder is named.
            NotFound: no such pod, or the file cannot be read.
            InvalidManifest, TooLarge: it is no text, or too long for a manifest.
        """
        if request.pod:
            path = self._pods.get(request.pod).path
        elif request.path:
            path = await asyncio.to_thread(manifest_texts.manifest_path, self._root, request.path)
        else:
            raise InvalidRequest("pod or path: one of them must be given.")
        return await asyncio.to_thread(
            manifest_texts.read_text, self._root, path, request.pod or self._pods.name_at(path)
        )

    async def save(self, request: SaveManifest) -> Saved:
        """Write a manifest; its pod is brought up to date from this moment on.

        Raises:
            InvalidRequest: the path is no manifest's.
            ChangedOnDisk: the file is not the one that was edited.
            StorageError: it cannot be written; what was there is untouched.
        """
        path = await asyncio.to_thread(manifest_texts.manifest_path, self._root, request.path)
        async with self._manifests.editing:
            digest = await asyncio.to_thread(
                manifest_texts.save_text, path, request.text, request.base, force=request.force
            )
        self.previews.saved(self._pods.name_at(path), str(path.relative_to(self._root)))
        # Not left to the watcher, which waits for a burst of changes to end.
        await self._pods.rescan()
        name = self._pods.name_at(path)
        problems: list[ProblemInfo] = []
        if name:
            problems = list(self._pods.get(name).manifest_problems)
        return Saved(name, request.path, digest, problems)

    def check(self, request: UnsavedManifest) -> Checked:
        """What is wrong with an unsaved text, and what is in it. Blocks."""
        text = request.text
        try:
            data = text.encode()
        except UnicodeEncodeError:
            wrong = ProblemInfo("not_utf8", "error", "holds half a character.", request.path, 1, 1)
            return Checked("", [wrong], [], [], [])
        manifest, problems = read_manifest(data, request.path)
        if len(data) > MAX_MANIFEST_BYTES:
            return Checked("", list(problems), [], [], [])
        outline = Outline(scan(text))
        if manifest is None:
            fields = [one.name for one in outline.fields]
            actions = [name for name, _ in outline.actions]
        else:
            fields, actions = list(manifest.fields), list(manifest.action_names)
        name = manifest.name if manifest else outline.scan.value("name")
        valid = manifest is not None
        return Checked(
            name or Path(request.path).stem, list(problems), outline.items(), fields, actions, valid
        )

    async def check_whole(self, request: UnsavedManifest) -> Checked:
        """The same, and what is wrong with an environment or a file that is named in it."""
        checked = await asyncio.to_thread(self.check, request)
        if not checked.valid or (GYM not in request.text and REWARD_FILE not in request.text):
            return checked
        manifest, _ = await asyncio.to_thread(read_manifest, request.text.encode(), request.path)
        more = await named_problems(self._pods.pools.trainers, self._root, manifest)
        valid = all(problem.severity != "error" for problem in more)
        return dataclasses.replace(checked, problems=[*checked.problems, *more], valid=valid)

    def complete(self, place: TextPosition) -> Completions:
        """What can be inserted at a place. Blocks."""
        if len(place.text) > MAX_MANIFEST_BYTES:
            return Completions(max(place.column, 1), [])
        return completing.complete(place, self._root)

    def hover(self, place: TextPosition) -> Hover:
        """What stands at a place, explained. Blocks."""
        return Hover() if len(place.text) > MAX_MANIFEST_BYTES else hovering.hover(place)


@operation("manifests.read", http="GET /api/v1/manifest")
async def read(authoring: Authoring, request: ReadManifest) -> ManifestText:
    """Give a manifest's text, by pod or by path, with what tells it from other texts."""
    return await authoring.read(request)


@operation("manifests.save", http="PUT /api/v1/manifest")
async def save(authoring: Authoring, request: SaveManifest) -> Saved:
    """Write a manifest, unless it was changed by somebody else meanwhile; its pod is retrained."""
    return await authoring.save(request)


@operation("manifests.check", http="POST /api/v1/manifest/check")
async def check(authoring: Authoring, request: UnsavedManifest) -> Checked:
    """Check the text of a manifest that is not saved, and tell what is in it."""
    authoring.previews.prepare()
    return await authoring.check_whole(request)


@operation("manifests.complete", http="POST /api/v1/manifest/complete")
async def complete(authoring: Authoring, request: TextPosition) -> Completions:
    """List what can be inserted at a place of a manifest that is not saved, best first."""
    return await asyncio.to_thread(authoring.complete, request)


@operation("manifests.hover", http="POST /api/v1/manifest/hover")
async def hover(authoring: Authoring, request: TextPosition) -> Hover:
    """Explain what stands at a place of a manifest that is not saved."""
    return await asyncio.to_thread(authoring.hover, request)


@operation("previews.start", http="POST /api/v1/pods/{pod}/preview")
async def start_preview(previews: Previews, request: StartPreview) -> PreviewInfo:
    """Train a manifest that is not saved, beside the saved pod; nothing of it is stored."""
    return await previews.start(request)


@operation("previews.end", http="DELETE /api/v1/pods/{pod}/preview")
def end_preview(previews: Previews, request: PodName) -> Nothing:
    """End a pod's preview, if there is one."""
    previews.end(request.pod)
    return Nothing()
