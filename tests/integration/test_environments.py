"""Python environments, made with the real uv under real shims."""

from __future__ import annotations

import asyncio
import functools
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from spice_engine.errors import InvalidRequest
from spice_engine.protocol.servers import Dependencies
from spice_engine.runs import environment_builds
from spice_engine.runs.environment_folder import READY
from spice_engine.runs.environments import BASE, EnvironmentFailed, Environments
from spice_engine.runs.pip_configuration import uv_variables
from spice_engine.workers.placement import UNCOUNTED, LocalPlacement
from spice_engine.workers.shims import ShimHost

NOWHERE = "http://127.0.0.1:9/simple"


@functools.cache
def index_answers() -> bool:
    """Whether the base can be installed here at all: from an index, or from uv's cache."""
    from uv import find_uv_bin

    with tempfile.TemporaryDirectory() as empty:
        command = [find_uv_bin(), "pip", "install", "--dry-run", "--quiet", "--target", empty]
        try:
            done = subprocess.run(
                [*command, "--python", sys.executable, *BASE],
                env={**os.environ, **uv_variables(os.environ)},
                cwd=empty,
                capture_output=True,
                timeout=60,
            )
        except subprocess.TimeoutExpired:
            return False
    return done.returncode == 0


@pytest.fixture
def index() -> None:
    if not index_answers():
        pytest.skip("no package index can be reached, and uv's cache is empty")


@pytest.fixture
def root(tmp_path: Path) -> Path:
    folder = tmp_path / "app"
    (folder / ".spice").mkdir(parents=True)
    return folder


@pytest.fixture
async def host() -> AsyncIterator[ShimHost]:
    async with ShimHost() as host:
        yield host


@pytest.fixture
async def environments(host: ShimHost, root: Path) -> AsyncIterator[Environments]:
    found = _environments(host, root)
    yield found
    await found.close()


def _environments(host: ShimHost, root: Path) -> Environments:
    return Environments(root / ".spice", root, LocalPlacement(host, capacity=UNCOUNTED))


def output(python: Path, program: str) -> str:
    """What a program prints in an environment that knows nothing of ours."""
    done = subprocess.run(
        [python, "-I", "-c", program], capture_output=True, text=True, check=True, timeout=60
    )
    return done.stdout.strip()


async def test_the_base_is_there_and_nothing_of_ours(
    environments: Environments, index: None
) -> None:
    made = await environments.ensure(Dependencies())
    assert output(made.python, "import starlette, orjson, prometheus_client") == ""
    finder = "import importlib.util as u; print(u.find_spec('spice_engine'), u.find_spec('numpy'))"
    assert output(made.python, finder) == "None None"
    assert "starlette==" in made.packages
    again = await environments.ensure(Dependencies())
    assert again == made


async def test_requests_at_once_share_one_build(
    environments: Environments, root: Path, index: None
) -> None:
    wishes = [environments.ensure(Dependencies()) for _ in range(5)]
    made = await asyncio.gather(*wishes)
    assert len(set(made)) == 1
    (folder,) = (root / ".spice" / "environments").iterdir()
    assert len([item for item in folder.iterdir() if item.is_dir()]) == 1


async def test_one_who_leaves_takes_nothing_from_the_others(
    environments: Environments, index: None
) -> None:
    leaver = asyncio.create_task(environments.ensure(Dependencies()))
    stayer = asyncio.create_task(environments.ensure(Dependencies()))
    await asyncio.sleep(0.01)
    leaver.cancel()
    assert (await stayer).python.exists()


