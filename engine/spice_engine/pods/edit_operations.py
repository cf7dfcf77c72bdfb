"""The operations that edit manifests: the file is linted first, then replaced as a whole."""

from __future__ import annotations

import asyncio
import re
from collections import Counter
from collections.abc import Awaitable, Callable
from pathlib import Path

from spice_engine.app_folder import write_atomically
from spice_engine.errors import Conflict, InvalidManifest, InvalidRequest, NotFound, StorageError
from spice_engine.operations import operation
from spice_engine.pods import edit_manifest, json_schema
from spice_engine.pods.edit_manifest import NewDataspace
from spice_engine.pods.manifest import parse_manifest
from spice_engine.pods.manifests import (
    FOLDER,
    MAX_MANIFEST_BYTES,
    ManifestFile,
    find_manifests,
    read_manifest,
)
from spice_engine.pods.problems import Problem
from spice_engine.pods.starter import starter
from spice_engine.protocol.edits import AddAction, AddDataspace, AddRewards, Edited, InitPod
from spice_engine.protocol.location import Location
from spice_engine.yaml_tree import Mapping as MappingNode
from spice_engine.yaml_tree import Scalar, YamlError, read_tree

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}", re.ASCII)

Edit = Callable[[str, str], str]
"""A manifest's text and its file's name to the text after the edit."""


class Manifests:
    """Edits the manifests of one app folder, one edit at a time.

    `changed` is called when a file was written, so that the pod is known before that is answered.
    """

    def __init__(self, location: Location, changed: Callable[[], Awaitable[None]]) -> None:
        self._location = location
        self._changed = changed
        self.editing = asyncio.Lock()
        """Held by whoever writes a manifest."""

    @property
    def schema(self) -> Path:
        """The JSON Schema that editors read; it lies with the state, so that it works offline."""
        return self._location.state / json_schema.FILE

    async def write_schema(self) -> None:
        """Bring the folder's JSON Schema up to this version.

        Raises:
            StorageError: it cannot be written.
        """
        await asyncio.to_thread(self._write_schema)

    async def init(self, name: str, *, replace: bool) -> Edited:
        """Write a new manifest.

        Raises:
            InvalidRequest: the name is none.
            Conflict: it is there already, or another manifest has the name.
            StorageError: the folder cannot be written.
        """
        if not _NAME.fullmatch(name):
            raise InvalidRequest(
                f"{name[:200]!r} cannot name a pod.",
                hint="It begins with a letter or digit and goes on with those, '.', '_' or '-'.",
            )
        async with self.editing:
            answer = await asyncio.to_thread(self._init, name, replace=replace)
        await self._changed()
        return answer

    async def edit(self, pod: str, text: str | None, edit: Edit) -> Edited:
        """Edit the manifest of a pod (empty: of the only one), or `text` in its place.

        Raises:
            NotFound: no such pod.
            InvalidRequest: no pod was named, and there are several.
            InvalidManifest: the file is no YAML, or the edit would bring errors into it.
            Conflict: the edit does not fit, or somebody else wrote the file meanwhile.
            StorageError: the file cannot be read or written.
        """
        async with self.editing:
            answer = await asyncio.to_thread(self._edit, pod, text, edit)
        if text is None:
            await self._changed()
        return answer

    # -- in a thread

    def _write_schema(self) -> None:
        text = json_schema.as_text()
        try:
            if self.schema.read_text(encoding="utf-8") == text:
                return
        except (OSError, UnicodeDecodeError):
            pass  # not there yet, or broken: written anew
        write_atomically(self.schema, text)

    def _init(self, name: str, *, replace: bool) -> Edited:
        folder = self._location.root / FOLDER
        path = folder / f"{name.lower()}.yaml"
        file = str(path.relative_to(self._location.root))
        there = path.exists() or path.is_symlink()
        if there and not replace:
            raise Conflict(
                f"Pod manifest already exists at {file}.", hint="Replace it with --force."
            )
        for other, found in find_manifests(self._location.root).items():
            if other != path and _name_of(found, other) == name:
                raise Conflict(
                    f"the pod '{name}' exists already, in {other.name}.", hint="Use another name."
                )
        try:
            folder.mkdir(exist_ok=True)
        except OSError as error:
            raise StorageError(f"{folder} cannot be made: {error.strerror}.") from error
        self._write_schema()
        text = starter(name, self._schema_reference())
        write_atomically(path, text)
        return _edited(name, file, text)

    def _schema_reference(self) -> str:
        """The schema as seen from `spicepods/`; the state may be elsewhere."""
        root = self._location.root
        if self.schema.is_relative_to(root):
            return f"../{self.schema.relative_to(root).as_posix()}"
        return self.schema.as_uri()

    def _edit(self, pod: str, text: str | None, edit: Edit) -> Edited:
        path, found = self._find(pod)
        file = str(path.relative_to(self._location.root))
        before = _decoded(found, file) if text is None else text
        if len(before.encode("utf-8", "surrogatepass")) > MAX_MANIFEST_BYTES:
            raise InvalidManifest(f"{file} is over {MAX_MANIFEST_BYTES} bytes.")
        after = edit(before, file)
        _refuse_new_errors(before, after, file)
        if text is None:
            self._replace(path, found, after)
        return _edited(_name_of(ManifestFile(after.encode()), path), file, after)

    def _replace(self, path: Path, found: ManifestFile, text: str) -> None:
        """Write the file anew; a link goes on leading to it."""
        target = path.resolve()
        try:
            if target.read_bytes() != found.text:
                raise Conflict(
                    f"{path.name} was changed at the same moment.",
                    hint="Look at it, and try again.",
                )
            mode = target.stat().st_mode & 0o777
        except OSError as error:
            raise StorageError(f"{path.name} cannot be read: {error.strerror}.") from error
        write_atomically(target, text, mode=mode)

    def _find(self, pod: str) -> tuple[Path, ManifestFile]:
        root = self._location.root
        manifests = {
            path: found for path, found in find_manifests(root).items() if not found.unreadable
        }
        if not manifests:
            raise NotFound(
                "No pods detected!", hint="Begin one: spice-tui init NAME; or add a sample."
            )
        named = [(_name_of(found, path), path, found) for path, found in manifests.items()]
        names = sorted(name for name, _, _ in named)
        if not pod and len(named) > 1:
            raise InvalidRequest(
                "there are several pods.", hint=f"Name one with --pod: {', '.join(names)}."
            )
        for name, path, found in named:
            if pod in ("", name):
                return path, found
        raise NotFound(f"there is no pod {pod[:200]!r}.", hint=f"There are: {', '.join(names)}.")


