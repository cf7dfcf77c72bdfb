"""What a run sees of the folder and of other resources, and what it leaves."""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from spice_engine.errors import InvalidRequest, NotFound, StorageError
from spice_engine.protocol.runs import RunInfo, StartRun
from spice_engine.protocol.servers import Dependencies
from spice_engine.runs import preparation, run_files
from spice_engine.runs.service import Runs
from spice_engine.runs.states import info_of
from spice_engine.store import runs as table
from spice_engine.store.runs import FINAL_STATES
from spice_runtime import views
from tests.integration.run_services import runs_of

NOTHING = {views.OVERLAY: False, views.BIND: False}


@pytest.fixture(params=["as it is", "copies"])
async def runs(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Runs]:
    """As this machine has it, and as on one without mounts of one's own."""
    if request.param == "copies":
        monkeypatch.setattr(run_files, "ways_in", lambda _: NOTHING)
    (tmp_path / "app" / "inner").mkdir(parents=True)
    (tmp_path / "app" / "code.txt").write_text("code\n")
    (tmp_path / "app" / "inner" / "more.txt").write_text("more\n")
    async with runs_of(tmp_path / "app", stop=True) as found:
        yield found


async def ended(runs: Runs, number: int) -> RunInfo:
    deadline = time.monotonic() + 60
    while True:
        row = await runs.database.read(lambda connection: table.get(connection, number))
        if row.state in FINAL_STATES:
            return info_of(row)
        assert time.monotonic() < deadline, row
        await asyncio.sleep(0.02)


async def running(runs: Runs, number: int) -> None:
    """What starts it may be told of its preparation, too."""
    deadline = time.monotonic() + 60
    while runs.known[number].state != "running":
        assert time.monotonic() < deadline, runs.known[number]
        await asyncio.sleep(0.02)


async def run(runs: Runs, line: str, **wanted: object) -> RunInfo:
    started = await runs.start(StartRun(line, **wanted))  # type: ignore[arg-type]
    return await ended(runs, started.id)


