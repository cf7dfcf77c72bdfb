"""All pods of an app folder: found, loaded, trained when something changed, and asked.

Each pod has one task that brings it up to date: manifest, data, then training if the
fingerprint of all that is not that of its policy. A change meanwhile is remembered and looked
at once more afterwards, so the newest wins and nothing is trained twice for nothing.
"""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import logging
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from spice_engine.errors import Conflict, InvalidManifest, NotFound, NotTrained, SpiceError
from spice_engine.events import Bus
from spice_engine.operations import internal_error
from spice_engine.pods.live import Pod, problem_of
from spice_engine.pods.manifests import FOLDER, ManifestFile, find_manifests, read_manifest
from spice_engine.pods.training import LATEST, Trainings
from spice_engine.pods.upkeep import Upkeep, Wish, release, stamps
from spice_engine.pods.watcher import Watcher
from spice_engine.protocol.location import Location
from spice_engine.protocol.pods import PodInfo, ProblemInfo, Recommendation, TrainingInfo
from spice_engine.settings import Settings
from spice_engine.store import policies as policy_table
from spice_engine.store.database import Database
from spice_engine.store.objects import ObjectStore
from spice_engine.store.policies import PolicyRow
from spice_engine.workers.pool import ChildPool

if TYPE_CHECKING:
    from spice_engine.learning.policy import Policy

log = logging.getLogger(__name__)

CACHED_POLICIES = 32
"""Policies other than the newest of each pod that stay in memory."""
DUPLICATE = "duplicate_pod"

SHORT_SECONDS = 1.0
"""A training that has taken longer than this gives way to a newer manifest."""


