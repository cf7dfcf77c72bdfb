"""Brings one pod up to date: reads its data, and trains it if anything it learns from changed."""

from __future__ import annotations

import asyncio
import dataclasses
import logging
import os
import shutil
import tempfile
import time
from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from spice_engine.errors import Conflict, InsufficientData, SpiceError, TooLarge
from spice_engine.pods import plan, take_up
from spice_engine.pods.continual import Learning
from spice_engine.pods.live import Pod, Table, problem_from
from spice_engine.pods.model import Manifest, RewardFile
from spice_engine.pods.observations import ObservationStore
from spice_engine.pods.stored import StoredPolicies, read_policy, release, use
from spice_engine.pods.training import Trained, Trainings
from spice_engine.protocol.location import Location
from spice_engine.protocol.pods import GetObservations, Observations, TrainingInfo
from spice_engine.settings import Settings
from spice_engine.store import interpretations
from spice_engine.store.database import Database
from spice_engine.store.disk import storage_error
from spice_engine.store.objects import ObjectStore
from spice_engine.workers.arrays import ArrayRef, load
from spice_engine.workers.pool import ChildPool

if TYPE_CHECKING:
    from numpy.typing import NDArray

log = logging.getLogger(__name__)

LOAD_SECONDS = 120.0
MAX_TEXT = 15 << 20
"""Bytes of observations in one answer at most: it must fit into a frame."""


class NeedsTrust(Conflict):
    """The pod's code must not run before the folder is trusted."""

    code = "needs_trust"


@dataclasses.dataclass(frozen=True)
class Wish:
    """A training somebody asked for: `begun` gets its number, `done` its record.

    `asked` is what is to be other than in the manifest, as arguments of `plan.trainer_params`.

    What refuses or ends it is the exception of both.
    """

    asked: dict[str, Any]
    begun: asyncio.Future[int]
    done: asyncio.Future[TrainingInfo]

    def fail(self, error: SpiceError) -> None:
        """Tell whoever waits; harmless when nobody does, or it is told already."""
        for future in (self.begun, self.done):
            if not future.done():
                future.set_exception(error)
                future.exception()  # seen, so that it is not reported as forgotten