def test_the_key_follows_what_decides_the_content(root: Path) -> None:
    environments = _environments(ShimHost(), root)
    key = environments.key(Dependencies(pip=["a", "b"], requirements="c\n# note\n"))
    assert key == environments.key(Dependencies(pip=["b", "a"], requirements="c"))
    others = [
        Dependencies(pip=["a"], requirements="c"),
        Dependencies(pip=["a", "b"], requirements="c", setup=["true"]),
        Dependencies(pip=["a", "b"], requirements="c", python="3.12"),
    ]
    assert len({key, *(environments.key(other) for other in others)}) == 4
    assert environments.key(Dependencies(pip=["a", "b"], requirements="c"), ()) != key
    wheel = root / "tiny-1.0-py3-none-any.whl"
    wheel.write_bytes(b"one")
    local = Dependencies(pip=[f"./{wheel.name}"])
    key = environments.key(local)
    assert environments.key(local) == key
    wheel.write_bytes(b"another")
    assert environments.key(local) != key
    for name, file in (("package", "code.py"), ("live", "setup.py")):
        (root / name).mkdir()
        (root / name / file).write_text("1")
    folder, live = Dependencies(pip=["./package[all]"]), Dependencies(requirements="-e ./live")
    keys = [environments.key(asked) for asked in (folder, live)]
    for name in ("package/build", "package/.git", "live/inner"):
        (root / name).mkdir()
        (root / name / "more.py").touch()  # what building leaves, and what is used where it lies
    assert keys == [environments.key(asked) for asked in (folder, live)]
    (root / "package" / "code.py").write_text("one more")
    (root / "live" / "setup.py").write_text("one more")
    changed = [environments.key(asked) for asked in (folder, live)]
    assert not set(changed) & set(keys)


@pytest.mark.parametrize(
    ("dependencies", "said"),
    [
        (Dependencies(pip=["no-such-package-of-spice-tui"]), "no-such-package-of-spice-tui"),
        (Dependencies(pip=["idna==99.9"]), "idna==99.9"),
        (Dependencies(pip=["idna=>3"]), "idna=>3"),
        (Dependencies(python="3.1"), "there is no Python"),
    ],
)
async def test_what_uv_refuses_is_told(
    environments: Environments, dependencies: Dependencies, said: str, index: None
) -> None:
    with pytest.raises(EnvironmentFailed, match=said.replace(".", r"\.")) as caught:
        await environments.ensure(dependencies, ())
    assert "logs.txt" in caught.value.hint
    assert environments.building == ()