def _name_of(found: ManifestFile, path: Path) -> str:
    """The pod's name by its manifest, which need not be free of errors."""
    try:
        tree, _ = read_tree(found.text.decode("utf-8-sig"), path.name)
    except (YamlError, UnicodeDecodeError):
        return path.stem
    entries = tree.entries if isinstance(tree, MappingNode) else ()
    for key, value in entries:
        if key.text.lower() == "name" and isinstance(value, Scalar) and value.text.strip():
            return value.text.strip()
    return path.stem


def _decoded(found: ManifestFile, file: str) -> str:
    """The text with its byte order mark, if it has one."""
    try:
        return found.text.decode("utf-8")
    except UnicodeDecodeError as error:
        raise InvalidManifest(f"{file} is not UTF-8 text.") from error


def _refuse_new_errors(before: str, after: str, file: str) -> None:
    """Errors that were there before do not stop an edit: a pod is written piece by piece."""
    known = Counter(problem.code for problem in _errors(before, file))
    found = _errors(after, file)
    new = Counter(problem.code for problem in found) - known
    if not new:
        return
    first = next(problem for problem in found if problem.code in new)
    raise InvalidManifest(
        f"the edit would bring an error into the manifest, so it was not made: {first.message}",
        problems=[problem.as_dict() for problem in found if problem.code in new],
    )


def _errors(text: str, file: str) -> list[Problem]:
    problems = parse_manifest(text.removeprefix("\ufeff"), file).problems
    return [problem for problem in problems if problem.severity == "error"]


def _edited(pod: str, file: str, text: str) -> Edited:
    _, problems = read_manifest(text.encode(), file)
    return Edited(pod, file, text, list(problems))


@operation("pods.init", http="POST /api/v1/pods")
async def init_pod(manifests: Manifests, request: InitPod) -> Edited:
    """Write a new manifest, to be filled in."""
    return await manifests.init(request.name, replace=request.replace)


@operation("pods.add_dataspace", http="POST /api/v1/pods/{pod}/dataspaces")
async def add_dataspace(manifests: Manifests, request: AddDataspace) -> Edited:
    """Add a dataspace to a pod's manifest, which keeps its comments and its form."""
    new = NewDataspace(
        request.path,
        request.measurements,
        request.categories,
        request.identifiers,
        request.connector,
        request.params,
        request.processor,
        request.processor_params,
        request.local,
    )
    return await manifests.edit(
        request.pod, request.text, lambda text, _: edit_manifest.add_dataspace(text, new)
    )


@operation("pods.add_action", http="POST /api/v1/pods/{pod}/actions")
async def add_action(manifests: Manifests, request: AddAction) -> Edited:
    """Add an action to a pod's manifest, and a reward for it where rewards are a list."""
    return await manifests.edit(
        request.pod,
        request.text,
        lambda text, _: edit_manifest.add_action(
            text, request.name, do=request.do, reward=request.reward
        ),
    )


@operation("pods.add_rewards", http="POST /api/v1/pods/{pod}/rewards")
async def add_rewards(manifests: Manifests, request: AddRewards) -> Edited:
    """Put code for the reward of each action in place of a pod's uniform rewards."""
    return await manifests.edit(request.pod, request.text, edit_manifest.add_rewards)
