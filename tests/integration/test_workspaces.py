"""Workspaces: how they start, are found again, idle, die, and what is refused.

The notebook server is a small one that answers as Jupyter's does, started as the real one is; the
last test has the real one, where it is installed.
"""

from __future__ import annotations

import asyncio
import importlib.util
import json
import os
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from spice_engine.errors import Conflict, InvalidRequest, NotFound, NotInstalled
from spice_engine.events import Bus
from spice_engine.protocol.servers import Dependencies
from spice_engine.protocol.workspaces import StartWorkspace, WorkspaceInfo
from spice_engine.runs import made_places, notebook_server, workspace_look
from spice_engine.runs.service import Runs
from spice_engine.runs.workspaces import Workspaces
from spice_runtime import process
from tests.integration.notebook_package import notebook_package
from tests.integration.run_services import runs_of
from tests.integration.shim_jobs import until


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("PYTHONPATH", str(notebook_package(tmp_path)))
    app = tmp_path / "app"
    app.mkdir()
    return app


@asynccontextmanager
async def workspaces_of(root: Path, *, stop: bool = True) -> AsyncIterator[tuple[Workspaces, Runs]]:
    async with runs_of(root, stop=stop) as runs:
        workspaces = Workspaces(runs, Bus())
        await runs.adopt_all()
        await workspaces.open()
        try:
            yield workspaces, runs
        finally:
            await workspaces.close()


async def in_state(workspaces: Workspaces, name: str, state: str) -> WorkspaceInfo:
    """The workspace when it is so; one that has failed instead says why."""
    await until(lambda: workspaces.info(name).state in {state, "failed"}, 30.0)
    found = workspaces.info(name)
    assert found.state == state, found.message
    return found


def say(root: Path, ago: float, **more: object) -> None:
    """Have the server tell what was used last so many seconds ago, whole or not at all."""
    part = root / "say.part"
    part.write_text(json.dumps({"ago": ago, "kernels": {}, **more}))
    part.rename(root / "say.json")


async def test_a_workspace_gets_ready_outlives_the_engine_and_comes_back_as_it_was(
    root: Path,
) -> None:
    async with workspaces_of(root, stop=False) as (workspaces, runs):
        asked = StartWorkspace("notes", no_activity_timeout=60.0, env={"COLOR": "red"})
        first, again = await asyncio.gather(
            workspaces.start(asked), workspaces.start(StartWorkspace("notes"))
        )
        assert first.run == again.run
        info = await in_state(workspaces, "notes", "ready")
        assert (info.interface, info.cwd, info.kernels) == ("lab", str(root), 0)
        assert (info.idle_kernel_timeout, info.no_activity_timeout) == (1800.0, 60.0)
        address = await workspaces.address("notes")
        token = (root / ".spice/workspaces/notes/token").read_text()
        assert (address.address, address.token) == (info.address, token)
        run = runs.known[info.run]
        assert (run.kind, run.name, run.link) == ("workspace", "notes", info.address)
        held = runs.folder(info.run)
        assert all(token not in (held / name).read_text() for name in ("job.json", "logs.txt"))
        assert (root / ".spice/workspaces/notes/token").stat().st_mode & 0o777 == 0o600

        other = await workspaces.start(StartWorkspace("other"))
        assert other.port != info.port
        with pytest.raises(Conflict, match="runs already"):
            await workspaces.start(StartWorkspace("notes", cpu=1.0))
        with pytest.raises(Conflict, match="Stop it first"):
            await workspaces.remove("notes")

    async with workspaces_of(root) as (workspaces, runs):
        assert (await in_state(workspaces, "notes", "ready")).run == info.run
        await workspaces.stop("notes")
        stopped = await in_state(workspaces, "notes", "stopped")
        assert stopped.message == "Stopped."
        with pytest.raises(Conflict, match="does not run"):
            await workspaces.address("notes")

        await workspaces.start(StartWorkspace("notes"))
        again = await in_state(workspaces, "notes", "ready")
        assert again.run > info.run
        assert (again.port, again.no_activity_timeout) == (info.port, 60.0)
        assert "red" in (runs.folder(again.run) / "logs.txt").read_text()
        assert runs.known[info.run].archived is not None

        await workspaces.stop("notes")
        await in_state(workspaces, "notes", "stopped")
        await workspaces.remove("notes")
        assert workspaces.names() == ["other"]
        assert not (root / ".spice/workspaces/notes").exists()


