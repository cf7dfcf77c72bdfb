"""One training run of a pod: recorded in the store as it goes, its policy kept at the end."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import logging
import sqlite3
import time
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

from spice_engine.errors import Overloaded, SpiceError, StorageError
from spice_engine.events import Bus
from spice_engine.pods import take_up
from spice_engine.pods.event_logs import TENSORBOARD, EventLogs
from spice_engine.pods.training_records import info_of, read_run, read_runs
from spice_engine.protocol.pods import TrainingInfo
from spice_engine.store import policies as policy_table
from spice_engine.store import training as training_table
from spice_engine.store.database import Database
from spice_engine.store.objects import ObjectStore
from spice_engine.store.training import TrainingRow
from spice_engine.workers.pool import ChildPool

log = logging.getLogger(__name__)

RECENT = 200
"""Training runs that the `trainings` topic shows."""

LATEST = "latest"
LOOK_AGAIN_SECONDS = 1.0
INTERRUPTED = "The engine stopped, or the pod was removed."

ENDINGS = {
    "episodes": "All episodes are done.",
    "goal": "The goal is reached.",
    "equal_scores": "Three episodes in a row had the same score.",
    "patience": "There was no improvement for as many episodes as patience allows.",
}


EPISODE_ERRORS = frozenset(
    {
        "invalid_reward_function",
        "invalid_reward_value",
        "invalid_datasource_action_expression",
        "invalid_law_expression",
    }
)
"""What user code did wrong: told as an episode too."""


@dataclasses.dataclass(frozen=True)
class Trained:
    """What a training run gave."""

    number: int
    version: int
    policy: bytes
    evaluation: dict[str, Any]

    @property
    def serves(self) -> bool:
        """Whether it is to serve, not being worse than what did."""
        return take_up.is_taken_up(self.evaluation)


class Trainings:
    """Runs trainings and keeps their records; the topics `trainings` and `episodes` follow them."""

    def __init__(
        self,
        database: Database,
        objects: ObjectStore,
        trainers: ChildPool,
        bus: Bus,
        logs: EventLogs,
    ) -> None:
        self._database = database
        self._objects = objects
        self.trainers = trainers
        self.logs = logs
        self._recent: dict[str, TrainingInfo] = {}
        self._last_episode = 0
        self._unrecorded: set[asyncio.Task[None]] = set()
        self._topic = bus.topic("trainings", "state", self._snapshot)
        self._episodes = bus.topic("episodes", "rows", lambda: {"last": self._last_episode})

    def _snapshot(self) -> dict[str, Any]:
        return {key: dataclasses.asdict(info) for key, info in self._recent.items()}

    def _note(self, row: TrainingRow) -> None:
        info = info_of(row, [])
        key = f"{row.pod}/{row.number}"
        self._recent[key] = info
        self._topic.set(key, info)
        while len(self._recent) > RECENT:
            oldest = next(iter(self._recent))
            del self._recent[oldest]
            self._topic.remove(oldest)

    async def open(self) -> None:
        """Mark what an earlier engine left unfinished, and learn what there is."""
        now = time.time()
        interrupted = await self._database.write(
            lambda connection: training_table.mark_interrupted(connection, now)
        )
        for row in interrupted:
            log.info("training %s/%s was interrupted", row.pod, row.number)

        def newest(connection: sqlite3.Connection) -> int:
            found = connection.execute("SELECT coalesce(max(id), 0) FROM episodes").fetchone()
            return int(found[0])

        self._last_episode = await self._database.read(newest)

    async def get(self, pod: str, number: int) -> TrainingInfo:
        """One run with its episodes: of more than EPISODES_SHOWN a spread of them.

        Raises:
            NotFound: there is none of that number.
        """

        def read(connection: sqlite3.Connection) -> TrainingInfo:
            return self.logs.marked([read_run(connection, pod, number)])[0]

        return await self._database.read(read)

    async def list(self, pod: str) -> list[TrainingInfo]:
        """All runs of a pod, oldest first, with their episodes.

        All runs together have EPISODES_SHOWN at most; one with more than its share has a spread.
        """
        return await self._database.read(
            lambda connection: self.logs.marked(read_runs(connection, pod))
        )

    async def begin(self, pod: str, algorithm: str, episodes: int, fingerprint: str) -> int:
        """Record that a run begins; its number."""
        written = self._database.write(
            lambda connection: training_table.create_run(
                connection,
                pod=pod,
                algorithm=algorithm,
                episodes_wanted=episodes,
                started=time.time(),
                fingerprint=fingerprint,
            )
        )
        try:
            row = await asyncio.shield(written)
        except asyncio.CancelledError as cancelled:
            # The record may be there: nobody else would ever end it.
            await asyncio.shield(self._record(self._never_began(pod, written, cancelled)))
            raise
        self._note(row)
        return row.number

    async def run(
        self,
        pod: str,
        number: int,
        params: dict[str, Any],
        *,
        fingerprint: str,
        seconds: float,
        serve: Callable[[Trained], Awaitable[None]],
    ) -> Trained:
        """Train to the end; episodes are stored and published as they come.

        `serve` is given every policy worth serving while better ones are still sought, and the
        last one at the end, unless that is worse than the one that it was held against.

        Raises:
            SpiceError: what ended it; the record says so too.
        """
        if TENSORBOARD in params.get("loggers", ()):
            params = {**params, TENSORBOARD: str(self.logs.folder(pod, number))}
        writes: list[asyncio.Future[int]] = []
        found: asyncio.Queue[dict[str, Any] | None] = asyncio.Queue()

        def on_progress(data: dict[str, Any]) -> None:
            if data.pop("kind", "episode") == "policy":
                found.put_nowait(data)  # a run reports a handful of them
            else:
                writes.append(self._store_episode(pod, number, data))

        keeper = asyncio.create_task(
            self._keep_all(pod, number, found, fingerprint, serve), name=f"policies {pod}/{number}"
        )
        try:
            result = await self.trainers.call(
                "train", params, on_progress=on_progress, deadline=seconds
            )
            await asyncio.gather(*writes)
            if params.get("goal") and result["stopped"] != "goal":
                result = {**result, "missed": params["goal"]}
            found.put_nowait(result)
            found.put_nowait(None)
            return await keeper
        except SpiceError as error:
            await asyncio.gather(*writes, return_exceptions=True)
            await _end(keeper)
            await self._fail(pod, number, "failed", error.code, str(error))
            raise
        except asyncio.CancelledError as cancelled:
            await asyncio.shield(self._record(self._gave_up(pod, number, keeper, cancelled)))
            raise
        except Exception as error:
            await _end(keeper)
            await self._fail(pod, number, "failed", "internal_error", repr(error))
            raise

    async def _keep_all(
        self,
        pod: str,
        number: int,
        found: asyncio.Queue[dict[str, Any] | None],
        fingerprint: str,
        serve: Callable[[Trained], Awaitable[None]],
    ) -> Trained:
        """Keep and serve one policy after the other, in the order in which they were found."""
        kept: Trained | None = None
        while (result := await found.get()) is not None:
            same = kept if kept is not None and kept.policy == result["policy"] else None
            kept = await self._keep(pod, number, result, fingerprint, same)
            if same is None and kept.serves:
                await serve(kept)
        assert kept is not None  # the last one is the result
        return kept

    def _store_episode(self, pod: str, number: int, data: dict[str, Any]) -> asyncio.Future[int]:
        written = self._database.write(
            lambda connection: training_table.add_episode(
                connection,
                pod=pod,
                number=number,
                episode=data["episode"],
                started=data["start"],
                ended=data["end"],
                score=data["score"],
                actions=data["actions_taken"],
                detail=data.get("detail", {}),
            )
        )
        written.add_done_callback(lambda done: self._publish_episode(pod, number, data, done))
        return written

    def _publish_episode(
        self, pod: str, number: int, data: dict[str, Any], written: asyncio.Future[int]
    ) -> None:
        if written.cancelled() or written.exception() is not None:
            return  # whoever awaits the write is told
        row = written.result()
        self._last_episode = max(self._last_episode, row)
        self._episodes.rows([{"id": row, "pod": pod, "number": number, **data}], row, row)

    async def _keep(
        self,
        pod: str,
        number: int,
        result: dict[str, Any],
        fingerprint: str,
        same: Trained | None,
    ) -> Trained:
        """Store a policy as the pod's next version, unless it is the one kept before (`same`).

        A result that says how the run stopped also ends its record.
        """
        policy: bytes = result["policy"]
        digest = await asyncio.to_thread(self._objects.put_bytes, policy)
        final = "stopped" in result

        def store(connection: sqlite3.Connection) -> tuple[int, TrainingRow]:
            if same is not None:
                version = same.version
            else:
                version = policy_table.add(
                    connection,
                    pod=pod,
                    object_hash=digest,
                    fingerprint=fingerprint,
                    algorithm=result["algorithm"],
                    created=time.time(),
                    evaluation=result["evaluation"],
                    training_number=number,
                    aliases=(LATEST,) if take_up.is_taken_up(result["evaluation"]) else (),
                ).version
            decision = take_up.in_words(version, result["evaluation"])
            if not final:
                return version, training_table.get_run(connection, pod, number)
            if "missed" in result:
                decision = f"The goal '{result['missed']}' was not reached. {decision}"
            row = training_table.finish(
                connection,
                pod,
                number,
                state="complete",
                ended=time.time(),
                message=f"{ENDINGS[result['stopped']]} {decision}".strip(),
                algorithm=result["algorithm"],
                evaluation=result["evaluation"],
                policy_version=version,
            )
            training_table.prune(connection, pod)
            return version, row

        version, row = await self._database.write(store)
        self._note(row)
        return Trained(number, version, policy, result["evaluation"])

    async def close(self) -> None:
        """Record no more; ends that the disk still refuses are the next engine's `open`."""
        for task in self._unrecorded:
            task.cancel()
        await asyncio.gather(*self._unrecorded, return_exceptions=True)

    def _record(self, end: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """Record an end, whoever waits for it is cancelled meanwhile: saves come in bursts."""
        task = asyncio.create_task(end, name="end of a training")
        self._unrecorded.add(task)
        task.add_done_callback(self._unrecorded.discard)
        return task

    async def _never_began(
        self, pod: str, written: asyncio.Future[TrainingRow], cancelled: asyncio.CancelledError
    ) -> None:
        with contextlib.suppress(SpiceError):
            await self._interrupted(pod, (await written).number, cancelled)

    async def _gave_up(
        self,
        pod: str,
        number: int,
        keeper: asyncio.Task[Trained],
        cancelled: asyncio.CancelledError,
    ) -> None:
        await _end(keeper)
        await self._interrupted(pod, number, cancelled)

    async def _interrupted(self, pod: str, number: int, cancelled: asyncio.CancelledError) -> None:
        """Record that a run was interrupted, unless it was just complete."""
        message = cancelled.args[0] if cancelled.args else INTERRUPTED
        await self._fail(pod, number, "interrupted", "interrupted", message)

    async def _fail(self, pod: str, number: int, state: str, error: str, message: str) -> None:
        """Record how a run failed; on a full disk that happens later, nobody waits for it."""

        def change(connection: sqlite3.Connection) -> TrainingRow:
            if error in EPISODE_ERRORS:
                # Clients of the original look for errors in the episodes.
                done = training_table.last_episode(connection, pod, number)
                training_table.add_episode(
                    connection,
                    pod=pod,
                    number=number,
                    episode=done + 1,
                    started=ended,
                    ended=ended,
                    score=None,
                    error=error,
                    message=message,
                )
            row = training_table.get_run(connection, pod, number)
            if state == "interrupted" and row.state != training_table.RUNNING:
                return row  # its last policy was being stored, and is
            return training_table.finish(
                connection,
                pod,
                number,
                state=state,
                ended=ended,
                error=error,
                message=message,
            )

        ended = time.time()
        try:
            self._note(await self._database.write(change))
        except (StorageError, Overloaded) as refusal:
            log.warning("the end of training %s/%s waits for the disk: %s", pod, number, refusal)
            self._record(self._record_later(change))

    async def _record_later(self, change: Callable[[sqlite3.Connection], TrainingRow]) -> None:
        while True:
            await asyncio.sleep(LOOK_AGAIN_SECONDS)
            try:
                self._note(await self._database.write(change))
            except (StorageError, Overloaded):
                continue
            return


async def _end(task: asyncio.Task[Trained]) -> None:
    """Stop keeping policies; what is being written is still written whole."""
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
