"""The screens' link: attaches, notices the engine's end, and comes back to a new one."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from spice_engine.errors import EngineUnavailable
from spice_engine.protocol import frames
from spice_engine.protocol.messages import PROTOCOL_VERSION, Kind
from spice_tui.async_client import AsyncClient
from spice_tui.models.link import Connect, Link
from spice_tui.models.world import World
from tests.conftest import EngineFixture


class Linked:
    """A link at work, and waiting for what it tells."""

    def __init__(self, connect: Connect) -> None:
        self.states: list[str] = []
        self._changed = asyncio.Event()
        self.link = Link(connect, self._told)

    def _told(self) -> None:
        state = self.link.take().connection.state
        if self.states[-1:] != [state]:
            self.states.append(state)
        self._changed.set()

    async def until(self, condition: Callable[[World], Any], seconds: float = 20) -> World:
        async with asyncio.timeout(seconds):
            while not condition(world := self.link.take()):
                self._changed.clear()
                await self._changed.wait()
        return world


@asynccontextmanager
async def linked(connect: Connect) -> AsyncIterator[Linked]:
    one = Linked(connect)
    running = asyncio.ensure_future(one.link.run())
    try:
        yield one
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)


def to(engine: EngineFixture) -> Connect:
    return lambda: AsyncClient.connect(engine.location)


async def started(engine: EngineFixture) -> None:
    await asyncio.to_thread(engine.start)


async def test_the_world_fills(engine: EngineFixture) -> None:
    await started(engine)
    async with linked(to(engine)) as one:
        await one.until(lambda world: world.attached and world.engine)
        assert one.link.attached.is_set()
        await one.link.call("packages.add", {"reference": "samples/gardener"})
        run = await one.link.call("runs.start", {"command": "true"})
        one.link.want_history("gardener")
        world = await one.until(
            lambda w: (
                run["id"] in w.runs
                and w.runs[run["id"]].outcome
                and "gardener" in w.pods
                and w.pods["gardener"].policy_version
                and not w.pods["gardener"].training
            ),
            60,
        )
        (training,) = world.trainings_of("gardener")
        assert len(training.episodes) == training.episodes_wanted
        assert one.link.knows_pods


async def until_said(one: Linked, what: list[int]) -> None:
    async with asyncio.timeout(20):
        while not what:
            await one.link.call("engine.ping")


async def test_an_engine_that_is_killed_and_one_that_comes(engine: EngineFixture) -> None:
    await started(engine)
    async with linked(to(engine)) as one:
        await one.until(lambda world: world.attached)
        await one.link.call("packages.add", {"reference": "samples/gardener"})
        one.link.want_history("gardener")
        world = await one.until(
            lambda w: "gardener" in w.pods and w.pods["gardener"].state == "ready", 60
        )
        sizes: list[int] = []
        one.link.follow("log/engine", lambda data: sizes.append(data["size"]))
        await until_said(one, sizes)

        await asyncio.to_thread(engine.kill)
        lost = await one.until(lambda world: world.connection.attempts >= 2)
        assert lost.connection.state == "lost"
        assert lost.connection.retry_at is not None
        assert lost.pods.keys() == world.pods.keys(), "what is shown is as it was"
        assert not one.link.attached.is_set()
        with pytest.raises(EngineUnavailable, match="no engine is attached"):
            await one.link.call("pods.list")

        sizes.clear()
        await started(engine)
        one.link.retry()
        world = await one.until(lambda world: world.attached and "gardener" in world.pods)
        assert len(world.trainings_of("gardener")[0].episodes) > 0
        await until_said(one, sizes)  # a log that was followed is followed again
    assert one.states[0] in ("attached", "connecting")
    assert one.states[-1] == "attached"


async def test_topics_are_followed_by_several_and_until_the_last_leaves(
    engine: EngineFixture,
) -> None:
    await started(engine)
    async with linked(to(engine)) as one:
        await one.until(lambda world: world.attached)
        first: list[Any] = []
        second: list[Any] = []
        heard = asyncio.Event()

        def listen(data: Any) -> None:
            first.append(data)
            heard.set()

        one.link.follow("log/engine", listen)
        await asyncio.wait_for(heard.wait(), 10)
        one.link.follow("log/engine", second.append)
        assert second == first[-1:], "one that comes later hears what was said last"
        one.link.unfollow("log/engine", listen)
        one.link.unfollow("log/engine", second.append)
        one.link.unfollow("log/engine", second.append)
        status = await one.link.call("engine.status")
        assert status["subscriptions"] == 6


async def test_no_engine_yet(engine: EngineFixture) -> None:
    async with linked(to(engine)) as one:
        world = await one.until(lambda world: world.connection.attempts >= 2)
        assert "no engine runs" in world.connection.message
        assert not world.attached
        await started(engine)
        await one.until(lambda world: world.attached)


# -- engines of other kinds, as far as the link can tell


Answer = Callable[[list[Any]], list[list[Any]] | None]
"""What a message is answered with; None hangs up."""


@asynccontextmanager
async def small_engine(folder: Path, answer: Answer) -> AsyncIterator[Connect]:
    """Speaks the frames of the private door, and says what it is told to."""
    path = folder / "engine.sock"

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        parser = frames.FrameParser()
        while data := await reader.read(65536):
            for message in parser.feed(data):
                said = answer(list(message))
                for item in said or ():
                    writer.write(frames.encode(item))
                if said is None:
                    writer.close()
                    return
        writer.close()

    server = await asyncio.start_unix_server(serve, path)

    class Door:
        socket = path
        root = folder

    try:
        yield lambda: AsyncClient.connect(Door())
    finally:
        server.close()


def welcome(protocol: int) -> list[Any]:
    return [
        Kind.WELCOME,
        {
            "protocol": protocol,
            "engine": "9.9",
            "operations": ["pods.trainings"],
            "topics": ["engine", "pods"],
        },
    ]


async def test_an_engine_of_another_protocol_is_refused_for_good(tmp_path: Path) -> None:
    tries: list[Any] = []

    def answer(message: list[Any]) -> list[list[Any]]:
        tries.append(message)
        error = {
            "code": "incompatible_version",
            "message": "the engine speaks protocol 2.",
            "hint": "Update spice-tui.",
        }
        return [[Kind.ERROR, 0, error]]

    async with small_engine(tmp_path, answer) as connect, linked(connect) as one:
        world = await one.until(lambda world: world.connection.state == "refused")
        assert world.connection.message == "the engine speaks protocol 2. Update spice-tui."
        assert len(tries) == 1
        assert world.connection.retry_at is None


async def test_an_engine_that_knows_fewer_topics(tmp_path: Path) -> None:
    asked: list[str] = []

    def answer(message: list[Any]) -> list[list[Any]]:
        if message[0] == Kind.HELLO:
            return [welcome(PROTOCOL_VERSION)]
        asked.append(message[2])
        return [[Kind.SNAPSHOT, message[1], 1, {"old": {"name": "old", "mood": 1}}]]

    async with small_engine(tmp_path, answer) as connect, linked(connect) as one:
        world = await one.until(lambda world: "old" in world.pods and world.engine)
        assert world.pods["old"].state == ""
        assert asked == ["pods", "engine"]


async def test_servers_are_followed_when_they_are_wanted(tmp_path: Path) -> None:
    asked: list[str] = []

    def answer(message: list[Any]) -> list[list[Any]]:
        if message[0] == Kind.HELLO:
            hello = welcome(PROTOCOL_VERSION)
            hello[1]["topics"] = ["engine", "servers"]
            return [hello]
        asked.append(message[2])
        return [[Kind.SNAPSHOT, message[1], 1, {"times": {"name": "times"}}]]

    async with small_engine(tmp_path, answer) as connect, linked(connect) as one:
        await one.until(lambda world: world.attached and world.engine)
        assert asked == ["engine"], "the first paint does without"
        one.link.want("servers", "models")
        one.link.want("servers")
        world = await one.until(lambda world: world.servers)
        assert world.servers["times"].name == "times"
        assert asked == ["engine", "servers"], "once, and no topic that the engine has not"


async def test_a_history_that_the_engine_did_not_give_is_asked_for_again(tmp_path: Path) -> None:
    """The engine goes away while it was about to answer."""
    asked = 0

    def answer(message: list[Any]) -> list[list[Any]] | None:
        nonlocal asked
        if message[0] == Kind.HELLO:
            return [welcome(PROTOCOL_VERSION)]
        if message[0] == Kind.SUBSCRIBE:
            return [[Kind.SNAPSHOT, message[1], 1, {}]]
        asked += 1
        if asked == 1:
            return None
        episode = {"episode": 1, "score": 0.5}
        training = {"pod": "shop", "number": 1, "episodes": [episode]}
        return [[Kind.RESPONSE, message[1], {"trainings": [training]}]]

    async with small_engine(tmp_path, answer) as connect, linked(connect) as one:
        one.link.want_history("shop")
        world = await one.until(lambda world: world.episodes)
        assert [e.score for e in world.episodes["shop/1"]] == [0.5]
        assert asked == 2


async def test_older_runs_come_when_they_are_wanted(
    engine: EngineFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The topic has the newest 200; a part of the screen may want the others, page by page."""
    monkeypatch.setattr("spice_tui.models.link.RUNS_PAGE", 100)
    await started(engine)
    table = engine.location.root / "runs.csv"
    lines = [f"complete,{1000 + number},{number}" for number in range(230)]
    table.write_text("\n".join(["state,created,name", *lines]))
    async with linked(to(engine)) as one:
        await one.until(lambda world: world.attached and world.engine)
        await one.link.call("runs.import_table", {"path": str(table)})
        world = await one.until(lambda world: 230 in world.runs)
        assert len(world.runs) == 230, "what fell out of the topic stays"
    async with linked(to(engine)) as one:
        world = await one.until(lambda world: world.attached and world.runs)
        assert len(world.runs) == 200
        one.link.want_runs()
        world = await one.until(lambda world: len(world.runs) == 230)
        assert world.runs[1].name == "0"


async def test_what_a_dialog_follows_stays_in_the_world(engine: EngineFixture) -> None:
    await started(engine)
    request = {
        "method": "random",
        "parameters": [{"name": "rate", "low": 0.0, "high": 1.0}],
        "trials": 1,
        "metric": "loss",
        "goal": "min",
    }

    def listener(_: object) -> None:
        """A dialog."""

    async with linked(to(engine)) as one:
        await one.until(lambda world: world.attached)
        one.link.want("searches")
        one.link.follow("searches", listener)
        first = await one.link.call("searches.start", request)
        await one.until(lambda world: first["id"] in world.searches)
        one.link.unfollow("searches", listener)
        second = await one.link.call("searches.start", request)
        await one.until(lambda world: second["id"] in world.searches)
