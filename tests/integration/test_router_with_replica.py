"""The router with real replicas: what is lost when their processes are killed (nothing)."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
import tempfile
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

import spice_runtime
from spice_engine.errors import ChildFailed
from spice_engine.protocol.servers import Batching, Door
from spice_engine.serving.figures import Figures
from spice_engine.serving.link import ReplicaLink
from spice_engine.serving.router import Router
from tests.unit.fake_replica import Recorded, until

HOST = Path(spice_runtime.__file__).parent / "replica.py"

ECHO = """
from spice_runtime import BasePredictor

class P(BasePredictor):
    def predict(self, payload):
        return payload
"""
SLOW = """
import os, time
from spice_runtime import BasePredictor

class P(BasePredictor):
    def predict(self, payload):
        if payload.get("die"):
            os._exit(9)
        time.sleep(payload.get("sleep", 0))
        return {"pid": os.getpid(), **payload}
"""
ASYNC = """
import asyncio, os
from spice_runtime import BasePredictor

class P(BasePredictor):
    async def predict(self, payload):
        if payload.get("die"):
            os._exit(9)
        await asyncio.sleep(payload.get("sleep", 0))
        return payload
"""
BATCH = """
import os, time
from spice_runtime import BasePredictor

class P(BasePredictor):
    def predict(self, payloads):
        if any(p.get("die") for p in payloads):
            os._exit(9)
        time.sleep(0.01)
        return [{"n": p["n"] * 2, "batch": len(payloads), "inverse": 1 / p["n"]} for p in payloads]
"""
STREAM = """
from spice_runtime import BasePredictor

class P(BasePredictor):
    def predict(self, payload):
        for n in range(payload["chunks"]):
            yield b"x" * 65536