def outputs(runs: Runs, number: int) -> dict[str, str]:
    folder = runs.folder(number) / "outputs"
    return {
        str(path.relative_to(folder)): path.read_text()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def log_of(runs: Runs, number: int) -> str:
    return (runs.folder(number) / "logs.txt").read_text()


async def until(condition: Callable[[], object]) -> None:
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline
        await asyncio.sleep(0.02)


def resources(runs: Runs, **contents: object) -> dict[str, str]:
    """Stored objects by names, which mounts may name from now on; maps are folders."""
    objects = runs.preparation.files._objects
    found: dict[str, str] = {}
    for name, content in contents.items():
        if isinstance(content, dict):
            folder = runs.location.root.parent / name
            folder.mkdir()
            for file, text in content.items():
                (folder / file).write_text(text)
            found[name] = objects.put_tree(folder).hash
        else:
            found[name] = objects.put_bytes(str(content).encode())

    async def resolve(path: str) -> str:
        if path not in found:
            raise NotFound(f"there is no {path}.")
        return found[path]

    runs.preparation.resolve = resolve
    return found


async def test_a_run_that_destroys_all_it_sees_harms_nobody(runs: Runs) -> None:
    stored = resources(runs, images={"a.png": "picture"}, weights="1234")
    line = (
        "for file in $(find . -type f); do true > $file; done; rm -rf inner images;"
        "echo new > made.txt; mkdir -p deep/er; echo x > deep/er/x; exit 3"
    )
    first = await run(runs, line, mounts=["images", "weights:w/best"])
    assert (first.state, first.outcome, first.exit_code) == ("complete", "failed", 3)
    root = runs.location.root
    assert (root / "code.txt").read_text() == "code\n"
    assert (root / "inner" / "more.txt").read_text() == "more\n"
    assert not (root / "made.txt").exists()
    # What it changed and made is its own, what was mounted is not.
    left = outputs(runs, first.id)
    assert left == {"code.txt": "", "made.txt": "new\n", "deep/er/x": "x\n"}
    assert (first.output_files, first.output_bytes) == (3, 6)
    second = await run(
        runs, "cat code.txt inner/more.txt images/a.png w/best", mounts=["images", "weights:w/best"]
    )
    assert log_of(runs, second.id) == "code\nmore\npicture1234"
    assert second.output_files == 0
    for digest in stored.values():
        runs.preparation.files._objects.verify(digest)
    # Nothing but the outputs and what the shim wrote is left.
    assert not {path.name for path in runs.folder(first.id).iterdir()} & run_files.INNER


async def test_it_begins_where_the_caller_is_and_sees_what_is_not_ignored(runs: Runs) -> None:
    root = runs.location.root
    (root / ".gitignore").write_text("*.bin\nbuild/\n")
    (root / ".spiceignore").write_text("!kept.bin\nsecret.txt\n")
    (root / "build").mkdir()
    for name in ("lost.bin", "kept.bin", "secret.txt", "build/out"):
        (root / name).write_text("x")
    found = await run(runs, "ls; ls ..; echo here > here.txt", cwd="inner")
    assert log_of(runs, found.id).split() == ["more.txt", "code.txt", "inner", "kept.bin"]
    assert outputs(runs, found.id) == {"inner/here.txt": "here\n"}
    assert found.cwd == str(root / "inner")
    with pytest.raises(InvalidRequest, match="left out"):
        await runs.start(StartRun("true", cwd="build"))
    assert set(found.stages) == {"snapshot", "files", "running", "saving"}


async def test_in_place_it_works_on_the_folder_itself(runs: Runs) -> None:
    found = await run(runs, "pwd; echo changed > code.txt", in_place=True)
    assert log_of(runs, found.id) == f"{runs.location.root}\n"
    assert (runs.location.root / "code.txt").read_text() == "changed\n"
    assert found.in_place
    assert found.output_files is None
    resources(runs, thing="x")
    with pytest.raises(InvalidRequest, match="copy of the app folder"):
        await runs.start(StartRun("true", mounts=["thing"], in_place=True))


async def test_stopped_it_keeps_its_outputs_and_killed_it_does_not(runs: Runs) -> None:
    line = "echo half > half.txt; sleep 300"
    for kill, state, left in ((False, "stopped", {"half.txt": "half\n"}), (True, "killed", {})):
        started = await runs.start(StartRun(line))
        folder = runs.folder(started.id)
        await until(lambda folder=folder: list(folder.glob("*/half.txt")))
        await runs.end(started.id, kill=kill)
        found = await ended(runs, started.id)
        assert found.state == state
        assert outputs(runs, started.id) == left
        assert not {path.name for path in folder.iterdir()} & run_files.INNER


async def test_a_timeout_keeps_outputs(runs: Runs) -> None:
    found = await run(runs, "echo half > half.txt; sleep 300", timeout=0.3)
    assert (found.state, found.outcome) == ("stopped", "timeout")
    assert outputs(runs, found.id) == {"half.txt": "half\n"}


async def test_what_ended_while_no_engine_was_there_is_saved_by_the_next(runs: Runs) -> None:
    started = await runs.start(StartRun("sleep 0.3; echo late > late.txt"))
    await runs.close(stop=False)
    await until((runs.folder(started.id) / "exit.json").exists)
    async with runs_of(runs.location.root) as later:
        assert await later.adopt_all() == 1
        found = await ended(later, started.id)
        assert (found.state, found.output_files) == ("complete", 1)
        assert outputs(later, started.id) == {"late.txt": "late\n"}


async def test_what_was_stopped_half_way_into_saving_goes_on(runs: Runs) -> None:
    started = await runs.start(StartRun("echo a > a; echo b > b; sleep 0.3"))
    await runs.close(stop=False)
    folder = runs.folder(started.id)
    await until((folder / "exit.json").exists)
    # An engine that died here had noted the state, and moved one file.
    await runs.database.write(
        lambda connection: table.set_state(connection, started.id, "saving", outcome="success")
    )
    (folder / "outputs").mkdir()
    written = next(folder.glob("*/a"))
    written.rename(folder / "outputs" / "a")
    async with runs_of(runs.location.root) as later:
        await later.adopt_all()
        found = await ended(later, started.id)
        assert (found.state, found.outcome, found.output_files) == ("complete", "success", 2)
        assert outputs(later, started.id) == {"a": "a\n", "b": "b\n"}


async def test_links_and_odd_files(runs: Runs) -> None:
    root = runs.location.root
    (root / "link").symlink_to("code.txt")
    line = (
        "cat link; ln -sf inner/more.txt link; ln -s nowhere gone; mkfifo pipe; mkdir empty;"
        "mkdir __pycache__; touch __pycache__/x"
    )
    found = await run(runs, line)
    assert log_of(runs, found.id) == "code\n"
    left = runs.folder(found.id) / "outputs"
    assert sorted(path.name for path in left.iterdir() if path.name != "code.txt") == [
        "gone",
        "link",
    ]
    assert str((left / "link").readlink()) == "inner/more.txt"
    assert (root / "link").read_text() == "code\n"


async def test_a_closed_folder_is_no_obstacle(runs: Runs) -> None:
    found = await run(runs, "mkdir shut; echo x > shut/x; chmod 500 shut; chmod 400 shut/x")
    assert outputs(runs, found.id) == {"shut/x": "x\n"}


async def test_a_mount_that_is_not_there(runs: Runs) -> None:
    with pytest.raises(NotFound, match="Cannot mount resource 'nothing'"):
        await runs.start(StartRun("true", mounts=["nothing"]))


async def test_a_mount_from_the_root_on(runs: Runs) -> None:
    resources(runs, folder={"a": "in"}, file="one")
    mounts = ["folder:/mnt/spice/deep", "file:/spice-test-file"]
    found = await run(
        runs, "cat /mnt/spice/deep/a /spice-test-file; touch /mnt/spice/deep/b", mounts=mounts
    )
    if runs.preparation.files.ways()[views.BIND]:
        assert log_of(runs, found.id).startswith("inone")
        assert "Read-only" in log_of(runs, found.id)
    else:
        assert found.state == "mount_failed"
        assert "cannot appear at /mnt/spice/deep" in found.message
    alone = await run(runs, "cat /mnt/spice/one", mounts=["file:/mnt/spice/one"])
    if runs.preparation.files.ways()[views.BIND]:
        assert log_of(runs, alone.id) == "one"
    assert not Path("/mnt/spice").exists()
    assert not Path("/spice-test-file").exists()


@pytest.mark.parametrize(
    ("mount", "said"),
    [
        ("folder:code.txt", "there is a file, and a folder is to be shown"),
        ("file:inner", "there is a folder, and a file is to be shown"),
        ("folder:code.txt/deep", "code.txt is a file"),
        ("file:/etc/passwd/x", "/etc/passwd is a file"),
        ("folder:/etc/passwd", "there is a file"),
        ("file:/proc/x", "the kernel's own"),
        ("folder:/", "no place for a mount"),
    ],
)
async def test_a_place_that_a_mount_cannot_take(runs: Runs, mount: str, said: str) -> None:
    resources(runs, folder={"a": "in"}, file="one")
    with pytest.raises(InvalidRequest, match=said):
        await runs.start(StartRun("true", mounts=[mount]))


async def test_a_mount_does_not_hide_the_run_itself(runs: Runs) -> None:
    resources(runs, folder={"a": "in"})
    for place in (runs.location.root.parent, runs.location.state):
        with pytest.raises(InvalidRequest, match="own state"):
            await runs.start(StartRun("true", mounts=[f"folder:{place}"]))


async def test_a_mount_in_the_place_of_the_same_kind_is_seen_instead(runs: Runs) -> None:
    resources(runs, folder={"a": "in"}, file="one")
    found = await run(runs, "ls inner; cat code.txt", mounts=["folder:inner", "file:code.txt"])
    assert log_of(runs, found.id) == "a\none"
    assert found.output_files == 0


async def test_an_environment_that_cannot_be_made(runs: Runs) -> None:
    needs = Dependencies(python=str(runs.location.root / "no-python"))
    found = await run(runs, "true", dependencies=needs)
    assert found.state == "build_failed"
    assert found.stages["environment"] > 0
    assert "no-python" in found.message
    assert found.exit_code is None


async def test_an_environment_of_its_own(runs: Runs) -> None:
    needs = Dependencies(python=sys.executable)
    found = await run(runs, "command -v python", dependencies=needs)
    assert log_of(runs, found.id).strip() == str(Path(sys.executable).with_name("python"))
    assert found.environment
    assert found.stages["environment"] > 0


async def test_stopped_while_its_environment_is_made_it_does_not_begin(runs: Runs) -> None:
    needs = Dependencies(setup=["sleep 300"])
    started = await runs.start(StartRun("echo never", dependencies=needs))
    assert (started.state, started.message) == ("building", "makes its environment.")
    await runs.end(started.id, kill=False)
    found = await ended(runs, started.id)
    assert (found.state, found.message) == ("stopped", "Stopped before it began.")
    assert not (runs.folder(started.id) / "job.json").exists()
    await runs.preparation.environments.close()


async def test_a_folder_that_is_too_large_is_refused(
    runs: Runs, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(preparation, "MOST_BYTES", 3)
    with pytest.raises(StorageError, match="ignored"):
        await runs.start(StartRun("true"))
    assert (await run(runs, "true", in_place=True)).state == "complete"


async def test_files_that_no_run_sees_any_more_are_removed(runs: Runs) -> None:
    resources(runs, folder={"a": "in"})
    started = await runs.start(StartRun("sleep 300", mounts=["folder"]))
    await running(runs, started.id)
    trees = runs.preparation.files.trees
    await runs.tidy()
    row = await runs.database.read(lambda connection: table.get(connection, started.id))
    needed = {row.code, row.mounts[0].object}
    assert trees.sweep(needed, age=-1.0) == 0
    await runs.end(started.id, kill=True)
    await ended(runs, started.id)
    if runs.preparation.files.ways()[views.OVERLAY]:
        assert trees.sweep((), age=-1.0) == 2
        assert [path.name for path in (runs.location.state / "trees").rglob("*")] == ["files"]
