"""All pods of an app folder: found, loaded, trained when something changed, and asked.

A pod is brought up to date in turn: manifest, data, then training if the fingerprint of all that
is not that of its policy. The newest wins, and nothing is trained twice for nothing.
"""

from __future__ import annotations

import asyncio
import dataclasses
import logging
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from spice_engine.errors import (
    InvalidManifest,
    NotFound,
)
from spice_engine.events import Bus
from spice_engine.pods.catching_up import CatchingUp
from spice_engine.pods.event_logs import EventLogs
from spice_engine.pods.feed_findings import feed_problems
from spice_engine.pods.feeds import Feeds
from spice_engine.pods.live import Pod
from spice_engine.pods.manifests import FOLDER, ManifestFile, find_manifests, read_manifest
from spice_engine.pods.model import Manifest, RewardFile
from spice_engine.pods.observations import ObservationStore
from spice_engine.pods.pools import PodPools
from spice_engine.pods.stored import release
from spice_engine.pods.training import Trainings
from spice_engine.pods.trust import Trust
from spice_engine.pods.upkeep import Upkeep, Wish, stamps
from spice_engine.pods.watcher import Watcher, way_to
from spice_engine.pods.working import Works
from spice_engine.protocol.location import Location
from spice_engine.protocol.pods import PodInfo, ProblemInfo
from spice_engine.settings import Settings
from spice_engine.store.database import Database
from spice_engine.store.objects import ObjectStore

log = logging.getLogger(__name__)

DUPLICATE = "duplicate_pod"


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
        self.pools = pools
        self._trust = trust
        self._trusted = trusted
        logs = EventLogs(location.state)
        self.trainings = Trainings(database, objects, pools.trainers, bus, logs)
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
            self.refresh,
        )
        self.catching_up = CatchingUp(self.upkeep)
        self._pods: dict[str, Pod] = {}
        self._by_path: dict[Path, str] = {}
        self._works = Works(self._pods, location.root, self.upkeep, self._publish)
        self._topic = bus.topic("pods", "state", self._snapshot)
        self._watcher = Watcher(self._changed)
        self._scanning = asyncio.Lock()
        self.on_policy: Callable[[], None] | None = None
        """Called when another version of a pod's policy serves, or a pod is gone."""
        self._serving: dict[str, int | None] = {}

    # -- what is known

    @property
    def busy(self) -> bool:
        """Whether something is being loaded or trained, or data come in by themselves."""
        return self._works.any or self.feeds.active

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
                self._works.end(pod.name, "The folder is trusted no more.")
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

    def name_at(self, path: Path) -> str:
        """The name of the pod whose manifest is at `path`; empty where there is none."""
        return self._by_path.get(path, "")

    def info(self, name: str) -> PodInfo:
        """One pod as it crosses the doors."""
        return self.get(name).info(self.location.root)

    def _snapshot(self) -> dict[str, Any]:
        return {name: dataclasses.asdict(self.info(name)) for name in self.names()}

    def _publish(self, pod: Pod) -> None:
        if self._pods.get(pod.name) is not pod:
            return
        self._topic.set(pod.name, pod.info(self.location.root))
        if self._serving.get(pod.name) != pod.policy_version:
            self._serving[pod.name] = pod.policy_version
            if self.on_policy is not None:
                self.on_policy()

    # -- opening, watching, closing

    async def open(self) -> None:
        """Learn what the store knows and which pods there are; they load in the background."""
        await self.trainings.open()
        await self.observations.open(self._observed, self._posted)
        await self.rescan()

    async def close(self) -> None:
        """Stop watching and training; what is under way is recorded as interrupted."""
        await self._watcher.close()
        await self.feeds.close()
        await self._works.close()
        self.upkeep.learning.close()
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
        self._works.forget(name)
        self.feeds.forget(name)
        if pod is not None:
            self.catching_up.forget(pod)
            self.upkeep.learning.forget(pod.name)
            if pod.table is not None:
                release(pod.table)
            self._topic.remove(name)
            self._serving.pop(name, None)
            if self.on_policy is not None:
                self.on_policy()
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
            self._works.supersede(name)
            self.feeds.follow(name, manifest)
            self._feed_changed(name)
            self.refresh(name)
        self._publish(pod)

    # -- bringing one pod up to date

    def is_working(self, name: str) -> bool:
        """Whether the pod is being brought up to date."""
        return self._works.is_at(name)

    def refresh(self, name: str) -> None:
        """Look at the pod (again) soon; the newest state of everything counts."""
        self._works.refresh(name)

    async def interrupt(self, name: str, why: str) -> None:
        """End the work on a pod, if there is any, and wait for that."""
        work = self._works.end(name, why)
        if work is not None:
            await asyncio.wait({work})

    # -- what people ask for

    def train(
        self, name: str, algorithm: str, episodes: int | None, loggers: Sequence[str] = ()
    ) -> Wish:
        """Train the pod now; the wish tells its number and, at the end, its record.

        An `algorithm` and `episodes` go before the manifest's, `loggers` come on top of its own.

        Raises:
            NotFound: no such pod.
            Conflict: a training of it is under way or asked for.
            InvalidManifest: its manifest cannot be used.
        """
        self.manifest_of(name)
        asked = {"algorithm": algorithm, "episodes": episodes, "loggers": loggers}
        return self._works.wish(self.get(name), asked)

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
