"""Environments that are kept: who has which, how two differ, what goes, and one made again."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from spice_engine.errors import Conflict, NotFound
from spice_engine.protocol.environments import PackageChange
from spice_engine.protocol.runs import StartRun
from spice_engine.protocol.servers import Dependencies
from spice_engine.runs.environment_care import EnvironmentCare
from spice_engine.runs.service import Runs
from spice_runtime import views
from tests.integration.run_services import runs_of
from tests.integration.test_environments import index
from tests.integration.test_run_files import ended, log_of, run, running
from tests.integration.wheels import make_wheel

__all__ = ["index"]

VERSION = "python -c 'import tiny; print(tiny.VERSION)'"


@dataclass(frozen=True)
class World:
    runs: Runs
    care: EnvironmentCare
    wheels: tuple[Path, Path]

    def needs(self, which: int, **more: object) -> Dependencies:
        return Dependencies(pip=[str(self.wheels[which])], **more)  # type: ignore[arg-type]


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    (tmp_path / "app").mkdir()
    async with runs_of(tmp_path / "app", stop=True) as runs:
        care = EnvironmentCare(runs.preparation.environments, runs)
        yield World(runs, care, (make_wheel(tmp_path), make_wheel(tmp_path, "2.0")))
        await runs.preparation.environments.close()


async def test_what_each_run_had_and_how_they_differ(world: World) -> None:
    one = await run(world.runs, VERSION, dependencies=world.needs(0), name="first")
    two = await run(world.runs, VERSION, dependencies=world.needs(1))
    assert [log_of(world.runs, found.id) for found in (one, two)] == ["1.0\n", "2.0\n"]
    first, second = [wheel.as_uri() for wheel in world.wheels]
    changes = (await world.care.diff("first", str(two.id))).changes
    assert changes == [PackageChange("pip", "tiny", first, second)]
    assert (await world.care.diff(f"runs/{one.id}", one.environment)).changes == []
    told = await world.care.show("first")
    assert (told.run, told.key, told.cached) == (one.id, one.environment, False)
    assert told.seconds > 0
    kept = await world.care.list()
    assert [info.key for info in kept.environments] == [one.environment, two.environment]
    assert kept.environments[0].asked == {"pip": [str(world.wheels[0])]}
    assert kept.environments[0].size >= kept.environments[0].own > 0
    bare = await run(world.runs, "true")
    for name in (str(bare.id), "99", "0" * 16, "nobody"):
        with pytest.raises(NotFound):
            await world.care.show(name)


async def test_the_same_again_comes_from_the_cache(world: World) -> None:
    first = await run(world.runs, "true", dependencies=world.needs(0))
    started = await world.runs.start(StartRun("true", dependencies=world.needs(0)))
    assert started.message == "retrieves its cached environment."
    second = await ended(world.runs, started.id)
    told = await world.care.show(str(second.id))
    assert (told.key, told.cached) == (first.environment, True)
    assert told.seconds == (await world.care.show(str(first.id))).seconds


async def test_a_setup_command_is_a_layer_of_its_own(world: World) -> None:
    root = world.runs.location.root
    (root / "more.py").write_text("print('made 1')")
    lines = [f"echo {word} > $VIRTUAL_ENV/word" for word in ("one", "two")]
    say = "cat $VIRTUAL_ENV/word; " + VERSION
    for line, word in zip(lines, ("one", "two"), strict=True):
        found = await run(world.runs, say, dependencies=world.needs(0, setup=[line]))
        assert log_of(world.runs, found.id) == f"{word}\n1.0\n"
    # Both stand on what one without them holds: its packages were looked for once.
    assert len((await world.care.list()).environments) == 3
    reads = world.needs(0, setup=["python more.py"])
    before = await run(world.runs, "true", dependencies=reads)
    (root / "more.py").write_text("print('made another')")
    after = await run(world.runs, "true", dependencies=reads)
    assert before.environment != after.environment


async def test_what_is_in_use_stays_and_a_lock_outlives_its_environment(world: World) -> None:
    started = await world.runs.start(StartRun("sleep 300", dependencies=world.needs(0)))
    await running(world.runs, started.id)
    key = world.runs.known[started.id].environment
    with pytest.raises(Conflict, match="in use"):
        await world.care.remove([key], 0.0)
    assert (await world.care.remove([], 0.0)).keys == []
    assert [info.in_use for info in (await world.care.list()).environments] == [True]
    await world.runs.end(started.id, kill=True)
    await ended(world.runs, started.id)
    gone = await world.care.remove([key], 0.0)
    assert gone.keys == [key]
    assert gone.bytes > 0
    with pytest.raises(NotFound):
        await world.care.remove([key], 0.0)
    with pytest.raises(NotFound):
        await world.care.show(key)
    lock = (await world.care.show(str(started.id))).lock
    again = await run(world.runs, VERSION, dependencies=Dependencies(lock=lock))
    assert log_of(world.runs, again.id) == "1.0\n"
    assert (await world.care.diff(str(started.id), str(again.id))).changes == []
    assert (await world.care.remove([], 0.0)).keys == [again.environment]


async def test_what_fails_leaves_its_log_and_nothing_else(world: World) -> None:
    failed = await run(world.runs, "true", dependencies=world.needs(0, setup=["exit 3"]))
    assert failed.state == "build_failed"
    assert "'exit 3' failed" in failed.message
    folder = world.runs.preparation.environments.folder
    assert len(list(folder.glob("*/*/venv"))) == 1  # what the command would have stood on
    assert len((await world.care.list()).environments) == 1


async def test_what_a_run_does_to_its_environment_is_its_own(world: World, index: None) -> None:
    if not world.runs.preparation.files.ways()[views.OVERLAY]:
        pytest.skip("this machine gives commands no overlays of their own")
    spoil = "echo 'VERSION = 3' > $(python -c 'import tiny; print(tiny.__file__)'); " + VERSION
    spoiler = await run(world.runs, spoil, dependencies=world.needs(0))
    assert log_of(world.runs, spoiler.id) == "3\n"
    install = (
        'test "$(command -v pip)" = "$VIRTUAL_ENV/bin/pip" &&'
        f"python -m pip install --quiet --no-deps --no-index {world.wheels[1]} && {VERSION}"
    )
    installer = await run(world.runs, install, dependencies=world.needs(0))
    assert log_of(world.runs, installer.id) == "2.0\n"
    # Neither the next run nor what the cache gives to another environment knows of it.
    again = await run(world.runs, VERSION, dependencies=world.needs(0))
    assert log_of(world.runs, again.id) == "1.0\n"
    other = await run(world.runs, VERSION, dependencies=world.needs(0, setup=["true"]))
    assert log_of(world.runs, other.id) == "1.0\n"
    assert spoiler.environment == installer.environment == again.environment
    assert not list(world.runs.folder(installer.id).glob("system"))


async def test_what_a_run_is_about_to_use_stays(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    preparation = world.runs.preparation
    laying, go_on = threading.Event(), threading.Event()
    lay_out = preparation._lay_out

    def slowly(*given: object) -> object:
        laying.set()
        go_on.wait(60)
        return lay_out(*given)  # type: ignore[arg-type]

    monkeypatch.setattr(preparation, "_lay_out", slowly)
    started = await world.runs.start(StartRun(VERSION, dependencies=world.needs(0)))
    await asyncio.to_thread(laying.wait, 60)
    try:
        (kept,) = (await world.care.list()).environments
        with pytest.raises(Conflict, match="in use"):
            await world.care.remove([kept.key], 0.0)
        assert (await world.care.remove([], 0.0)).keys == []
    finally:
        go_on.set()
    assert (await ended(world.runs, started.id)).outcome == "success"


async def test_without_overlays_an_environment_is_read_only(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not world.runs.preparation.files.ways()[views.BIND]:
        pytest.skip("this machine gives commands no mounts of their own")
    ways = {views.OVERLAY: False, views.BIND: True}
    monkeypatch.setattr(world.runs.preparation.files, "ways", lambda: ways)
    spoil = "echo 'VERSION = 3' > $(python -c 'import tiny; print(tiny.__file__)') || " + VERSION
    found = await run(world.runs, spoil, dependencies=world.needs(0))
    assert "Read-only file system" in log_of(world.runs, found.id)
    assert log_of(world.runs, found.id).endswith("1.0\n")