async def test_a_command_in_a_terminal_keeps_a_workspace_until_it_ends(root: Path) -> None:
    os.mkfifo(root / "terminal")
    async with workspaces_of(root) as (workspaces, runs):
        say(root, 3600.0)
        await workspaces.start(StartWorkspace("notes", no_activity_timeout=1.0))
        info = await in_state(workspaces, "notes", "ready")
        seen = workspaces._seen["notes"]
        assert isinstance(seen, notebook_server.Activity)
        assert seen.terminals == 1
        await workspace_look.end_if_idle(runs, runs.known[info.run], seen)
        assert runs.known[info.run].state == "running"
        # Whoever reads it ends when it is opened and closed.
        with (root / "terminal").open("wb"):
            pass
        await in_state(workspaces, "notes", "stopped")


async def test_what_is_asked_for_as_it_runs_is_no_change(root: Path) -> None:
    async with workspaces_of(root) as (workspaces, _runs):
        (root / "inner").mkdir()
        asked = StartWorkspace(
            "notes", cwd="inner", env={"JUPYTER_PREFER_ENV_PATH": "1"}, machine_type="CPU"
        )
        first = await workspaces.start(asked)
        assert (await workspaces.start(asked)).run == first.run
        other = StartWorkspace("notes", cwd=".", machine_type="cpu-big", idle_kernel_timeout=1800.0)
        with pytest.raises(Conflict, match=r"otherwise: cwd, machine_type\."):
            await workspaces.start(other)
        # It is started again when it has gone.
        await workspaces.stop("notes")
        again = await workspaces.start(StartWorkspace("notes"))
        assert again.run > first.run
        env = (await workspaces._row(again.run)).env
        assert env["JUPYTER_PREFER_ENV_PATH"] == "1"
        assert again.cwd == str(root / "inner")


async def test_idle_kernels_are_ended_and_then_the_workspace(root: Path) -> None:
    async with workspaces_of(root) as (workspaces, runs):
        say(root, 3600.0, kernels={"a": "idle", "b": "busy"})
        await workspaces.start(
            StartWorkspace("notes", idle_kernel_timeout=1.0, no_activity_timeout=1.0)
        )
        kernels: Callable[[], dict[str, str]] = lambda: json.loads(  # noqa: E731
            (root / "say.json").read_text()
        )["kernels"]
        await until(lambda: kernels() == {"b": "busy"}, 30.0)
        info = await in_state(workspaces, "notes", "ready")
        # It goes on while one works.
        await until(lambda: workspaces.info("notes").kernels == 1, 30.0)
        say(root, 3600.0)
        info = await in_state(workspaces, "notes", "stopped")
        assert info.message == "Stopped: nobody used it for 1 s."
        assert runs.known[info.run].state == "stopped"


async def test_a_server_that_dies_or_does_not_answer_is_told_with_the_reason(root: Path) -> None:
    async with workspaces_of(root) as (workspaces, _runs):
        await workspaces.start(StartWorkspace("notes"))
        await in_state(workspaces, "notes", "ready")
        say(root, 0.0, broken=True)
        # Asked at once, not in its own time.
        workspaces.hurry("notes")
        silent = await in_state(workspaces, "notes", "silent")
        assert silent.message == (
            "The server does not answer: /api/status is answered with status 500."
        )
        say(root, 0.0)
        await in_state(workspaces, "notes", "ready")

        (root / "die").touch()
        await workspaces.start(StartWorkspace("other"))
        failed = await in_state(workspaces, "other", "failed")
        assert failed.message == ("The server exited with code 1: the configuration cannot be read")
    async with workspaces_of(root) as (workspaces, _runs):
        assert (await in_state(workspaces, "other", "failed")).message == failed.message


