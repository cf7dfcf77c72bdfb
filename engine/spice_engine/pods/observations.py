"""What is posted and streamed to pods: taken in, parsed by a loader, on disk before the answer.

The way of a payload: a queue bounded in bytes; whatever waits when a loader is free is parsed as
one batch; the frames that come back are appended to the pod's files by one write and one
`fdatasync`; then its sender is told. Nothing is half-accepted.
"""

from __future__ import annotations

import asyncio
import logging
import math
from collections import deque
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, cast

from spice_engine.errors import (
    ChildFailed,
    EngineUnavailable,
    InternalError,
    Overloaded,
    SpiceError,
    TooLarge,
)
from spice_engine.pods.observation_body import Body, Caller, Limits, check_key, check_pod, result_of
from spice_engine.pods.observation_files import ObservationFiles
from spice_engine.pods.spool import Spool
from spice_engine.protocol.pods import Observed
from spice_engine.store.framedlog import LARGEST_PAYLOAD

__all__ = ["Body", "Caller", "Limits", "ObservationStore"]

log = logging.getLogger(__name__)

_CLOSE_SECONDS = 10.0
_SEAL_AGAIN_SECONDS = 60.0


@dataclass(slots=True, eq=False)
class _Waiting:
    """A payload on its way, and who waits for it."""

    pod: str
    body: Body
    answer: asyncio.Future[Observed]
    size: int
    frame: bytes = b""
    observed: Observed | None = None


@dataclass(slots=True, eq=False)
class _Pod:
    """A pod's files, once opened, and the frames that wait to be appended to them."""

    name: str
    pending: deque[_Waiting]
    opening: asyncio.Lock
    files: ObservationFiles | None = None
    flushing: bool = False
    sealing: bool = False
    seal_after: float = 0.0


