"""Adds packages to the app folder, searches registries for them, and publishes pods."""

from __future__ import annotations

import asyncio
import os
import tempfile
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

from spice_engine.errors import Conflict, Overloaded
from spice_engine.pods import lockfile, plan
from spice_engine.pods.app_files import named_files
from spice_engine.pods.deadline import Deadline
from spice_engine.pods.exporter import usable_manifest
from spice_engine.pods.install import Content, Staged
from spice_engine.pods.lockfile import ChecksumMismatch, LockedPackage
from spice_engine.pods.manifests import FOLDER
from spice_engine.pods.package_parts import PodsService
from spice_engine.pods.references import Reference
from spice_engine.pods.registry import Fetched, Registries, first_words
from spice_engine.pods.registry_publish import NewVersion, publish
from spice_engine.pods.trust import Trust
from spice_engine.protocol.location import Location
from spice_engine.protocol.packages import AddedPackage, PackageInfo, PackageList, PublishPod

T = TypeVar("T")

SECONDS = 120.0
"""Longest that one request may take, networks included."""
THREADS = 2
WAITING = 16
"""Requests that may be under way or wait for a thread."""


class Catalogue:
    """The service behind adding, searching and publishing. `close` it at the end.

    Networks are slow: the work has threads of its own, so that nothing else waits for it.
    """

    def __init__(
        self, location: Location, registries: Sequence[str], pods: PodsService, trust: Trust
    ) -> None:
        self._location = location
        self._registries = tuple(registries)
        self._pods = pods
        self._trust = trust
        self._stop = threading.Event()
        self._threads = ThreadPoolExecutor(THREADS, thread_name_prefix="registry")
        self._waiting = 0
        self._writing = threading.Lock()

    async def close(self) -> None:
        """Give up what is under way; a file that is being written is written to its end."""
        self._stop.set()
        await asyncio.to_thread(self._threads.shutdown, cancel_futures=True)

    async def add(self, reference: str, *, force: bool) -> AddedPackage:
        """Get a package and put its files into the app folder; the lock file notes it.

        Raises:
            InvalidRequest: `reference` cannot name a package.
            NotFound: no registry has it.
            Exists: files with other content are there, and `force` is not set.
            ChecksumMismatch: it is not what its registry, or the lock file, says.
            SpiceError: it cannot be got or used.
        """
        parsed = Reference.parse(reference)
        added = await self._run(lambda deadline: self._add(parsed, deadline, force=force))
        await self._pods.rescan()
        return added

    async def add_locked(self, *, force: bool) -> list[AddedPackage]:
        """Add all packages of the lock file as they were when they were added.

        Raises:
            ChecksumMismatch: one is something else now; those before it are there.
            SpiceError: as `add`.
        """
        known = await asyncio.to_thread(lockfile.read, self._location.root)
        added: list[AddedPackage] = []
        try:
            for package in known.values():
                parsed = Reference.parse(package.reference)
                added.append(
                    await self._run(
                        lambda deadline, parsed=parsed, package=package: self._add(
                            parsed, deadline, force=force, locked=package
                        )
                    )
                )
        finally:
            if added:
                await self._pods.rescan()
        return added

    async def search(self, text: str) -> PackageList:
        """Packages whose name or summary holds all words of `text`, of all registries."""

        def work(deadline: Deadline) -> PackageList:
            offers, failures = self._open(deadline).search(text)
            return PackageList(
                [
                    PackageInfo(offer.name, offer.version, offer.summary, offer.registry)
                    for offer in offers
                ],
                failures,
            )

        return await self._run(work)

    async def publish(self, request: PublishPod) -> tuple[NewVersion, list[str]]:
        """Write a pod's package into a registry's folder; the new version, and what is in it.

        Raises:
            NotFound: no such pod or folder.
            InvalidManifest: the pod's manifest has errors.
            Conflict: the registry has that version with other content, or the pod reads a file
                that is missing or outside of the app folder.
        """
        pod = self._pods.get(request.pod)
        manifest = usable_manifest(pod)
        root = self._location.root

        def work(deadline: Deadline) -> tuple[NewVersion, list[str]]:
            named = named_files(manifest, root)
            for path in plan.files(manifest, root):
                if os.path.relpath(path, root) not in named:
                    raise Conflict(
                        f"the pod reads {path}, which is missing or outside of the app folder.",
                        hint="Put it inside, and name it by a relative path.",
                    )
            files = {path: root / path for path in named}
            files[f"{FOLDER}/{pod.path.name}"] = pod.path
            published = publish(
                Path(root, request.registry).expanduser(),
                request.name or request.pod,
                request.version,
                request.summary or first_words(pod.path),
                files,
                deadline,
            )
            return published, sorted(files)

        return await self._run(work)

    # -- in a thread

    def _open(self, deadline: Deadline) -> Registries:
        return Registries(self._registries, self._location.root, self._scratch, deadline)

    @property
    def _scratch(self) -> Path:
        return self._location.state / "tmp"

    def _add(
        self,
        reference: Reference,
        deadline: Deadline,
        *,
        force: bool,
        locked: LockedPackage | None = None,
    ) -> AddedPackage:
        with tempfile.TemporaryDirectory(prefix="add-", dir=self._scratch) as staging:
            fetched = self._open(deadline).fetch(reference, Path(staging) / "files")
            deadline.check("the engine")
            # Two that are added at once must not look at each other's half.
            with self._writing:
                return self._put(fetched, force=force, locked=locked)

    def _put(self, fetched: Fetched, *, force: bool, locked: LockedPackage | None) -> AddedPackage:
        root, package = self._location.root, fetched.package
        if not force:
            lockfile.check(root, package)
            if locked is not None and locked.sha256 != package.sha256:
                raise ChecksumMismatch(
                    f"{locked.name} from {locked.reference} is not what it was when it was added.",
                    hint="Add it by hand to see what it is now; --force takes it anyway.",
                )
        files: dict[str, Content] = dict(fetched.files)
        staged = Staged(root, files, force=force)
        try:
            code = any(path.endswith(".py") for path in staged.changed)
            # Before the code is there: what came from elsewhere never runs unasked.
            reset = code and self._trust.revoke(root)
            staged.commit()
        finally:
            staged.close()
        lockfile.note(root, package)
        return AddedPackage(
            package.name,
            package.version,
            package.source,
            package.sha256,
            list(fetched.files),
            list(staged.changed),
            reset,
        )

    async def _run(self, work: Callable[[Deadline], T]) -> T:
        if self._waiting >= WAITING:
            raise Overloaded(f"{WAITING} packages are being looked for already.", hint="Wait.")
        self._waiting += 1
        try:
            loop = asyncio.get_running_loop()
            return await loop.run_in_executor(
                self._threads, lambda: work(Deadline(SECONDS, self._stop))
            )
        except RuntimeError as error:  # the pool is closed
            if self._stop.is_set():
                raise Conflict("the engine is stopping.") from error
            raise
        finally:
            self._waiting -= 1