async def test_what_cannot_be_is_refused(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with workspaces_of(root) as (workspaces, _runs):
        refused: list[tuple[StartWorkspace, type[Exception], str]] = [
            (StartWorkspace("no name"), InvalidRequest, "letters, digits"),
            (StartWorkspace("list"), InvalidRequest, "is a command"),
            (StartWorkspace("notes", interface="emacs"), InvalidRequest, "lab or notebook"),
            (StartWorkspace("notes", no_activity_timeout=-1.0), InvalidRequest, "30 days"),
            (StartWorkspace("notes", port=70000), InvalidRequest, "no port"),
            (StartWorkspace("notes", cwd=str(tmp_path)), InvalidRequest, "no folder in"),
            (StartWorkspace("notes", mounts=["runs/9"]), NotFound, "runs/9"),
            (
                StartWorkspace(
                    "notes", dependencies=Dependencies(conda=["x"], pip=["x"], apt=[""])
                ),
                InvalidRequest,
                "apt",
            ),
            (StartWorkspace("notes", machine_type="tpu"), NotFound, "no machine type"),
        ]
        for request, error, words in refused:
            with pytest.raises(error, match=words):
                await workspaces.start(request)
        with socket.create_server(("127.0.0.1", 0)) as door:
            port = door.getsockname()[1]
            with pytest.raises(Conflict, match=f"port {port} is in use"):
                await workspaces.start(StartWorkspace("notes", port=port))
        calls: list[Callable[[str], Awaitable[object]]] = [workspaces.stop, workspaces.remove]
        for call in calls:
            with pytest.raises(NotFound, match="no workspace 'notes'"):
                await call("notes")
        monkeypatch.setenv("PYTHONPATH", "")
        monkeypatch.setitem(notebook_server.MODULES, "lab", "no_such_jupyterlab")
        with pytest.raises(NotInstalled, match="is not installed"):
            await workspaces.start(StartWorkspace("notes"))
        assert workspaces.names() == []
        assert not list(root.glob(".spice/workspaces/*"))


async def test_a_mount_appears_in_the_folder_itself_and_leaves_no_trace(root: Path) -> None:
    async with workspaces_of(root) as (workspaces, runs):
        if not runs.preparation.files.ways()["bind"]:
            pytest.skip("this machine has no private mounts")
        (root / "seed.txt").touch()
        frozen = await runs.preparation.snapshot()

        async def resolve(path: str) -> str:
            return frozen

        runs.preparation.resolve = resolve
        for place, words in (("seed.txt", "there is a file"), (".spice/x", "engine's own state")):
            with pytest.raises(InvalidRequest, match=words):
                await workspaces.start(StartWorkspace("no", mounts=[f"uploads/seeds:{place}"]))
        mounts = ["uploads/seeds:data/in"]
        await workspaces.start(StartWorkspace("notes", mounts=mounts))
        info = await in_state(workspaces, "notes", "ready")
        assert "'data'" in (runs.folder(info.run) / "logs.txt").read_text()
        assert list((root / "data/in").iterdir()) == []
        # Another has it at the same place, and keeps it there.
        other = await workspaces.start(StartWorkspace("other", mounts=mounts))
        await in_state(workspaces, "other", "ready")
        await workspaces.stop("notes")
        await in_state(workspaces, "notes", "stopped")
        await until(lambda: made_places.some(runs.folder(other.run)), 30.0)
        shim = process.read_json(str(runs.folder(other.run)), process.SHIM) or {}
        assert Path(f"/proc/{shim['child']}/root{root}/data/in/seed.txt").exists()
        await workspaces.stop("other")
        await in_state(workspaces, "other", "stopped")
        await until(lambda: not (root / "data").exists(), 30.0)


def test_an_environment_gets_a_notebook_server_unless_it_names_one() -> None:
    assert notebook_server.needs("lab", ["numpy", "pandas>=2"]) == ["jupyterlab"]
    assert notebook_server.needs("notebook", []) == ["notebook"]
    assert notebook_server.needs("lab", ["jupyterlab==4.4", "numpy"]) == []
    assert notebook_server.needs("lab", ["Jupyter"]) == []


@pytest.mark.slow
@pytest.mark.skipif(
    importlib.util.find_spec("jupyterlab") is None, reason="JupyterLab is not installed"
)
async def test_the_real_jupyterlab_gets_ready_and_stops(tmp_path: Path) -> None:
    async with workspaces_of(tmp_path) as (workspaces, runs):
        await workspaces.start(StartWorkspace("notes"))
        info = await in_state(workspaces, "notes", "ready")
        assert info.last_activity is not None
        token = (await workspaces.address("notes")).token
        assert token not in (runs.folder(info.run) / "logs.txt").read_text()
        await workspaces.stop("notes")
        await in_state(workspaces, "notes", "stopped")
