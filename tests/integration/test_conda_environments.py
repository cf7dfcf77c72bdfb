"""Conda environments, made with the real rattler from a channel of our own."""

from __future__ import annotations

import subprocess
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from spice_engine.protocol.servers import Dependencies
from spice_engine.runs import environment_lock
from spice_engine.runs.environment_lock import Lock
from spice_engine.runs.environments import Environment, EnvironmentFailed, Environments
from spice_engine.workers.placement import UNCOUNTED, LocalPlacement
from spice_engine.workers.shims import ShimHost
from tests.integration.conda_channel import make_channel
from tests.integration.run_services import runs_of
from tests.integration.test_environments import output
from tests.integration.test_run_files import log_of, run
from tests.integration.wheels import make_wheel

pytest.importorskip("rattler", reason="py-rattler (extra: conda) is not installed")


@pytest.fixture
async def environments(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Environments]:
    monkeypatch.setenv("RATTLER_CACHE_DIR", str(tmp_path / "cache"))
    channel = make_channel(tmp_path)
    root = tmp_path / "app"
    (root / ".spice").mkdir(parents=True)
    async with ShimHost() as host:
        placement = LocalPlacement(host, capacity=UNCOUNTED)
        made = Environments(root / ".spice", root, placement, channels=[channel])
        yield made
        await made.close()


def tool(made: Environment) -> str:
    command = [made.python.parent / "tool"]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


def lock_of(made: Environment) -> Lock:
    assert made.lock is not None
    return environment_lock.read(made.lock.read_text())


async def test_the_newest_that_goes_together(environments: Environments) -> None:
    made = await environments.ensure(Dependencies(conda=["tool"]), ())
    assert tool(made) == "tool 2"
    assert not made.cached
    lock = lock_of(made)
    assert lock.packages() == {("conda", "tool"): "2.0 0", ("conda", "lib"): "1.5 0"}
    again = await environments.ensure(Dependencies(conda=["tool"]), ())
    assert again.cached
    assert again == made


async def test_a_file_with_channels_and_what_pip_installs_on_top(
    environments: Environments, tmp_path: Path
) -> None:
    wheel = make_wheel(tmp_path)
    channel = make_channel(tmp_path / "other")
    file = f"name: x\nchannels: [{channel}]\ndependencies: [tool=1.0, python, pip: ['{wheel}']]\n"
    made = await environments.ensure(Dependencies(conda_file=file), ())
    assert tool(made) == "tool 1"
    said = output(made.python, "import tiny, sys; print(tiny.NAME, sys.prefix)")
    assert said.split() == ["tiny", str(made.python.parent.parent)]
    lock = lock_of(made)
    assert {record["channel"] for record in lock.conda} == {f"{channel}/"} or all(
        record["url"].startswith(channel) for record in lock.conda
    )
    assert [environment_lock.name_of(line) for line in lock.pip] == ["tiny"]


async def test_one_is_made_again_from_its_lock(environments: Environments) -> None:
    made = await environments.ensure(Dependencies(conda=["tool=1.0"]), ())
    lock = lock_of(made)
    again = await environments.ensure(Dependencies(lock=lock.text()), ())
    assert again.key != made.key
    assert tool(again) == "tool 1"
    assert lock_of(again) == lock
    newest = lock_of(await environments.ensure(Dependencies(conda=["tool"]), ()))
    assert environment_lock.differences(lock, newest) == [
        ("conda", "lib", "", "1.5 0"),
        ("conda", "tool", "1.0 0", "2.0 0"),
    ]


@pytest.mark.parametrize(
    ("dependencies", "said"),
    [
        (Dependencies(conda=["nothing-of-that-name"]), "nothing-of-that-name"),
        (Dependencies(conda=["tool=9"]), "tool"),
        (Dependencies(conda=["tool =!"]), "unable to parse"),
        (Dependencies(conda=["tool"], channels=["file:///no/channel"]), "no/channel"),
    ],
)
async def test_what_cannot_be_solved_is_told(
    environments: Environments, dependencies: Dependencies, said: str
) -> None:
    with pytest.raises(EnvironmentFailed, match="conda packages cannot be installed") as caught:
        await environments.ensure(dependencies, ())
    assert said in caught.value.message
    assert "logs.txt" in caught.value.hint


async def test_a_damaged_package_leaves_nothing_half(
    environments: Environments, tmp_path: Path
) -> None:
    (package,) = (tmp_path / "channel").glob("*/tool-2.0-0.tar.bz2")
    package.write_bytes(package.read_bytes()[:-20])
    with pytest.raises(EnvironmentFailed):
        await environments.ensure(Dependencies(conda=["tool=2.0"]), ())
    assert not list(environments.folder.glob("*/*/venv"))
    assert not list(environments.folder.glob("*/ready"))


async def test_a_run_has_what_activating_it_sets(tmp_path: Path) -> None:
    (tmp_path / "app").mkdir()
    channel = make_channel(tmp_path)
    line = "echo $LIB_HOME; echo $OF_A_PACKAGE; own; echo $CONDA_PREFIX"
    needs = Dependencies(conda=["active"], channels=[channel], setup=["own > $LIB_HOME.txt"])
    async with runs_of(tmp_path / "app", stop=True) as runs:
        found = await run(runs, line, dependencies=needs)
        *said, prefix = log_of(runs, found.id).splitlines()
        assert said == [f"{prefix}/share", "a b", "own"], found.message
        assert Path(f"{prefix}/share.txt").read_text() == "own\n"
        await runs.preparation.environments.close()