async def test_an_index_that_does_not_answer_is_told_as_such(
    environments: Environments, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _only_index(monkeypatch, NOWHERE, root)
    with pytest.raises(EnvironmentFailed, match="no package index can be reached"):
        await environments.ensure(Dependencies(pip=["idna==3.10"]), ())


async def test_without_an_index_the_cache_is_enough(
    environments: Environments,
    host: ShimHost,
    root: Path,
    monkeypatch: pytest.MonkeyPatch,
    index: None,
) -> None:
    await environments.ensure(Dependencies())
    monkeypatch.setenv("UV_OFFLINE", "1")
    other = Environments(root / ".other", root, LocalPlacement(host, capacity=UNCOUNTED))
    assert (await other.ensure(Dependencies())).python.exists()


def _only_index(monkeypatch: pytest.MonkeyPatch, url: str, root: Path) -> None:
    for name in list(os.environ):
        if name.startswith(("PIP_", "UV_")):
            monkeypatch.delenv(name)
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("PIP_INDEX_URL", url)
    monkeypatch.setenv("UV_CACHE_DIR", str(root / "cache"))
    monkeypatch.setenv("UV_HTTP_RETRIES", "0")


async def test_setup_commands_run_inside_once(environments: Environments, root: Path) -> None:
    line = 'python -c \'import sys; print(sys.prefix, file=open("made", "a"))\''
    dependencies = Dependencies(setup=[line])
    made = await environments.ensure(dependencies, ())
    await environments.ensure(dependencies, ())
    assert (root / "made").read_text() == f"{made.python.parent.parent}\n"


async def test_a_setup_command_that_fails_is_named(environments: Environments) -> None:
    with pytest.raises(EnvironmentFailed, match=r"'false' failed") as caught:
        await environments.ensure(Dependencies(setup=["true", "echo so far", "false"]), ())
    assert "so far" in caught.value.message


@pytest.mark.parametrize(
    "dependencies",
    [
        Dependencies(apt=["libgl1"]),
        Dependencies(apt=["--option"]),
        Dependencies(image="/"),
        Dependencies(conda_file="dependencies: numpy"),
        Dependencies(conda_file="dependencies: [{conda: [numpy]}]"),
        Dependencies(conda_file="dependencies: ["),
        Dependencies(conda=["numpy"], requirements="idna"),
        Dependencies(conda_file="dependencies: [pip, {pip: [idna, -r more.txt]}]"),
        Dependencies(requirements="idna\n--constraint=limits.txt\n"),
        Dependencies(conda=["numpy"], image="/"),
        Dependencies(lock="{}"),
        Dependencies(lock="[" * 100_000),
        Dependencies(python="~nobody-of-that-name/python"),
        Dependencies(lock='{"version":1}', pip=["idna"]),
        Dependencies(pip=["--index-url=http://127.0.0.1"]),
        Dependencies(pip=["a\nb"]),
        Dependencies(pip=["idna"], python=sys.executable),
        Dependencies(python="/no/such/python"),
        Dependencies(python="/bin/cat"),
    ],
)
async def test_what_cannot_be_had_is_refused(
    environments: Environments, root: Path, dependencies: Dependencies
) -> None:
    with pytest.raises(InvalidRequest):
        await environments.ensure(dependencies)
    assert not (root / ".spice" / "environments").exists()


async def test_an_interpreter_by_path_is_used_as_it_is(environments: Environments) -> None:
    found = await environments.ensure(Dependencies(python=sys.executable))
    assert found.python == Path(sys.executable)
    assert "pytest==" in found.packages


async def test_a_broken_environment_is_made_anew(environments: Environments) -> None:
    made = await environments.ensure(Dependencies(), ())
    made.python.unlink()
    again = await environments.ensure(Dependencies(), ())
    assert again.key == made.key
    assert output(again.python, "print(1)") == "1"


async def test_the_next_engine_takes_up_what_is_being_made(root: Path) -> None:
    dependencies = Dependencies(setup=["sleep 1", "echo once >> made"])
    async with ShimHost() as host:
        first = _environments(host, root)
        waiting = asyncio.create_task(first.ensure(dependencies, ()))
        await _appears(root / ".spice", "pyvenv.cfg")
        await first.close(leave=True)
        with pytest.raises(asyncio.CancelledError):
            await waiting
    async with ShimHost() as host:
        second = _environments(host, root)
        made = await second.ensure(dependencies, ())
        assert made.python.exists()
        assert (root / "made").read_text() == "once\n"
        await second.close()


async def test_what_nobody_waits_for_is_given_up_and_made_anew_for_who_asks(
    environments: Environments, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(environment_builds, "PATIENCE_SECONDS", 0.0)
    line = "if [ -e again ]; then exit 0; fi; touch again; sleep 60"
    waiting = asyncio.create_task(environments.ensure(Dependencies(setup=[line]), ()))
    await _appears(root, "again")
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    made = await environments.ensure(Dependencies(setup=[line]), ())
    assert made.python.exists()
    assert environments.building == ()


async def test_close_ends_what_is_being_made(host: ShimHost, root: Path) -> None:
    environments = _environments(host, root)
    waiting = asyncio.create_task(environments.ensure(Dependencies(setup=["sleep 60"]), ()))
    await _appears(root / ".spice", "pyvenv.cfg")
    await environments.close()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert "killed" in (await _appears(root / ".spice", "exit.json")).read_text()


async def _appears(folder: Path, name: str) -> Path:
    for _ in range(500):
        for found in folder.rglob(name):
            return found
        await asyncio.sleep(0.02)
    raise AssertionError(f"{name} did not appear")


async def test_what_nobody_uses_goes(environments: Environments, root: Path) -> None:
    old = await environments.ensure(Dependencies(), ())
    used = await environments.ensure(Dependencies(setup=["true"]), ())
    fresh = await environments.ensure(Dependencies(setup=["true", "true"]), ())
    long_ago = time.time() - 31 * 86400
    for environment in (old, used):
        os.utime(root / ".spice" / "environments" / environment.key / READY, (long_ago, long_ago))
    assert await environments.prune({used.key}) == [old.key]
    assert [item.python.exists() for item in (old, used, fresh)] == [False, True, True]