class Pods:
    """The service behind the operations on pods."""

    def __init__(
        self,
        location: Location,
        settings: Settings,
        database: Database,
        objects: ObjectStore,
        loaders: ChildPool,
        trainers: ChildPool,
        bus: Bus,
    ) -> None:
        self.location = location
        self._database = database
        self.trainings = Trainings(database, objects, trainers, bus)
        self._upkeep = Upkeep(
            location, settings, database, objects, loaders, self.trainings, self._publish
        )
        self._pods: dict[str, Pod] = {}
        self._by_path: dict[Path, str] = {}
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._works: dict[str, asyncio.Task[TrainingInfo | None]] = {}
        self._superseded: set[str] = set()
        self._stale: set[str] = set()
        self._wishes: dict[str, Wish] = {}
        self._policies: dict[tuple[str, int], Policy] = {}
        self._topic = bus.topic("pods", "state", self._snapshot)
        self._watcher = Watcher(self._changed)
        self._scanning = asyncio.Lock()
        self._closed = False

    # -- what is known

    @property
    def busy(self) -> bool:
        """Whether something is being loaded or trained."""
        return bool(self._tasks)

    def names(self) -> list[str]:
        """All pods, by name."""
        return sorted(self._pods)

    def get(self, name: str) -> Pod:
        """The pod of that name.

        Raises:
            NotFound: there is none.
        """
        try:
            return self._pods[name]
        except KeyError:
            known = ", ".join(self.names()) or "none; `spice-tui add samples/serverops` adds one"
            raise NotFound(f"there is no pod {name!r}.", hint=f"Pods: {known}.") from None

    def info(self, name: str) -> PodInfo:
        """One pod as it crosses the doors."""
        return self.get(name).info(self.location.root)

    def _snapshot(self) -> dict[str, Any]:
        return {name: dataclasses.asdict(self.info(name)) for name in self.names()}

    def _publish(self, pod: Pod) -> None:
        if self._pods.get(pod.name) is pod:
            self._topic.set(pod.name, pod.info(self.location.root))

    # -- opening, watching, closing

    async def open(self) -> None:
        """Learn what the store knows and which pods there are; they load in the background."""
        await self.trainings.open()
        await self.rescan()

    async def close(self) -> None:
        """Stop watching and training; what is under way is recorded as interrupted."""
        self._closed = True
        await self._watcher.close()
        tasks = list(self._tasks.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self.trainings.close()
        for pod in self._pods.values():
            if pod.table is not None:
                release(pod.table)

    def _watch(self) -> None:
        """Watch the folders of manifests and data, and those above, where they come and go."""
        root = self.location.root
        folders = {root, root / FOLDER}
        for pod in self._pods.values():
            if pod.manifest is not None:
                for file in self._upkeep.files(pod.manifest):
                    folders.update(_way_to(file, root))
        self._watcher.watch(folders)

    async def _changed(self, paths: frozenset[Path]) -> None:
        """Look at files that changed, and at all in folders of which that may be so."""
        pods = self.location.root / FOLDER
        if not paths.isdisjoint((self.location.root, pods)) or any(p.parent == pods for p in paths):
            await self.rescan()
        for pod in tuple(self._pods.values()):
            if pod.manifest is None:
                continue
            files = self._upkeep.files(pod.manifest)
            if not paths.isdisjoint(files) or (
                any(not paths.isdisjoint(file.parents) for file in files)
                and pod.stamps != await asyncio.to_thread(stamps, files)
            ):
                self._refresh(pod.name)

    async def rescan(self) -> None:
        """Bring the set of pods up to date with the files there are."""
        async with self._scanning:
            found = await asyncio.to_thread(find_manifests, self.location.root)
            for path in set(self._by_path) - found.keys():
                self._forget(path)
            for path, file in found.items():
                known = self._pods.get(self._by_path.get(path, ""))
                if known is not None and known.text_hash == file.digest and not _clashes(known):
                    continue
                try:
                    await self._take_manifest(path, file)
                except Exception:
                    # A defect of ours that one manifest brings out must not stop the others.
                    log.exception("%s could not be taken in", path.name)
            self._watch()

    def _forget(self, path: Path) -> None:
        name = self._by_path.pop(path)
        pod = self._pods.pop(name, None)
        wish = self._wishes.pop(name, None)
        if wish is not None:
            wish.fail(NotFound(f"pod {name!r} was removed."))
        if pod is not None:
            self._stale.discard(name)
            task = self._tasks.get(name)
            if task is not None:
                task.cancel()
            if pod.table is not None:
                release(pod.table)
            self._topic.remove(name)
            log.info("pod %s removed: %s", name, path.name)

    async def _take_manifest(self, path: Path, found: ManifestFile) -> None:
        file = str(path.relative_to(self.location.root))
        manifest, problems = await asyncio.to_thread(
            read_manifest, found.text, file, found.unreadable
        )
        known = self._by_path.get(path, "")
        name = manifest.name if manifest else known or path.stem
        owner = next((p for p, n in self._by_path.items() if n == name and p != path), None)
        if owner is not None:
            clash = ProblemInfo(
                DUPLICATE, "error", f"{owner.name} has a pod named {name!r} already.", file
            )
            name, manifest, problems = known or path.stem, None, (*problems, clash)
            if self._by_path.get(owner) == name:
                log.error("%s", clash)
                return
        if known and known != name:
            self._forget(path)
        pod = self._pods.get(name)
        if pod is None:
            pod = self._pods[name] = Pod(name, path)
        self._by_path[path] = name
        pod.path, pod.text_hash, pod.manifest_problems = path, found.digest, problems
        for problem in problems:
            log.log(
                logging.ERROR if problem.severity == "error" else logging.WARNING, "%s", problem
            )
        if manifest is not None:
            pod.manifest = manifest
            self._supersede(pod)
            self._refresh(name)
        self._publish(pod)

    # -- bringing one pod up to date

    def _refresh(self, name: str) -> None:
        """Look at the pod (again) soon; the newest state of everything counts."""
        if self._closed:
            return
        self._stale.add(name)
        if name not in self._tasks:
            task = asyncio.create_task(self._bring_up_to_date(name), name=f"pod {name}")
            self._tasks[name] = task
            task.add_done_callback(lambda done: self._done(name, done))

    def _supersede(self, pod: Pod) -> None:
        """End a long training of the manifest before this one; one asked for by name goes on.

        A short one may end by itself: the next begins right after it.
        """
        work = self._works.get(pod.name)
        if (
            work is not None
            and pod.name not in self._wishes
            and pod.training is not None
            and time.monotonic() - pod.training_since > SHORT_SECONDS
        ):
            log.info("pod %s: training %s gives way to a newer manifest", pod.name, pod.training)
            self._superseded.add(pod.name)
            work.cancel("A newer manifest came.")

    def _done(self, name: str, task: asyncio.Task[None]) -> None:
        if self._tasks.get(name) is task:
            del self._tasks[name]
        if self._closed and (wish := self._wishes.pop(name, None)) is not None:
            wish.fail(Conflict("the engine is stopping."))
        error = None if task.cancelled() else task.exception()
        if error is not None:
            log.error("pod %s failed", name, exc_info=error)
        pod = self._pods.get(name)
        if pod is not None:
            pod.loading, pod.training = False, None
            self._publish(pod)
            if name in self._stale:
                self._refresh(name)  # it changed, or came again, while the task ended

    async def _bring_up_to_date(self, name: str) -> None:
        while name in self._stale and (pod := self._pods.get(name)) is not None:
            self._stale.discard(name)
            wish = self._wishes.get(name)
            manifest = pod.manifest
            if manifest is None:
                continue
            work = asyncio.create_task(self._upkeep.run(pod, manifest, wish), name=f"work {name}")
            self._works[name] = work
            try:
                info = await work
            except SpiceError as error:
                log.error("pod %s: %s", name, error)
                self._failed(pod, wish, error)
            except asyncio.CancelledError:
                if wish is not None:
                    wish.fail(Conflict("the training was interrupted."))
                if name not in self._superseded:
                    raise
            except Exception as error:
                # A defect of ours: whoever waits is told so, and the pod can be tried again.
                log.exception("pod %s failed", name)
                self._failed(pod, wish, internal_error(error))
            else:
                pod.training_problem = None
                if wish is not None and info is not None:
                    wish.done.set_result(info)
            finally:
                del self._works[name]
                self._superseded.discard(name)
                if wish is not None and self._wishes.get(name) is wish:
                    del self._wishes[name]
            pod.loading, pod.training = False, None
            self._publish(pod)

    def _failed(self, pod: Pod, wish: Wish | None, error: SpiceError) -> None:
        pod.training_problem = problem_of(error, pod.path.name)
        if wish is not None:
            wish.fail(error)

    # -- what people ask for

    def train(self, name: str, algorithm: str, episodes: int | None) -> Wish:
        """Train the pod now; the wish tells its number and, at the end, its record.

        Raises:
            NotFound: no such pod.
            Conflict: a training of it is under way or asked for.
            InvalidManifest: its manifest cannot be used.
        """
        pod = self.get(name)
        if self._closed:
            raise Conflict("the engine is stopping.")
        if pod.training is not None or name in self._wishes:
            raise Conflict(f"{name} -> training is already in progress")
        if pod.manifest is None:
            raise InvalidManifest(
                f"the manifest of {name!r} has errors.",
                hint=f"spice-tui lint {name} shows them.",
                problems=[dataclasses.asdict(problem) for problem in pod.manifest_problems],
            )
        loop = asyncio.get_running_loop()
        wish = Wish(algorithm, episodes, loop.create_future(), loop.create_future())
        self._wishes[name] = wish
        self._refresh(name)
        return wish

    async def recommend(
        self, name: str, at: int | None, alias: str, *, explain: bool
    ) -> Recommendation:
        """What to do, by the policy `alias` names.

        Raises:
            NotFound: no such pod or alias.
            NotTrained: it has no policy, or no data, yet.
        """
        pod = self.get(name)
        if alias == LATEST:
            policy, version = pod.policy, pod.policy_version
        else:
            policy, version = await self._policy_of(name, alias)
        if policy is None or version is None:
            if pod.state == "failed":
                message = f"pod {name!r} could not be trained: it has no policy to ask."
                raise NotTrained(message, hint=pod.first_error)
            raise NotTrained("Please wait to get a recommendation until after training completes")
        return pod.recommend(policy, version, at, tag=alias, explain=explain)

    async def _policy_of(self, name: str, alias: str) -> tuple[Policy, int]:
        row = await self._database.read(
            lambda connection: policy_table.get_by_alias(connection, name, alias)
        )
        number = alias.removeprefix("v")
        if row is None and number.isascii() and number.isdecimal() and len(number) < 19:
            with contextlib.suppress(NotFound):
                row = await self._database.read(
                    lambda connection: policy_table.get(connection, name, int(number))
                )
        if row is None:
            raise TagNotFound(f"pod {name!r} has no version tagged {alias!r}.")
        return await self._cached_policy(name, row), row.version

    async def _cached_policy(self, name: str, row: PolicyRow) -> Policy:
        key = (name, row.version)
        if key not in self._policies:
            self._policies[key] = await self._upkeep.policy(row)
            while len(self._policies) > CACHED_POLICIES:
                del self._policies[next(iter(self._policies))]
        return self._policies[key]


class TagNotFound(NotFound):
    """No policy of the pod has that alias."""

    code = "tag_not_found"
    http_status = 400


def _clashes(pod: Pod) -> bool:
    return any(problem.code == DUPLICATE for problem in pod.manifest_problems)


def _way_to(file: Path, root: Path) -> Iterator[Path]:
    """The folders from the file's own up to the app folder, or to the one above its own."""
    inside = file.is_relative_to(root)
    for depth, folder in enumerate(file.parents):
        yield folder
        if folder == root or (depth and not inside):
            return
