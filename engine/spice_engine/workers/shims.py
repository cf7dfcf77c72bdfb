"""Starts shims and finds them again: the engine's door to everything that outlives it."""

from __future__ import annotations

import asyncio
import os
import socket
from pathlib import Path
from types import TracebackType

from spice_engine.errors import ChildFailed, Conflict
from spice_engine.records import record
from spice_engine.workers.jobs import (
    Exit,
    Job,
    Lost,
    NeverStarted,
    is_claimed,
    read_exit,
    settle,
    write_job,
)
from spice_engine.workers.shim_client import JobLost, ShimClient
from spice_engine.workers.spawning import Spawner

__all__ = ["Attached", "Exit", "Exited", "Job", "JobLost", "Lost", "NeverStarted", "ShimHost"]

_START_SECONDS = 60.0
_ATTEMPTS = 3


@record
class Attached:
    """The job runs; `client` talks to its shim."""

    client: ShimClient


@record
class Exited:
    """The job has ended."""

    exit: Exit


class ShimHost:
    """Starts jobs and attaches to those an earlier engine started.

    Use it as `async with ShimHost() as host`, or call `close`; jobs live on either way.
    """

    def __init__(self, *, concurrent_starts: int = 0) -> None:
        # A start is computing, here and in the shim. More at once than the machine has cores
        # for would not be faster, and would keep the engine's loop from its core.
        self._starting = asyncio.Semaphore(concurrent_starts or max(4, 2 * (os.cpu_count() or 1)))
        self._spawner = Spawner()
        self._clients: set[ShimClient] = set()
        self._closed = False

    async def __aenter__(self) -> ShimHost:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.close()

    @property
    def spawner_pid(self) -> int:
        """The spawner's process, 0 before the first start."""
        return self._spawner.pid

    @property
    def spawner_starts(self) -> int:
        """How often a spawner was started; more than once means that one died."""
        return self._spawner.starts

    async def start(self, folder: Path, job: Job) -> ShimClient:
        """Starts a job in its own folder (made if need be); `client.pid` is its shim.

        Returns when the command runs, or has ended: a command that can't be started ends with
        exit code 127 or 126. If the caller is cancelled meanwhile, `attach` tells what came of it.

        Raises:
            Conflict: a job was started in this folder before.
            StorageError: the folder cannot be written.
            ChildFailed: no process can be started.
        """
        if self._closed:
            raise Conflict("the engine is shutting down")
        async with self._starting:
            await asyncio.to_thread(write_job, folder, job)
            for _ in range(_ATTEMPTS):
                client = await self._ask(folder)
                if client is not None:
                    return client
                if ended := await asyncio.to_thread(read_exit, folder):
                    raise ChildFailed(f"the job in {folder} was not started: {ended.message}")
                if await asyncio.to_thread(is_claimed, folder):
                    raise Conflict(f"another process took the job in {folder}, or its shim died")
                # The spawner died with the request in its hands: another one gets it.
        raise ChildFailed(
            f"the job in {folder} was not started: the spawner died {_ATTEMPTS} times"
        )

    async def make_ready(self) -> None:
        """Starts the spawner, if it does not run, before the first job asks for it.

        Raises:
            ChildFailed: it cannot be started.
        """
        if not self._closed:
            await self._spawner.make_ready()

    async def rest(self) -> None:
        """Ends the spawner; the next job starts another one."""
        await self._spawner.close()

    async def attach(self, folder: Path) -> Attached | Exited | NeverStarted | Lost:
        """What became of a job, after any restart or crash of the engine.

        Raises:
            NotFound: there is no such folder.
            ChildFailed: the shim lives but does not answer.
        """
        found = await settle(folder)
        if isinstance(found, Exit):
            return Exited(found)
        if not isinstance(found, socket.socket):
            return found
        client = ShimClient(folder, found, greeted=True)
        try:
            await client.status()
        except (ChildFailed, Conflict):
            # It may have ended between the connection and the question. A shim that hangs has
            # not, and its client is waiting for it still.
            if not await _ends_soon(client):
                await client.close()
                raise
            try:
                return Exited(await client.wait())
            except JobLost as lost:
                return Lost(lost.message)
            finally:
                await client.close()
        self._keep(client)
        return Attached(client)

    async def close(self) -> None:
        """Ends all connections and the spawner; the jobs live on."""
        self._closed = True
        await asyncio.gather(*(client.close() for client in list(self._clients)))
        self._clients.clear()
        await self._spawner.close()

    async def _ask(self, folder: Path) -> ShimClient | None:
        mine, theirs = socket.socketpair()
        mine.setblocking(False)
        try:
            await self._spawner.request(folder, theirs)
        except BaseException:
            mine.close()
            raise
        finally:
            # Only the shim may hold the other end, or its death would not be seen.
            theirs.close()
        client = ShimClient(folder, mine, greeted=False)
        try:
            async with asyncio.timeout(_START_SECONDS):
                greeted = await client.greeting()
        except TimeoutError:
            await client.close()
            raise ChildFailed(f"the job in {folder} did not start in {_START_SECONDS} s") from None
        except BaseException:
            await client.close()
            raise
        if not greeted:
            await client.close()
            return None
        self._keep(client)
        return client

    def _keep(self, client: ShimClient) -> None:
        self._clients.add(client)
        client.on_end(self._clients.discard)


async def _ends_soon(client: ShimClient) -> bool:
    try:
        async with asyncio.timeout(2.0):
            await client.ended()
    except TimeoutError:
        return False
    return True
