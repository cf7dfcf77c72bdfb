"""All pods of an app folder: found, loaded, trained when something changed, and asked.

Each pod has one task that brings it up to date: manifest, data, then training if the
fingerprint of all that is not that of its policy. A change meanwhile is remembered and looked
at once more afterwards, so the newest wins and nothing is trained twice for nothing.
"""

from __future__ import annotations

import asyncio
import dataclasses
import hashlib
import logging
import shutil
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from spice_engine.errors import (
    Conflict,
    InsufficientData,
    InvalidManifest,
    NotFound,
    NotTrained,
    SpiceError,
)
from spice_engine.events import Bus
from spice_engine.pods import plan
from spice_engine.pods.live import Pod, Table, problem_from, problem_of
from spice_engine.pods.manifest import parse_manifest
from spice_engine.pods.model import Manifest
from spice_engine.pods.training import LATEST, Trainings
from spice_engine.pods.watcher import Watcher
from spice_engine.protocol.location import Location
from spice_engine.protocol.pods import PodInfo, ProblemInfo, Recommendation, TrainingInfo
from spice_engine.settings import Settings
from spice_engine.store import policies as policy_table
from spice_engine.store.database import Database
from spice_engine.store.disk import storage_error
from spice_engine.store.objects import ObjectStore
from spice_engine.store.policies import PolicyRow
from spice_engine.workers.arrays import ArrayRef, load
from spice_engine.workers.pool import ChildPool

if TYPE_CHECKING:
    from spice_engine.learning.policy import Policy

log = logging.getLogger(__name__)

FOLDER = "spicepods"
SUFFIXES = frozenset({".yaml", ".yml"})
MAX_MANIFEST_BYTES = 2**20
LOAD_SECONDS = 120.0