class Upkeep:
    """What it takes to bring a pod up to date; `publish` tells that a pod's state changed."""

    def __init__(
        self,
        location: Location,
        settings: Settings,
        database: Database,
        objects: ObjectStore,
        loaders: ChildPool,
        trainings: Trainings,
        observations: ObservationStore,
        trusted: Callable[[], bool],
        publish: Callable[[Pod], None],
        refresh: Callable[[str], None],
    ) -> None:
        self._location = location
        self._settings = settings
        self._database = database
        self._loaders = loaders
        self._trainings = trainings
        self._observations = observations
        self._trusted = trusted
        self._publish = publish
        self.stored = StoredPolicies(database, objects, publish)
        look = partial(trainings.trainers.call, "drift", deadline=settings.training_seconds)
        self.learning = Learning(database, objects, look, refresh)

    async def run(self, pod: Pod, manifest: Manifest, wish: Wish | None) -> TrainingInfo | None:
        """Load the pod's data, then train it if somebody wishes so or its policy is of other input.

        Gives the record of the training, or None where there was none.

        Raises:
            SpiceError: what is wrong with its data, or ended its training.
        """
        pod.loading = True
        self._publish(pod)
        # Counted before the files are looked at: what comes meanwhile is for the next time.
        posted = pod.posted
        try:
            pod.stamps = await asyncio.to_thread(stamps, self.files(manifest))
            loaded, table = await self._load(pod, manifest)
        except SpiceError:
            pod.read_up_to(posted)
            await self.stored.serve_without_data(pod)
            raise
        pod.learned_from = table
        try:
            # What the last good policy cannot read, or has too little in it, waits for better.
            if pod.policy is None or table.fills(pod.policy):
                use(pod, table)
            pod.read_up_to(posted)
            said = await self.interpretations(pod.name, manifest)
            fingerprint = await self.fingerprint(manifest, loaded, said)
            params = partial(
                plan.trainer_params,
                manifest,
                loaded,
                self._location.root,
                fingerprint=fingerprint,
                interpretations=said,
            )
            due, kept = None, self._location.state / "checkpoints" / pod.name
            same = wish is None and await self.stored.offer(pod, table, fingerprint)
            # A crash may have left a policy that served meanwhile: its training goes on.
            if same and not await asyncio.to_thread((kept / plan.checkpoint(params())).exists):
                log.debug("pod %s is unchanged: version %s serves", pod.name, pod.policy_version)
                pod.needs_trust = False  # nothing is to be run
                trust = partial(self._ask_trust, pod, manifest)
                due = await self.learning.due(pod, manifest, table, params, trust)
                if due is None:
                    return None
            if table.complete <= manifest.span:
                await self.stored.serve_without_data(pod)
            await self._ask_trust(pod, manifest)
            require_enough(pod.name, manifest, loaded)
            asked = params(**(wish.asked if wish is not None else {}), continual=due)
            asked |= {"checkpoint": str(kept / plan.checkpoint(asked))}
            return await self._train(pod, table, manifest, asked, wish)
        finally:
            pod.learned_from = None
            if pod.table is not table:
                release(table)

    async def read_again(self, pod: Pod, manifest: Manifest) -> None:
        """Answer by what was posted meanwhile, while a training goes on with what it began with."""
        posted = pod.posted
        try:
            _, table = await self._load(pod, manifest)
        except SpiceError as error:
            log.debug("pod %s cannot be read beside its training: %s", pod.name, error)
        else:
            newer = pod.table is None or pod.table.posted < table.posted
            if newer and pod.policy is not None and table.fills(pod.policy):
                use(pod, table)
            else:
                release(table)
        finally:
            pod.read_up_to(posted)

    async def _ask_trust(self, pod: Pod, manifest: Manifest) -> None:
        if not isinstance(manifest.training.rewards, RewardFile):
            return
        try:
            await self.require_trust(manifest)
        except NeedsTrust:
            pod.needs_trust = True
            raise
        pod.needs_trust = False

    async def require_trust(self, manifest: Manifest) -> None:
        """Code of a file of its own runs only in folders whose owner said so.

        Raises:
            NeedsTrust: nobody said so of this one.
        """
        file = manifest.training.rewards
        if isinstance(file, RewardFile) and not await asyncio.to_thread(self._trusted):
            raise NeedsTrust(
                f"'{file.path}' holds code that would run here, and this folder is not trusted.",
                hint="Read it, then run `spice-tui trust`.",
                place=file.place,
            )

    async def fingerprint(
        self, manifest: Manifest, loaded: dict[str, Any], said: list[dict[str, Any]]
    ) -> str:
        """What tells these inputs of a training from others."""
        return await asyncio.to_thread(
            lambda: plan.fingerprint(manifest, loaded, self._location.root, interpretations=said)
        )

    async def interpretations(self, pod: str, manifest: Manifest) -> list[dict[str, Any]]:
        """Those of the pod, where its rewards may read them."""
        if not plan.reads_interpretations(manifest):
            return []
        rows = await self._database.read(lambda connection: interpretations.find(connection, pod))
        return [dataclasses.asdict(row) for row in rows]

    async def _train(
        self,
        pod: Pod,
        table: Table,
        manifest: Manifest,
        params: dict[str, Any],
        wish: Wish | None,
    ) -> TrainingInfo:
        fingerprint: str = params["fingerprint"]
        begin = time.perf_counter()
        number = await self._trainings.begin(
            pod.name, params["algorithm"], params["episodes"], fingerprint
        )
        pod.loading, pod.training, pod.last_training = False, number, number
        pod.training_since, pod.training_served = time.monotonic(), False
        self.learning.began(pod, manifest)
        if wish is not None:
            wish.begun.set_result(number)
        self._publish(pod)

        async def serve(trained: Trained) -> None:
            policy = await asyncio.to_thread(read_policy, trained.policy)
            newest = table
            if pod.table is not None and pod.table.posted > table.posted:
                newest = pod.table if pod.table.fills(policy) else table
            self.stored.serve(pod, newest, policy, trained.version, fingerprint)
            pod.training_served = True
            log.info(
                "pod %s: training %s gave version %s in %.0f ms",
                pod.name,
                number,
                trained.version,
                1000 * (time.perf_counter() - begin),
            )

        await self._trainings.run(
            pod.name,
            number,
            params,
            fingerprint=fingerprint,
            seconds=self._settings.training_seconds,
            serve=serve,
        )
        info = await self._trainings.get(pod.name, number)
        pod.decided = take_up.in_words(info.policy_version or 0, info.evaluation)
        pod.learned_until = (info.evaluation or {}).get("learned_until")
        if pod.decided:
            log.info("pod %s: %s", pod.name, pod.decided)
        return info

    async def _load(self, pod: Pod, manifest: Manifest) -> tuple[dict[str, Any], Table]:
        """Have the data read and parsed; what the loader said, and the table."""
        posted = pod.posted
        try:
            out = tempfile.mkdtemp(prefix=f"{self._location.key[-12:]}-", dir=self._scratch)
        except OSError as error:
            raise storage_error(error, "hand the data over", self._scratch) from error
        try:
            async with self._observations.reading(pod.name) as observations:
                params = plan.loader_params(
                    manifest, self._location.root, Path(out), time.time(), observations
                )
                loaded = await self._loaders.call("load", params, deadline=LOAD_SECONDS)
            values = await asyncio.to_thread(_mapped, loaded["values"])
            moments = None
            if not manifest.params.interpolation:
                moments = await asyncio.to_thread(_mapped, loaded["times"])
        except BaseException:
            shutil.rmtree(out, ignore_errors=True)
            raise
        pod.data_problems = tuple(problem_from(item) for item in loaded["problems"])
        for problem in pod.data_problems:
            log.warning("%s", problem)
        table = Table(
            values,
            tuple(loaded["fields"]),
            loaded["start"],
            loaded["granularity"],
            loaded["complete_rows"],
            out,
            moments,
            posted,
            loaded,
        )
        return loaded, table

    async def observations(self, request: GetObservations, manifest: Manifest) -> Observations:
        """The raw rows of a pod, read anew by a loader.

        Raises:
            TooLarge: they are over MAX_TEXT bytes.
            SpiceError: what is wrong with its data.
        """
        handle, path = await asyncio.to_thread(tempfile.mkstemp, ".rows", "", self._scratch)
        os.close(handle)
        try:
            async with self._observations.reading(request.pod) as files:
                params = plan.loader_params(
                    manifest, self._location.root, self._scratch, time.time(), files
                )
                params |= {
                    "format": request.format,
                    "start": request.start,
                    "end": request.end,
                    "limit": request.limit or None,
                    "offset": request.offset,
                    "out": path,
                }
                answer = await self._loaders.call("observations", params, deadline=LOAD_SECONDS)
            text = await asyncio.to_thread(_read_text, Path(path))
        finally:
            await asyncio.to_thread(Path(path).unlink, True)
        return Observations(answer["rows"], text)

    async def reward_tests(self, pod: Pod, manifest: Manifest) -> list[dict[str, Any]]:
        """What the reward tests of the manifest give.

        Raises:
            SpiceError: the reward code cannot be used at all.
        """
        await self._ask_trust(pod, manifest)
        params = {
            "fields": list(manifest.fields),
            "actions": list(manifest.action_names),
            "ranges": plan.ranges(manifest),
            "granularity": manifest.params.granularity,
            "rewards": plan.rewards(manifest, self._location.root),
            "tests": plan.reward_tests(manifest),
        }
        return await self._trainings.trainers.call("reward_tests", params, deadline=LOAD_SECONDS)

    @property
    def _scratch(self) -> Path:
        return self._location.state / "tmp"

    def files(self, manifest: Manifest) -> tuple[Path, ...]:
        """The files the pod reads."""
        return plan.files(manifest, self._location.root)


