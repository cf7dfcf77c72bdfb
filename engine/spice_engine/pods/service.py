"""All pods of an app folder: found, loaded, trained when something changed, and asked.

Each pod has one task that brings it up to date: manifest, data, then training if the
fingerprint of all that is not that of its policy. A change meanwhile is remembered and looked
at once more afterwards, so the newest wins and nothing is trained twice for nothing.
"""

from __future__ import annotations

import asyncio
import dataclasses
import logging
import time
from pathlib import Path
from typing import Any

from spice_engine.errors import (
    Conflict,
    InsufficientData,
    InvalidManifest,
    NotFound,
    SpiceError,
)
from spice_engine.events import Bus
from spice_engine.operations import internal_error
from spice_engine.pods.catching_up import CatchingUp
from spice_engine.pods.feed_findings import feed_problems, is_live
from spice_engine.pods.feeds import Feeds
from spice_engine.pods.live import Pod, problem_of
from spice_engine.pods.manifests import FOLDER, ManifestFile, find_manifests, read_manifest
from spice_engine.pods.model import Manifest, RewardFile
from spice_engine.pods.observations import ObservationStore
from spice_engine.pods.pools import PodPools
from spice_engine.pods.stored import release
from spice_engine.pods.training import Trainings
from spice_engine.pods.trust import Trust
from spice_engine.pods.upkeep import Upkeep, Wish, stamps
from spice_engine.pods.watcher import Watcher, way_to
from spice_engine.protocol.location import Location
from spice_engine.protocol.pods import PodInfo, ProblemInfo, TrainingInfo
from spice_engine.settings import Settings
from spice_engine.store.database import Database
from spice_engine.store.objects import ObjectStore

log = logging.getLogger(__name__)

DUPLICATE = "duplicate_pod"

SHORT_SECONDS = 1.0
"""A training that has taken longer than this, or has a policy, gives way to a newer manifest."""