@dataclasses.dataclass(frozen=True)
class Wish:
    """A training somebody asked for: `begun` gets its number, `done` its record.

    What refuses or ends it is the exception of both.
    """

    algorithm: str
    episodes: int | None
    begun: asyncio.Future[int]
    done: asyncio.Future[TrainingInfo]

    def fail(self, error: SpiceError) -> None:
        """Tell whoever waits; harmless when nobody does, or it is told already."""
        for future in (self.begun, self.done):
            if not future.done():
                future.set_exception(error)
                future.exception()  # seen, so that it is not reported as forgotten


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
        self._settings = settings
        self._database = database
        self._objects = objects
        self._loaders = loaders
        self._trainers = trainers
        self.trainings = Trainings(database, objects, trainers, bus)
        self._pods: dict[str, Pod] = {}
        self._by_path: dict[Path, str] = {}
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._stale: set[str] = set()
        self._wishes: dict[str, Wish] = {}
        self._policies: dict[tuple[str, int], Policy] = {}
        self._topic = bus.topic("pods", "state", self._snapshot)
        self._watcher = Watcher(self._changed)
        self._opening: asyncio.Task[None] | None = None
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
            self._topic.set(pod.name, dataclasses.asdict(pod.info(self.location.root)))

    # -- opening, watching, closing

    async def open(self) -> None:
        """Learn what the store knows; the pods themselves load in the background."""
        await self.trainings.open()
        self._watch()
        self._opening = asyncio.create_task(self._rescan(), name="first scan of pods")

    async def close(self) -> None:
        """Stop watching and training; what is under way is recorded as interrupted."""
        self._closed = True
        await self._watcher.close()
        tasks = [*self._tasks.values(), *([self._opening] if self._opening else [])]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self.trainings.close()
        for pod in self._pods.values():
            self._release(pod.table_files)

    def _watch(self) -> None:
        root = self.location.root
        folders = {root, root / FOLDER}
        for pod in self._pods.values():
            if pod.manifest is not None:
                folders |= {path.parent for path in plan.data_files(pod.manifest, root)}
        self._watcher.watch(folders)

    async def _changed(self, paths: frozenset[Path]) -> None:
        pods = self.location.root / FOLDER
        if any(pods in {path, path.parent} for path in paths):
            self._watch()
            await self._rescan()
        for pod in tuple(self._pods.values()):
            if pod.manifest is None:
                continue
            files = plan.data_files(pod.manifest, self.location.root)
            if any(path in paths for path in files):
                self._refresh(pod.name)

    async def _rescan(self) -> None:
        """Bring the set of pods up to date with the files there are."""
        found = await asyncio.to_thread(self._read_manifests)
        for path in set(self._by_path) - found.keys():
            self._forget(path)
        for path, text in sorted(found.items()):
            digest = hashlib.sha256(text).hexdigest()
            known = self._pods.get(self._by_path.get(path, ""))
            if known is not None and known.text_hash == digest:
                continue
            try:
                await self._take_manifest(path, text, digest)
            except SpiceError as error:
                log.warning("%s: %s", path.name, error)
        self._watch()

    def _read_manifests(self) -> dict[Path, bytes]:
        folder = self.location.root / FOLDER
        found: dict[Path, bytes] = {}
        if not folder.is_dir():
            return found
        for path in sorted(folder.iterdir()):
            if path.suffix in SUFFIXES and not path.name.startswith(".") and path.is_file():
                try:
                    with path.open("rb") as source:
                        found[path] = source.read(MAX_MANIFEST_BYTES + 1)
                except OSError as error:
                    log.warning("%s cannot be read: %s", path, error.strerror)
        return found

    def _forget(self, path: Path) -> None:
        name = self._by_path.pop(path)
        pod = self._pods.pop(name, None)
        wish = self._wishes.pop(name, None)
        if wish is not None:
            wish.fail(NotFound(f"pod {name!r} was removed."))
        if pod is not None:
            task = self._tasks.get(name)
            if task is not None:
                task.cancel()
            self._release(pod.table_files)
            self._topic.remove(name)
            log.info("pod %s removed: %s", name, path.name)

    async def _take_manifest(self, path: Path, text: bytes, digest: str) -> None:
        file = str(path.relative_to(self.location.root))
        manifest, problems = await asyncio.to_thread(read_manifest, text, file)
        known = self._by_path.get(path, "")
        name = manifest.name if manifest else known or path.stem
        owner = next((p for p, n in self._by_path.items() if n == name and p != path), None)
        if owner is not None:
            clash = ProblemInfo(
                "duplicate_pod", "error", f"{owner.name} has a pod named {name!r} already.", file
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
        pod.path, pod.text_hash, pod.manifest_problems = path, digest, problems
        for problem in problems:
            log.log(
                logging.ERROR if problem.severity == "error" else logging.WARNING, "%s", problem
            )
        if manifest is not None:
            pod.manifest = manifest
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
            if name in self._stale and not task.cancelled() and error is None:
                self._refresh(name)

    async def _bring_up_to_date(self, name: str) -> None:
        while name in self._stale and (pod := self._pods.get(name)) is not None:
            self._stale.discard(name)
            wish = self._wishes.pop(name, None)
            manifest = pod.manifest
            if manifest is None:
                continue
            try:
                info = await self._load_and_train(pod, manifest, wish)
            except SpiceError as error:
                log.error("pod %s: %s", name, error)
                pod.training_problem = problem_of(error, str(pod.path.name))
                if wish is not None:
                    wish.fail(error)
            except asyncio.CancelledError:
                if wish is not None:
                    wish.fail(Conflict("the training was interrupted."))
                raise
            else:
                pod.training_problem = None
                if wish is not None and info is not None:
                    wish.done.set_result(info)
            pod.loading, pod.training = False, None
            self._publish(pod)

    async def _load_and_train(
        self, pod: Pod, manifest: Manifest, wish: Wish | None
    ) -> TrainingInfo | None:
        pod.loading = True
        self._publish(pod)
        loaded = await self._load(pod, manifest)
        fingerprint = plan.fingerprint(manifest, loaded)
        if wish is None and await self._load_policy(pod, fingerprint):
            log.info("pod %s is unchanged: version %s serves", pod.name, pod.policy_version)
            return None
        span = manifest.span
        if loaded["training_rows"] <= span:
            raise InsufficientData(
                f"{pod.name} -> insufficient data for training",
                hint=f"The window takes {span} buckets, the data has {loaded['training_rows']}.",
            )
        params = plan.trainer_params(
            manifest,
            loaded,
            algorithm=wish.algorithm if wish is not None else "",
            episodes=wish.episodes if wish is not None else None,
        )
        begin = time.perf_counter()
        number = await self.trainings.begin(
            pod.name, params["algorithm"], params["episodes"], fingerprint
        )
        pod.loading, pod.training, pod.last_training = False, number, number
        if wish is not None:
            wish.begun.set_result(number)
        self._publish(pod)
        trained = await self.trainings.run(
            pod.name,
            number,
            params,
            fingerprint=fingerprint,
            seconds=self._settings.training_seconds,
        )
        await self._take_policy(pod, trained.policy, trained.version, fingerprint)
        log.info(
            "pod %s: training %s gave version %s in %.0f ms",
            pod.name,
            number,
            trained.version,
            1000 * (time.perf_counter() - begin),
        )
        return await self.trainings.get(pod.name, number)

    async def _load(self, pod: Pod, manifest: Manifest) -> dict[str, Any]:
        """Have the data read and parsed, and take its table into use."""
        try:
            out = tempfile.mkdtemp(prefix=f"{self.location.key[-12:]}-", dir=self._scratch)
        except OSError as error:
            raise storage_error(error, "hand the data over", self._scratch) from error
        params = plan.loader_params(manifest, self.location.root, Path(out), time.time())
        try:
            loaded = await self._loaders.call("load", params, deadline=LOAD_SECONDS)
            references = [ArrayRef.from_dict(loaded[name]) for name in ("values", "times")]
            values = await asyncio.to_thread(load, references[0])
        except BaseException:
            self._release((out,))
            raise
        pod.data_problems = tuple(problem_from(item) for item in loaded["problems"])
        for problem in pod.data_problems:
            log.warning("%s", problem)
        previous = pod.table_files
        pod.table = Table(
            values,
            tuple(loaded["fields"]),
            loaded["start"],
            loaded["granularity"],
            loaded["complete_rows"],
        )
        pod.table_files = (out,)
        pod.answers.clear()
        self._release(previous)
        return loaded

    @property
    def _scratch(self) -> Path:
        return self.location.state / "tmp"

    def _release(self, folders: tuple[str, ...]) -> None:
        """Remove hand-over files; arrays that are still mapped stay readable."""
        for folder in folders:
            shutil.rmtree(folder, ignore_errors=True)

    async def _load_policy(self, pod: Pod, fingerprint: str) -> bool:
        """Serve the stored policy if it was learned from exactly this."""
        if pod.policy is not None and pod.fingerprint == fingerprint:
            return True
        row = await self._database.read(
            lambda connection: policy_table.get_by_alias(connection, pod.name, LATEST)
        )
        if row is None:
            return False
        try:
            data = await asyncio.to_thread(self._objects.read_bytes, row.object)
            pod.last_training = pod.last_training or row.training_number
            await self._take_policy(pod, data, row.version, row.fingerprint)
        except SpiceError as error:
            log.warning("pod %s: version %s cannot be used: %s", pod.name, row.version, error)
            return False
        return row.fingerprint == fingerprint

    async def _take_policy(self, pod: Pod, data: bytes, version: int, fingerprint: str) -> None:
        policy = await asyncio.to_thread(_policy, data)
        pod.policy, pod.policy_version, pod.fingerprint = policy, version, fingerprint
        pod.evaluation = dict(policy.evaluation)
        pod.answers.clear()
        self._publish(pod)

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
        self, name: str, time: int | None, alias: str, *, explain: bool
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
            raise NotTrained(
                "Please wait to get a recommendation until after training completes",
                hint=str(pod.problems[0]) if pod.state == "failed" else "",
            )
        return pod.recommend(policy, version, time, tag=alias, explain=explain)

    async def _policy_of(self, name: str, alias: str) -> tuple[Policy, int]:
        row = await self._database.read(
            lambda connection: policy_table.get_by_alias(connection, name, alias)
        )
        if row is None and alias.startswith("v") and alias[1:].isdigit():
            number = int(alias[1:])
            row = await self._database.read(
                lambda connection: policy_table.get(connection, name, number)
            )
        if row is None:
            raise TagNotFound(f"pod {name!r} has no version tagged {alias!r}.")
        return await self._cached_policy(name, row), row.version

    async def _cached_policy(self, name: str, row: PolicyRow) -> Policy:
        key = (name, row.version)
        if key not in self._policies:
            data = await asyncio.to_thread(self._objects.read_bytes, row.object)
            self._policies[key] = await asyncio.to_thread(_policy, data)
            while len(self._policies) > 32:
                del self._policies[next(iter(self._policies))]
        return self._policies[key]


class TagNotFound(NotFound):
    """No policy of the pod has that alias."""

    code = "tag_not_found"
    http_status = 400


def _policy(data: bytes) -> Policy:
    """Load a policy; imports NumPy at its first call, so it runs in a thread."""
    from spice_engine.learning.policy import Policy

    return Policy.from_bytes(data)


def read_manifest(text: bytes, file: str) -> tuple[Manifest | None, tuple[ProblemInfo, ...]]:
    """A manifest and all findings in it; no manifest when one of them is an error."""
    if len(text) > MAX_MANIFEST_BYTES:
        big = f"is over {MAX_MANIFEST_BYTES} bytes."
        return None, (ProblemInfo("too_large", "error", big, file),)
    try:
        decoded = text.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = text[: error.start].count(b"\n") + 1
        return None, (ProblemInfo("not_utf8", "error", "is not UTF-8 text.", file, line, 1),)
    parsed = parse_manifest(decoded, file)
    return parsed.manifest, tuple(problem_from(problem.as_dict()) for problem in parsed.problems)
