"""Previews of unsaved manifests on a real engine: they show episodes, and nothing is kept."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest

from spice_engine.errors import InvalidRequest
from spice_tui.async_client import AsyncClient, Feed
from tests.conftest import REPOSITORY, EngineFixture, wait_for

pytestmark = pytest.mark.e2e

GARDENER = REPOSITORY / "sample_pods" / "gardener"
PATH = "spicepods/gardener.yaml"
TEXT = (GARDENER / PATH).read_text()
LONG = TEXT.replace(
    "    waste = 0\n", "    waste = 0\n    for one in range(10000):\n        waste = waste + one\n"
)
"""Its rewards take minutes."""


@pytest.fixture(scope="module")
def garden(shared_engine: EngineFixture) -> EngineFixture:
    """An engine on which the gardener is trained."""
    shutil.copytree(GARDENER, shared_engine.location.root, dirs_exist_ok=True)
    wait_for(lambda: pod(shared_engine).get("state") == "ready", "the gardener")
    return shared_engine


def pod(engine: EngineFixture) -> dict[str, Any]:
    pods = {pod["name"]: pod for pod in engine.call("pods.list")["pods"]}
    return pods.get("gardener", {})


def kept(engine: EngineFixture) -> tuple[Any, ...]:
    """All that a training leaves behind."""
    rows = [
        engine.call("store.query", sql=f"SELECT count(*) FROM {table}")["rows"]
        for table in ("training_runs", "episodes", "policies")
    ]
    scratch = sorted(engine.location.state.glob("tmp/preview-*"))
    info = pod(engine)
    return rows, len(scratch), info["policy_version"], info["last_training"], info["problems"]


class Watched:
    """A client that follows the previews: all that was told of them, in order."""

    def __init__(self, client: AsyncClient) -> None:
        self.client = client
        self.told: list[dict[str, Any]] = []
        self.there: dict[str, Any] = {}
        self._changed = asyncio.Condition()

    async def follow(self, feed: Feed) -> None:
        async for event in feed:
            async with self._changed:
                if event.kind == "snapshot":
                    self.there = dict(event.data)
                else:
                    self.there.update(event.data.get("set", {}))
                    for name in event.data.get("del", ()):
                        del self.there[name]
                    self.told.extend(event.data.get("set", {}).values())
                self._changed.notify_all()

    async def until(self, check: Callable[[], object]) -> None:
        """Wait until what was told makes `check` true."""
        async with asyncio.timeout(60), self._changed:
            await self._changed.wait_for(check)

    async def state_of(self, number: int, *states: str) -> dict[str, Any]:
        """The preview of that number, when it is in one of the states."""

        def found() -> dict[str, Any] | None:
            return next(
                (one for one in self.told if one["number"] == number and one["state"] in states),
                None,
            )

        await self.until(found)
        one = found()
        assert one is not None
        return one

    async def start(self, text: str, pod: str = "gardener", path: str = PATH) -> dict[str, Any]:
        """Start a preview."""
        return await self.client.call("previews.start", {"pod": pod, "text": text, "path": path})


@asynccontextmanager
async def watching(engine: EngineFixture) -> AsyncIterator[Watched]:
    """A client that follows the previews of an engine."""
    client = await AsyncClient.connect(engine.location)
    watched = Watched(client)
    task = asyncio.create_task(watched.follow(client.subscribe("previews")))
    try:
        yield watched
    finally:
        for name in tuple(watched.there):
            await client.call("previews.end", {"pod": name})
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        await client.close()


async def test_a_preview_shows_episodes_and_keeps_nothing(garden: EngineFixture) -> None:
    before = kept(garden)
    async with watching(garden) as watched:
        info = await watched.start(TEXT.replace("seed: 0", "seed: 7"))
        assert info["state"] in ("loading", "training")
        done = await watched.state_of(info["number"], "done", "failed")
        assert (done["state"], done["problems"]) == ("done", [])
        assert [one["episode"] for one in done["episodes"]] == list(range(1, 13))
        assert done["evaluation"]["held_out"]["score"]
        assert done["ended"] >= done["started"]
        first = next(one for one in watched.told if one["episodes"])
        assert len(first["episodes"]) == 1
        assert pod(garden)["state"] == "ready"
        # The same data serve the next text, and go with the end.
        assert len(list(garden.location.state.glob("tmp/preview-*"))) == 1
        again = await watched.start(TEXT.replace("seed: 0", "seed: 8"))
        await watched.state_of(again["number"], "done")
        assert len(list(garden.location.state.glob("tmp/preview-*"))) == 1
        await watched.client.call("previews.end", {"pod": "gardener"})
        await watched.until(lambda: "gardener" not in watched.there)
        assert watched.told[-1]["state"] == "ended"
    assert kept(garden) == before


async def test_the_newest_text_wins(garden: EngineFixture) -> None:
    async with watching(garden) as watched:
        old = await watched.start(LONG)
        await watched.state_of(old["number"], "training")
        *_, new = await asyncio.gather(*(watched.start(TEXT) for _ in range(5)))
        assert new["number"] == old["number"] + 5
        await watched.state_of(new["number"], "done")
        numbers = [one["number"] for one in watched.told]
        assert numbers == sorted(numbers)


async def test_a_save_ends_the_preview(garden: EngineFixture) -> None:
    async with watching(garden) as watched:
        read = await watched.client.call("manifests.read", {"pod": "gardener"})
        running = await watched.start(LONG)
        await watched.state_of(running["number"], "training")
        text = read["text"] + "# saved\n"
        await watched.client.call(
            "manifests.save", {"path": PATH, "text": text, "base": read["digest"]}
        )
        await watched.until(lambda: "gardener" not in watched.there)
        assert watched.told[-1]["state"] == "ended"


async def test_what_is_invalid_says_why_and_what_was_running_ends(garden: EngineFixture) -> None:
    async with watching(garden) as watched:
        await watched.start(LONG)
        wrong = await watched.start(TEXT.replace("name: csv", "name: cvs"))
        assert wrong["state"] == "invalid"
        assert wrong["problems"][0]["fix"]["text"] == "csv"
        broken = await watched.start("name: [")
        assert (broken["state"], broken["problems"][0]["code"]) == ("invalid", "invalid_yaml")
        half = await watched.start(TEXT.replace("gardener", "\x00", 1))
        assert half["state"] == "invalid"
        with pytest.raises(InvalidRequest):
            await watched.start(TEXT, pod="")


async def test_code_and_data_that_fail_are_told_at_their_place(garden: EngineFixture) -> None:
    async with watching(garden) as watched:
        text = TEXT.replace("thirst = 26 - moisture", "thirst = 1 / (moisture - moisture)")
        info = await watched.start(text)
        failed = await watched.state_of(info["number"], "failed")
        (problem,) = failed["problems"]
        assert problem["code"] == "invalid_reward_function"
        assert "1 / (moisture - moisture)" in text.splitlines()[problem["line"] - 1]
        info = await watched.start(TEXT.replace("data/garden.csv", "data/none.csv"))
        failed = await watched.state_of(info["number"], "failed")
        assert "none.csv" in failed["message"]
        info = await watched.start(TEXT.replace("interval: 1h", "interval: 1440h"))
        failed = await watched.state_of(info["number"], "failed")
        assert failed["problems"][-1]["code"] == "insufficient_data"


async def test_reward_files_wait_for_trust(garden: EngineFixture) -> None:
    head = TEXT.partition("  reward_init: |")[0]
    rewards = "".join(
        f"    - reward: {name}\n      with: give\n"
        for name in ("close_valve", "open_valve_half", "open_valve_full")
    )
    text = f"{head}  reward_funcs: rewards.py\n  rewards:\n{rewards}"
    mark = garden.location.root / "ran"
    code = f"open({str(mark)!r}, 'w')\ndef give(current, next):\n    return 1\n"
    (garden.location.root / "rewards.py").write_text(code)
    async with watching(garden) as watched:
        info = await watched.start(text)
        failed = await watched.state_of(info["number"], "failed")
        assert [one["code"] for one in failed["problems"]] == ["needs_trust"]
    assert not mark.exists()


async def test_a_pod_that_is_not_there_yet_is_previewed(garden: EngineFixture) -> None:
    names = [one["name"] for one in garden.call("pods.list")["pods"]]
    async with watching(garden) as watched:
        text = TEXT.replace("name: gardener", "name: sketch")
        info = await watched.start(text, pod="sketch", path="spicepods/sketch.yaml")
        assert (await watched.state_of(info["number"], "done"))["pod"] == "sketch"
    assert [one["name"] for one in garden.call("pods.list")["pods"]] == names
    assert not (garden.location.state / "observations" / "sketch").exists()


async def test_a_saved_training_goes_on_beside_a_preview(garden: EngineFixture) -> None:
    async with watching(garden) as watched:
        running = await watched.start(LONG)
        await watched.state_of(running["number"], "training")
        trained = await watched.client.call("pods.train", {"pod": "gardener", "wait": True})
        assert trained["state"] == "complete"
        assert watched.there["gardener"]["state"] == "training"