def require_enough(pod: str, manifest: Manifest, loaded: dict[str, Any]) -> None:
    """Check that the data that was loaded fills a window and the step after it.

    An environment brings what there is to learn from, so that no data are needed.

    Raises:
        InsufficientData: it does not.
    """
    if manifest.gym is not None:
        return
    span = manifest.span
    covered = loaded["training_rows"] - loaded["first_datum"]
    if covered <= span:
        raise InsufficientData(
            f"{pod} -> insufficient data for training",
            hint=f"A window and the step after it take {span + 1} buckets, "
            f"the data has {max(covered, 0)}.",
        )


def _read_text(path: Path) -> str:
    if path.stat().st_size > MAX_TEXT:
        raise TooLarge(
            f"the observations are over {MAX_TEXT >> 20} MiB of text.",
            hint="Ask for them in parts: offset, limit.",
        )
    return path.read_text("utf-8")


def stamps(files: Iterable[Path]) -> tuple[tuple[int, int, int] | None, ...]:
    """What tells whether a file is the one it was, None for one that is not there. Blocks."""
    found: list[tuple[int, int, int] | None] = []
    for path in files:
        try:
            status = path.stat()
        except OSError:
            found.append(None)
        else:
            found.append((status.st_mtime_ns, status.st_size, status.st_ino))
    return tuple(found)


def _mapped(reference: dict[str, Any]) -> NDArray[Any]:
    """An array of the loader's, as a plain view: slicing a memmap costs ten times as much."""
    import numpy as np

    return np.asarray(load(ArrayRef.from_dict(reference)))