class Pods:
    """The service behind the operations on pods."""

    def __init__(
        self,
        location: Location,
        settings: Settings,
        database: Database,
        objects: ObjectStore,
        pools: PodPools,
        trust: Trust,
        bus: Bus,
        *,
        trusted: bool = False,
    ) -> None:
        self.location = location
        self._database = database
        self._pools = pools
        self._trust = trust
        self._trusted = trusted
        self.trainings = Trainings(database, objects, pools.trainers, bus)
        self.observations = ObservationStore(location.state / "observations", pools.ingest)
        self.feeds = Feeds(
            self.observations,
            pools.fetchers,
            location.state / "tmp",
            on_status=self._feed_changed,
        )
        self.upkeep = Upkeep(
            location,
            settings,
            database,
            objects,
            pools.loaders,
            self.trainings,
            self.observations,
            self.is_trusted,
            self._publish,
        )
        self.catching_up = CatchingUp(self.upkeep)
        self._pods: dict[str, Pod] = {}
        self._by_path: dict[Path, str] = {}
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._works: dict[str, asyncio.Task[TrainingInfo | None]] = {}
        self._superseded: set[str] = set()
        self._stale: set[str] = set()
        self._wishes: dict[str, Wish] = {}
        self._topic = bus.topic("pods", "state", self._snapshot)
        self._watcher = Watcher(self._changed)
        self._scanning = asyncio.Lock()
        self._closed = False

    # -- what is known

    @property
    def busy(self) -> bool:
        """Whether something is being loaded or trained, or data come in by themselves."""
        return bool(self._tasks) or self.feeds.active

    def is_trusted(self) -> bool:
        """Whether code in the app folder may run. Blocks on a small file."""
        return self._trusted or self._trust.is_trusted(self.location.root)

    def trust_changed(self, *, trusted: bool) -> None:
        """Look again at the pods that wait for trust, or run what is trusted no more."""
        for pod in self._pods.values():
            if pod.needs_trust:
                self.refresh(pod.name)
            elif (
                not (trusted or self._trusted)
                and pod.training is not None
                and pod.manifest is not None
                and isinstance(pod.manifest.training.rewards, RewardFile)
            ):
                self._end_work(pod.name, "The folder is trusted no more.")
                self.refresh(pod.name)

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
        await self.observations.open(self._observed, self._posted)
        await self.rescan()

    async def close(self) -> None:
        """Stop watching and training; what is under way is recorded as interrupted."""
        self._closed = True
        await self._watcher.close()
        await self.feeds.close()
        tasks = list(self._tasks.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self.catching_up.close()
        await self.trainings.close()
        await self.observations.close()
        for pod in self._pods.values():
            if pod.table is not None:
                release(pod.table)

    def _watch(self) -> None:
        """Watch the folders of manifests and data, and those above, where they come and go."""
        root = self.location.root
        folders = {root, root / FOLDER}
        for pod in self._pods.values():
            if pod.manifest is not None:
                for file in self.upkeep.files(pod.manifest):
                    folders.update(way_to(file, root))
        self._watcher.watch(folders)

    async def _changed(self, paths: frozenset[Path]) -> None:
        """Look at files that changed, and at all in folders of which that may be so."""
        pods = self.location.root / FOLDER
        if not paths.isdisjoint((self.location.root, pods)) or any(p.parent == pods for p in paths):
            await self.rescan()
        for pod in tuple(self._pods.values()):
            if pod.manifest is None:
                continue
            files = self.upkeep.files(pod.manifest)
            if not paths.isdisjoint(files) or (
                any(not paths.isdisjoint(file.parents) for file in files)
                and pod.stamps != await asyncio.to_thread(stamps, files)
            ):
                self.refresh(pod.name)

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
        self.feeds.forget(name)
        if pod is not None:
            self.catching_up.forget(pod)
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
            # Its file's name may be that of the other pod, or of a third one.
            if not known and name in self._pods:
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
            pod.needs_trust = False
            self._supersede(name, self._works.get(name))
            self.feeds.follow(name, manifest)
            self._feed_changed(name)
            self.refresh(name)
        self._publish(pod)

    # -- bringing one pod up to date

    def is_working(self, name: str) -> bool:
        """Whether the pod is being brought up to date."""
        return name in self._tasks

    def refresh(self, name: str) -> None:
        """Look at the pod (again) soon; the newest state of everything counts."""
        if self._closed:
            return
        self._stale.add(name)
        if name not in self._tasks:
            task = asyncio.create_task(self._bring_up_to_date(name), name=f"pod {name}")
            self._tasks[name] = task
            task.add_done_callback(lambda done: self._done(name, done))

    def _supersede(self, name: str, work: asyncio.Task[TrainingInfo | None] | None) -> None:
        """End the work on an older manifest, unless it is a training asked for by name.

        A short training may end by itself, the next begins right after it: it has a second. So has
        one that the work still loads data for.
        """
        pod = self._pods.get(name)
        if work is None or self._works.get(name) is not work or name in self._wishes or pod is None:
            return
        left = SHORT_SECONDS
        if pod.training is not None:
            left -= time.monotonic() - pod.training_since
            if pod.training_served or left <= 0:
                log.info("pod %s: training %s gives way to a newer manifest", name, pod.training)
                self._end_work(name, "A newer manifest came.")
                return
        asyncio.get_running_loop().call_later(left, self._supersede, name, work)

    def _end_work(self, name: str, why: str) -> asyncio.Task[TrainingInfo | None] | None:
        """End the work on a pod, whoever wished for it; the pod's task goes on with what is new."""
        work = self._works.get(name)
        if work is not None:
            self._superseded.add(name)
            work.cancel(why)
        return work

    async def interrupt(self, name: str, why: str) -> None:
        """End the work on a pod, if there is any, and wait for that."""
        work = self._end_work(name, why)
        if work is not None:
            await asyncio.wait({work})

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
                self.refresh(name)  # it changed, or came again, while the task ended

    async def _bring_up_to_date(self, name: str) -> None:
        while name in self._stale and (pod := self._pods.get(name)) is not None:
            self._stale.discard(name)
            wish = self._wishes.get(name)
            manifest = pod.manifest
            if manifest is None:
                continue
            work = asyncio.create_task(self.upkeep.run(pod, manifest, wish), name=f"work {name}")
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
        problem = problem_of(error, str(pod.path.relative_to(self.location.root)))
        if isinstance(error, InsufficientData) and pod.manifest is not None and wish is None:
            # Data are still to come: nothing is wrong with the pod.
            live = any(space.data and is_live(space.data) for space in pod.manifest.dataspaces)
            problem = dataclasses.replace(problem, severity="warning") if live else problem
        pod.training_problem = problem
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
        self.manifest_of(name)
        loop = asyncio.get_running_loop()
        wish = Wish(algorithm, episodes, loop.create_future(), loop.create_future())
        self._wishes[name] = wish
        self.refresh(name)
        return wish

    def _feed_changed(self, name: str) -> None:
        """A feed of the pod fails, or works again."""
        pod = self._pods.get(name)
        if pod is not None:
            file = str(pod.path.relative_to(self.location.root))
            pod.feed_problems = tuple(feed_problems(self.feeds.status(name), file))
            self._publish(pod)

    def _posted(self, name: str) -> None:
        """Somebody posted something for a pod, and may ask by it next."""
        pod = self._pods.get(name)
        if pod is not None:
            pod.posted += 1

    def _observed(self, name: str) -> None:
        """Something was accepted for a pod: read it soon, many at once."""
        pod = self._pods.get(name)
        if pod is not None and pod.manifest is not None:
            self.refresh(name)

    def manifest_of(self, name: str) -> Manifest:
        """The manifest of a pod.

        Raises:
            NotFound: no such pod.
            InvalidManifest: it has errors.
        """
        pod = self.get(name)
        if pod.manifest is None:
            raise InvalidManifest(
                f"the manifest of {name!r} has errors.",
                hint=f"spice-tui lint {name} shows them.",
                problems=[dataclasses.asdict(problem) for problem in pod.manifest_problems],
            )
        return pod.manifest


def _clashes(pod: Pod) -> bool:
    return any(problem.code == DUPLICATE for problem in pod.manifest_problems)
