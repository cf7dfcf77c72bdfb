"""Brings one pod up to date: reads its data, and trains it if anything it learns from changed."""

from __future__ import annotations

import asyncio
import dataclasses
import logging
import shutil
import tempfile
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from spice_engine.errors import InsufficientData, SpiceError
from spice_engine.pods import plan
from spice_engine.pods.live import Pod, Table, problem_from
from spice_engine.pods.model import Manifest
from spice_engine.pods.training import LATEST, Trainings
from spice_engine.protocol.location import Location
from spice_engine.protocol.pods import TrainingInfo
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
        publish: Callable[[Pod], None],
    ) -> None:
        self._location = location
        self._settings = settings
        self._database = database
        self._objects = objects
        self._loaders = loaders
        self._trainings = trainings
        self._publish = publish

    async def run(self, pod: Pod, manifest: Manifest, wish: Wish | None) -> TrainingInfo | None:
        """Load the pod's data, then train it if somebody wishes so or its policy is of other input.

        Gives the record of the training, or None where there was none.

        Raises:
            SpiceError: what is wrong with its data, or ended its training.
        """
        pod.loading = True
        self._publish(pod)
        loaded, table = await self._load(pod, manifest)
        try:
            # What the last good policy cannot read waits for a policy that can.
            if pod.policy is None or table.fits(pod.policy):
                _use(pod, table)
            fingerprint = plan.fingerprint(manifest, loaded)
            if wish is None and await self._serve_stored(pod, table, fingerprint):
                log.info("pod %s is unchanged: version %s serves", pod.name, pod.policy_version)
                return None
            return await self._train(pod, table, manifest, loaded, wish)
        finally:
            if pod.table is not table:
                release(table)

    async def _train(
        self,
        pod: Pod,
        table: Table,
        manifest: Manifest,
        loaded: dict[str, Any],
        wish: Wish | None,
    ) -> TrainingInfo:
        span = manifest.span
        covered = loaded["training_rows"] - loaded["first_datum"]
        if covered <= span:
            raise InsufficientData(
                f"{pod.name} -> insufficient data for training",
                hint=f"A window and the step after it take {span + 1} buckets, "
                f"the data has {max(covered, 0)}.",
            )
        params = plan.trainer_params(
            manifest,
            loaded,
            algorithm=wish.algorithm if wish is not None else "",
            episodes=wish.episodes if wish is not None else None,
        )
        fingerprint = params["fingerprint"]
        begin = time.perf_counter()
        number = await self._trainings.begin(
            pod.name, params["algorithm"], params["episodes"], fingerprint
        )
        pod.loading, pod.training, pod.last_training = False, number, number
        pod.training_since = time.monotonic()
        if wish is not None:
            wish.begun.set_result(number)
        self._publish(pod)
        trained = await self._trainings.run(
            pod.name,
            number,
            params,
            fingerprint=fingerprint,
            seconds=self._settings.training_seconds,
        )
        policy = await asyncio.to_thread(_policy, trained.policy)
        self._serve(pod, table, policy, trained.version, fingerprint)
        log.info(
            "pod %s: training %s gave version %s in %.0f ms",
            pod.name,
            number,
            trained.version,
            1000 * (time.perf_counter() - begin),
        )
        return await self._trainings.get(pod.name, number)

    async def _load(self, pod: Pod, manifest: Manifest) -> tuple[dict[str, Any], Table]:
        """Have the data read and parsed; what the loader said, and the table."""
        try:
            out = tempfile.mkdtemp(prefix=f"{self._location.key[-12:]}-", dir=self._scratch)
        except OSError as error:
            raise storage_error(error, "hand the data over", self._scratch) from error
        params = plan.loader_params(manifest, self._location.root, Path(out), time.time())
        try:
            pod.stamps = await asyncio.to_thread(stamps, self.files(manifest))
            loaded = await self._loaders.call("load", params, deadline=LOAD_SECONDS)
            values = await asyncio.to_thread(load, ArrayRef.from_dict(loaded["values"]))
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
        )
        return loaded, table

    @property
    def _scratch(self) -> Path:
        return self._location.state / "tmp"

    def files(self, manifest: Manifest) -> tuple[Path, ...]:
        """The files the pod reads."""
        return plan.data_files(manifest, self._location.root)

    async def policy(self, row: PolicyRow) -> Policy:
        """A stored policy.

        Raises:
            SpiceError: its file is gone, damaged or of another version.
        """
        data = await asyncio.to_thread(self._objects.read_bytes, row.object)
        return await asyncio.to_thread(_policy, data)

    async def _serve_stored(self, pod: Pod, table: Table, fingerprint: str) -> bool:
        """Serve the stored policy if it was learned from exactly this."""
        if pod.policy is not None and pod.fingerprint == fingerprint:
            return True
        row = await self._database.read(
            lambda connection: policy_table.get_by_alias(connection, pod.name, LATEST)
        )
        if row is None:
            return False
        if pod.policy is None or row.fingerprint == fingerprint:
            try:
                policy = await self.policy(row)
            except SpiceError as error:
                version = row.version
                log.warning("pod %s: version %s cannot be used: %s", pod.name, version, error)
                return False
            pod.last_training = pod.last_training or row.training_number
            self._serve(pod, table, policy, row.version, row.fingerprint)
        return row.fingerprint == fingerprint

    def _serve(
        self, pod: Pod, table: Table, policy: Policy, version: int, fingerprint: str
    ) -> None:
        pod.policy, pod.policy_version, pod.fingerprint = policy, version, fingerprint
        pod.evaluation = dict(policy.evaluation)
        _use(pod, table)
        self._publish(pod)


def _use(pod: Pod, table: Table) -> None:
    """Answer from this table from now on."""
    previous, pod.table = pod.table, table
    pod.answers.clear()
    if previous is not None and previous is not table:
        release(previous)


def release(table: Table) -> None:
    """Remove a table's files; what is mapped of them stays readable."""
    shutil.rmtree(table.folder, ignore_errors=True)


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


def _policy(data: bytes) -> Policy:
    """Load a policy; imports NumPy at its first call, so it runs in a thread."""
    from spice_engine.learning.policy import Policy

    return Policy.from_bytes(data)