class ObservationStore:
    """The accepted observations of all pods, a folder for each in `folder`.

    `ingest` parses and merges. `close` it at the end.
    """

    def __init__(self, folder: Path, ingest: Caller, limits: Limits | None = None) -> None:
        self._folder = folder
        # A pod's name never holds a plus sign.
        self._spool = Spool(folder / "+incoming")
        self._ingest = ingest
        self._limits = limits or Limits()
        self._on_change: Callable[[str], object] = str
        self._on_post: Callable[[str], object] = str
        self._queue: deque[_Waiting] = deque()
        self._pods: dict[str, _Pod] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._workers = 0
        self._sealer = asyncio.Lock()
        self._waiting: set[_Waiting] = set()
        self._bytes = 0
        self._open = False
        self._counts = dict.fromkeys(
            ("bodies", "rows", "bad_rows", "duplicates", "refused", "failed", "groups", "sealed"), 0
        )

    async def open(
        self, on_change: Callable[[str], object], on_post: Callable[[str], object] = str
    ) -> None:
        """Begins to take in. `on_change` is called with a pod's name after each group of its,
        `on_post` before that where not only feeds sent it.

        Raises:
            StorageError: the folder cannot be made.
        """
        await asyncio.to_thread(self._spool.clear)
        self._on_change, self._on_post = on_change, on_post
        self._open = True

    async def accept(self, pod: str, body: Body) -> Observed:
        """Takes in a payload; its rows are on disk when this returns.

        The same payload to the same dataspace, or the same key, within 24 hours is a `duplicate`
        and counts once. If the caller is cancelled the payload may have been accepted or not.

        Raises:
            InvalidRequest: the pod's name or the key cannot be used.
            InvalidData: the payload cannot be read at all; nothing of it is kept.
            TooLarge: it is over 64 MiB.
            Overloaded: too much waits already.
            StorageError: it cannot be written; nothing of it is kept.
            ChildFailed: the loader died over it.
            EngineUnavailable: the store is closed.
        """
        self._check(pod, body)
        # What lies in a file takes no memory here.
        size = len(body.data) if body.data is not None else 0
        limits = self._limits
        full = self._bytes + size > limits.waiting_bytes and self._bytes > 0
        if full or len(self._waiting) >= limits.waiting_bodies:
            self._counts["refused"] += 1
            raise Overloaded(
                f"{len(self._waiting)} payloads ({self._bytes} bytes) wait to be read already.",
                hint="Try again in a second.",
            )
        answer: asyncio.Future[Observed] = asyncio.get_running_loop().create_future()
        waiting = _Waiting(pod, body, answer, size)
        self._waiting.add(waiting)
        self._bytes += size
        spooled: Path | None = None
        try:
            if body.data is not None and size > limits.inline_bytes:
                spooled = await asyncio.to_thread(self._spool.write, body.data)
                waiting.body = replace(body, data=None, path=str(spooled))
            self._put(waiting)
            return await answer
        finally:
            self._waiting.discard(waiting)
            self._bytes -= size
            if spooled is not None:
                # Not awaited: the caller may be cancelled. Unlinking one file is quick.
                spooled.unlink(missing_ok=True)

    async def files(self, pod: str) -> list[dict[str, Any]]:
        """The pod's files as `loader_params` takes them, oldest first; they stay for five minutes.

        Raises:
            StorageError: they cannot be read.
        """
        found, _ = (await self._opened(pod)).files(self._limits.lease_seconds)
        return found

    @asynccontextmanager
    async def reading(self, pod: str) -> AsyncGenerator[list[dict[str, Any]]]:
        """As `files`, which stay until the end of the block, and can go right after it.

        Raises:
            StorageError: they cannot be read.
        """
        files = await self._opened(pod)
        found, lease = files.files(math.inf)
        try:
            yield found
        finally:
            files.free(lease)

    def stats(self) -> dict[str, float]:
        """Figures for `/metrics`: names that end in `_total` count, others are gauges."""
        counts = {f"{name}_total": float(value) for name, value in self._counts.items()}
        files = [pod.files.counts for pod in self._pods.values() if pod.files is not None]
        return {
            **counts,
            "waiting": float(len(self._waiting)),
            "waiting_bytes": float(self._bytes),
            "parquet_files": float(sum(sealed for sealed, _, _ in files)),
            "segments": float(sum(segments for _, segments, _ in files)),
            "bytes": float(sum(size for _, _, size in files)),
        }

    async def close(self) -> None:
        """Takes in nothing more, finishes what waits (10 s at most), and closes the files."""
        self._open = False
        with suppress(TimeoutError):
            async with asyncio.timeout(_CLOSE_SECONDS):
                while self._tasks:  # those that parse start those that write
                    await asyncio.wait(set(self._tasks))
        while self._tasks:
            for task in self._tasks:
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)
        for waiting in self._waiting:
            _fail(waiting, EngineUnavailable("the engine is stopping; nothing was kept."))
        for pod in self._pods.values():
            if pod.files is not None:
                await asyncio.to_thread(pod.files.close)

    # -- in

    def _check(self, pod: str, body: Body) -> None:
        if not self._open:
            raise EngineUnavailable("the engine is not taking observations now.")
        check_pod(pod)
        check_key(body.key)
        if body.data is not None and len(body.data) > self._limits.body_bytes:
            raise TooLarge(
                f"the payload has {len(body.data)} bytes, over {self._limits.body_bytes}.",
                hint="Send it in parts.",
            )

    def _put(self, waiting: _Waiting) -> None:
        self._queue.append(waiting)
        if self._workers < self._ingest.size:
            self._workers += 1
            self._start(self._work())

    async def _work(self) -> None:
        """Parses batch after batch, each of all that waits, until nothing does."""
        try:
            while self._queue:
                await self._parse(self._next_batch())
        finally:
            self._workers -= 1

    def _next_batch(self) -> list[_Waiting]:
        batch: list[_Waiting] = []
        size = 0
        while self._queue and len(batch) < self._limits.batch_bodies:
            size += self._queue[0].size
            if batch and size > self._limits.batch_bytes:
                break
            waiting = self._queue.popleft()
            if not waiting.answer.done():
                batch.append(waiting)
        return batch

    async def _parse(self, batch: Sequence[_Waiting]) -> None:
        if not batch:
            return
        try:
            entries = await self._ingest.call(
                "ingest",
                {"bodies": [waiting.body.as_dict() for waiting in batch]},
                deadline=self._limits.ingest_seconds,
            )
            results = [result_of(entry) for entry in cast("list[dict[str, Any]]", entries)]
            if len(results) != len(batch):
                raise ChildFailed("the loader did not answer for every payload.")
        except SpiceError as error:
            if len(batch) == 1:
                self._failed(batch[0], error)
                return
            # One of them may have killed the loader: only that one is to fail.
            for waiting in batch:
                await self._parse([waiting])
            return
        for waiting, result in zip(batch, results, strict=True):
            self._parsed(waiting, result)

    def _parsed(self, waiting: _Waiting, result: tuple[Observed, bytes] | SpiceError) -> None:
        if isinstance(result, SpiceError):
            self._failed(waiting, result)
            return
        waiting.observed, waiting.frame = result
        # An answer that is empty, and no rubbish, takes the place of what there was.
        empties = waiting.body.replace is not None and not waiting.observed.bad_rows
        if not waiting.observed.rows and not empties:
            self._done(waiting, waiting.observed)
        elif len(waiting.frame) > LARGEST_PAYLOAD:
            error = TooLarge("the payload's rows take over 16 MiB.", hint="Send it in parts.")
            self._failed(waiting, error)
        else:
            pod = self._pod(waiting.pod)
            pod.pending.append(waiting)
            if not pod.flushing:
                pod.flushing = True
                self._start(self._flush(pod))

    def _failed(self, waiting: _Waiting, error: SpiceError) -> None:
        self._counts["failed"] += 1
        _fail(waiting, error)

    def _done(self, waiting: _Waiting, observed: Observed) -> None:
        self._counts["bodies"] += 1
        self._counts["bad_rows"] += observed.bad_rows
        if observed.duplicate:
            self._counts["duplicates"] += 1
        else:
            self._counts["rows"] += observed.rows
        if not waiting.answer.done():
            waiting.answer.set_result(observed)

    # -- to disk

    async def _flush(self, pod: _Pod) -> None:
        """Appends group after group, each of all frames that wait, until none does."""
        try:
            while pod.pending:
                await self._append(pod, self._next_group(pod))
        finally:
            pod.flushing = False

    def _next_group(self, pod: _Pod) -> list[_Waiting]:
        group = [pod.pending.popleft()]
        size = len(group[0].frame)
        while pod.pending and size + len(pod.pending[0].frame) <= self._limits.group_bytes:
            group.append(pod.pending.popleft())
            size += len(group[-1].frame)
        return group

    async def _append(self, pod: _Pod, group: Sequence[_Waiting]) -> None:
        try:
            files = await self._opened(pod.name)
            duplicates = await asyncio.to_thread(files.append, [one.frame for one in group])
        except SpiceError as error:
            for waiting in group:
                self._failed(waiting, error)
            return
        self._counts["groups"] += 1
        for waiting, duplicate in zip(group, duplicates, strict=True):
            assert waiting.observed is not None
            self._done(waiting, replace(waiting.observed, duplicate=duplicate))
        if any(not (one.body.feed or again) for one, again in zip(group, duplicates, strict=True)):
            self._on_post(pod.name)
        if not all(duplicates):
            self._on_change(pod.name)
        self._seal_soon(pod)

    # -- sealing

    def _seal_soon(self, pod: _Pod) -> None:
        now = asyncio.get_running_loop().time()
        if self._open and not pod.sealing and now >= pod.seal_after:
            pod.sealing = True
            self._start(self._seal(pod))

    async def _seal(self, pod: _Pod) -> None:
        """Merges what can be merged. Where that fails the segments stay, and are read as well."""
        assert pod.files is not None
        try:
            while self._open and (sealing := pod.files.next_sealing()):
                # One at a time, so that children are left for what somebody waits for.
                async with self._sealer:
                    await self._ingest.call(
                        "seal",
                        {"files": [str(file) for file in sealing.files], "out": str(sealing.out)},
                        deadline=self._limits.seal_seconds,
                    )
                    await asyncio.to_thread(pod.files.sealed, sealing)
                self._counts["sealed"] += 1
        except SpiceError as error:
            log.warning("observations of %s could not be sealed: %s", pod.name, error)
            pod.seal_after = asyncio.get_running_loop().time() + _SEAL_AGAIN_SECONDS
        finally:
            pod.sealing = False

    # -- small things

    def _pod(self, name: str) -> _Pod:
        pod = self._pods.get(name)
        if pod is None:
            pod = self._pods[name] = _Pod(name, deque(), asyncio.Lock())
        return pod

    async def _opened(self, name: str) -> ObservationFiles:
        check_pod(name)
        pod = self._pod(name)
        async with pod.opening:
            if pod.files is None:
                pod.files = await asyncio.to_thread(
                    ObservationFiles,
                    self._folder / name,
                    segment_frames=self._limits.segment_frames,
                    segment_bytes=self._limits.segment_bytes,
                )
                self._seal_soon(pod)
            return pod.files

    def _start(self, work: Any) -> None:
        task: asyncio.Task[None] = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            # Without this those who wait would do so for ever.
            log.error("observations: a defect", exc_info=error)
            for waiting in self._waiting:
                _fail(waiting, InternalError(f"taking in observations failed: {error!r}."))


def _fail(waiting: _Waiting, error: SpiceError) -> None:
    if not waiting.answer.done():
        waiting.answer.set_exception(error)