"""


class Process:
    """One replica's process, started anew where it is told to."""

    def __init__(self, code: str, **job: Any) -> None:
        # Paths of sockets are short.
        self._folder = tempfile.TemporaryDirectory(prefix="sp")
        self.folder = Path(self._folder.name)
        (self.folder / "predictor.py").write_text(code)
        spec = {
            "version": 1,
            "server": "s",
            "replica": 1,
            "server_version": 1,
            "type": "script",
            "entrypoint": "predictor.py",
            "code": str(self.folder),
            "classname": "",
            "config": {},
            "models": [],
            "model_dir": "",
            "mounts_dir": "",
            "control_socket": str(self.folder / "c"),
            "lane_socket": str(self.folder / "l"),
            "started": str(self.folder / "started"),
            "num_processes": 1,
            "threads": 1,
            "max_concurrency": 256,
            "batching": False,
            "debug": False,
            "request_prefix": "",
            **job,
        }
        (self.folder / "replica.json").write_text(json.dumps(spec))
        self.process: asyncio.subprocess.Process | None = None

    async def start(self) -> ReplicaLink:
        """Start it, and connect to it when it is ready."""
        with (self.folder / "log").open("ab") as log:
            self.process = await asyncio.create_subprocess_exec(
                sys.executable,
                "-s",
                str(HOST),
                str(self.folder / "replica.json"),
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        link = ReplicaLink(
            self.folder / "c", self.folder / "l", self.folder / "started", name=self.folder.name
        )
        await link.connect(20)
        await link.loaded(20)
        assert (await link.health())[0] == 200
        return link

    async def kill(self) -> None:
        assert self.process is not None
        with suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        await self.process.wait()

    async def close(self) -> None:
        await self.kill()
        self._folder.cleanup()


class Server:
    """A router and its replicas; each that dies is started anew, as a deployment would."""

    def __init__(self, code: str, *, replicas: int = 1, batching: bool = False, **job: Any) -> None:
        self.figures = Figures()
        self.router = Router(
            Door(max_queue=10_000), Batching(batching), self.figures, asyncio.get_running_loop()
        )
        self.processes = [Process(code, batching=batching, **job) for _ in range(replicas)]
        self.links: dict[Process, ReplicaLink] = {}
        self.tasks: list[asyncio.Task[None]] = []

    async def __aenter__(self) -> Server:
        for process in self.processes:
            await self.up(process)
        return self

    async def up(self, process: Process) -> None:
        link = await process.start()
        self.links[process] = link
        link.on_lost = lambda link: self.tasks.append(
            asyncio.create_task(self._anew(process, link))
        )
        await self.router.attach(link)

    async def _anew(self, process: Process, link: ReplicaLink) -> None:
        await process.kill()
        self.router.detach(link)
        await link.close()
        await self.up(process)

    async def __aexit__(self, *_: object) -> None:
        for link in self.links.values():
            link.on_lost = None
        for task in self.tasks:
            await task
        self.router.close()
        for link in self.links.values():
            await link.close()
        for process in self.processes:
            await process.close()

    def call(self, payload: object, within: float = 30.0) -> Recorded:
        call = Recorded(json.dumps(payload).encode(), within=within)
        self.router.submit(call)
        return call


async def test_calls_go_through_and_the_predictor_is_described() -> None:
    async with Server(ECHO) as server:
        calls = [server.call({"n": n}) for n in range(500)]
        for n, call in enumerate(calls):
            assert await call.wait() == 200
            assert json.loads(call.text) == {"n": n}
        link = server.links[server.processes[0]]
        assert link.predictor["lanes"] == 1
        assert "prometheus" in await link.metrics()
        bad = Recorded(b"{not json")
        server.router.submit(bad)
        assert await bad.wait() == 400


@pytest.mark.slow
async def test_nothing_is_lost_when_replicas_are_killed_in_turns() -> None:
    async with Server(SLOW, replicas=2) as server:
        over = time.monotonic() + 6
        calls: list[Recorded] = []

        async def client(number: int) -> None:
            turn = 0
            while time.monotonic() < over:
                turn += 1
                call = server.call({"n": [number, turn], "sleep": 0.002})
                calls.append(call)
                assert await call.wait(20) == 200
                assert json.loads(call.text)["n"] == [number, turn]

        clients = [asyncio.create_task(client(number)) for number in range(64)]
        kills = 0
        while time.monotonic() < over - 1:
            await asyncio.sleep(0.7)
            process = server.processes[kills % 2]
            before = server.links[process]
            await process.kill()
            await until(lambda p=process, b=before: server.links[p] is not b)
            await until(lambda p=process: server.links[p].lanes)
            kills += 1
        await asyncio.gather(*clients)
        assert kills >= 3
        assert {call.status for call in calls} == {200}
        assert server.figures.snapshot(time.monotonic()).retries >= 1


async def test_nothing_is_lost_when_the_only_replica_is_killed() -> None:
    async with Server(SLOW) as server:
        calls = [server.call({"sleep": 0.02}) for _ in range(20)]
        await calls[2].wait()
        await server.processes[0].kill()
        assert [await call.wait() for call in calls] == [200] * 20
        pids = {json.loads(call.text)["pid"] for call in calls}
        assert len(pids) == 2


async def test_poison_is_answered_502_and_takes_nobody_with_it() -> None:
    async with Server(SLOW, replicas=2, threads=3) as server:
        calls = [server.call({"sleep": 0.01}) for _ in range(20)]
        poison = server.call({"die": True})
        calls += [server.call({"sleep": 0.01}) for _ in range(20)]
        assert await poison.wait(20) == 502
        assert [await call.wait(20) for call in calls] == [200] * 40
        assert len(server.tasks) == 2


async def test_calls_under_way_in_an_async_replica_are_done_again() -> None:
    async with Server(ASYNC, replicas=2) as server:
        calls = [server.call({"sleep": 0.05, "n": n}) for n in range(100)]
        poison = server.call({"die": True})
        assert await poison.wait(20) == 502
        assert [await call.wait(20) for call in calls] == [200] * 100


async def test_a_killed_worker_process_gets_a_successor_and_nothing_is_lost() -> None:
    async with Server(SLOW, num_processes=2) as server:
        link = server.links[server.processes[0]]
        assert len(link.lanes) == 2
        main = server.processes[0].process
        assert main is not None
        forked = next(pid for pid in link.workers if pid != main.pid)
        calls = [server.call({"sleep": 0.01}) for _ in range(60)]
        await calls[4].wait()
        os.kill(forked, signal.SIGKILL)
        assert [await call.wait() for call in calls] == [200] * 60
        await until(lambda: len(link.lanes) == 2)
        assert forked not in link.workers
        assert not link.lost


async def test_one_bad_item_of_a_batch_fails_alone() -> None:
    async with Server(BATCH, batching=True) as server:
        calls = [server.call({"n": n}) for n in range(1, 9)]
        zero = server.call({"n": 0})
        more = [server.call({"n": n}) for n in range(9, 17)]
        assert await zero.wait() == 500
        for n, call in enumerate(calls + more, start=1):
            assert await call.wait() == 200
            assert json.loads(call.text)["n"] == 2 * n
        poison = server.call({"n": 1, "die": True})
        after = [server.call({"n": n}) for n in range(1, 9)]
        assert await poison.wait(20) == 502
        assert [await call.wait(20) for call in after] == [200] * 8


async def test_a_stream_waits_for_credit_and_comes_whole() -> None:
    async with Server(STREAM) as server:
        call = server.call({"chunks": 20})
        await until(lambda: len(call.chunks) >= 4)
        await asyncio.sleep(0.1)
        held = sum(map(len, call.chunks))
        assert held < 20 * 65536
        while not call.done:
            server.router.credit(call, 65536 * 4)
            await asyncio.sleep(0.01)
        assert call.trouble == ""
        assert sum(map(len, call.chunks)) == 20 * 65536


async def test_a_cancelled_or_late_call_leaves_its_worker_to_the_others() -> None:
    async with Server(SLOW) as server:
        late = server.call({"sleep": 0.3}, within=0.1)
        left = server.call({"sleep": 30})
        after = server.call({"sleep": 0})
        await asyncio.sleep(0.02)
        server.router.cancel(left)
        assert await late.wait() == 504
        assert await after.wait(5) == 200


async def test_the_next_engine_takes_up_a_replica_that_goes_on() -> None:
    async with Server(SLOW) as server:
        process = server.processes[0]
        link = server.links[process]
        link.on_lost = None
        pid = json.loads(await _text(server.call({})))["pid"]
        server.router.detach(link)
        await link.close()
        again = ReplicaLink(process.folder / "c", process.folder / "l", process.folder / "started")
        await again.connect()
        await again.loaded(5)
        server.links[process] = again
        await server.router.attach(again)
        assert json.loads(await _text(server.call({})))["pid"] == pid


async def test_drain_ends_the_process_after_its_calls() -> None:
    async with Server(SLOW) as server:
        link = server.links[server.processes[0]]
        link.on_lost = None
        call = server.call({"sleep": 0.1})
        assert await server.router.drain(link, 10) is True
        assert call.status == 200
        link.drain()
        process = server.processes[0].process
        assert process is not None
        async with asyncio.timeout(10):
            assert await process.wait() == 0


async def test_what_fails_to_load_says_why() -> None:
    process = Process("import nosuchmodule\n")
    with pytest.raises(ChildFailed, match="nosuchmodule"):
        await process.start()
    await process.close()


async def _text(call: Recorded) -> bytes:
    assert await call.wait() == 200
    return call.text
