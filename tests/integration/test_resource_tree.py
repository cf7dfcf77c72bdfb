"""The resource tree as runs and people see it: references, public folders, what may be mounted."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from spice_engine.errors import Conflict, InvalidRequest, InvalidSettings, NotFound
from spice_engine.events import Bus
from spice_engine.protocol.resources import ReadResource, ResourcePath
from spice_engine.protocol.runs import RunInfo, StartRun
from spice_engine.runs import resource_operations
from spice_engine.runs.public_folders import PublicFolders
from spice_engine.runs.resource_uploads import Uploads
from spice_engine.runs.resources import ResourceTree
from spice_engine.runs.service import Runs
from spice_engine.store import runs as run_table
from spice_engine.store.series import Point
from tests.integration.run_services import runs_of


@dataclass(frozen=True)
class World:
    runs: Runs
    tree: ResourceTree
    uploads: Uploads
    folder: Path

    async def run(self, line: str, **wanted: object) -> RunInfo:
        started = await self.runs.start(StartRun(line, **wanted))  # type: ignore[arg-type]
        return await self.runs.wait_over(started.id)

    def log_of(self, run: RunInfo) -> str:
        return (self.runs.folder(run.id) / "logs.txt").read_text()

    async def number(self, path: str) -> int | None:
        return (await self.tree.resolve(path)).run


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    (tmp_path / "app").mkdir()
    shared = tmp_path / "shared"
    (shared / "deep").mkdir(parents=True)
    (shared / "deep" / "a.txt").write_text("public a\n")
    (shared / "out").symlink_to(tmp_path)
    async with runs_of(tmp_path / "app") as runs:
        objects = runs.preparation.files._objects
        public = [f"pictures={shared}", "../nowhere"]
        tree = ResourceTree(runs.location, runs.database, runs.metrics, objects, Bus(), public)
        await tree.open()
        runs.preparation.resolve = tree.stored_object
        yield World(runs, tree, Uploads(tree, runs.database, Bus()), tmp_path)


async def made(world: World, *labels: str, **metrics: float) -> int:
    """A run that is over, with a file."""

    row = await world.runs.database.write(
        lambda connection: run_table.create(
            connection,
            kind="run",
            command=["true"],
            created=1.0,
            state="complete",
            labels=labels,
        )
    )
    outputs = world.runs.folder(row.id) / "outputs"
    outputs.mkdir(parents=True)
    (outputs / "made.txt").write_text(f"of run {row.id}\n")
    points = [Point(name=name, value=value, index=0, time=1.0) for name, value in metrics.items()]
    world.runs.metrics.add(f"runs/{row.id}", points)
    return row.id


async def test_references_name_runs_wherever_resources_are_named(world: World) -> None:
    one = await made(world, "good", accuracy=0.5, loss=2.0)
    two = await made(world, accuracy=0.9, loss=3.0)
    three = await made(world, "good", "bad", accuracy=0.1, loss=9.0)
    # A trial that a script does is a run, and can leave nothing.
    trial = await world.runs.database.write(
        lambda connection: run_table.create(
            connection, kind="trial", command=[], created=1.0, state="complete"
        )
    )
    world.runs.metrics.add(f"runs/{trial.id}", [Point("accuracy", 1.0, 1.0)])
    expected = {
        "@latest": three,
        "runs/@latest": three,
        "@label:good": three,
        "@best:accuracy": two,
        "@best:loss": one,
        "@best:accuracy:min": three,
        "@best:loss:max": three,
    }
    assert {path: await world.number(path) for path in expected} == expected
    # What is archived is no longer in the tree.
    await world.runs.archive(three, archived=True)
    expected |= {"@latest": two, "@label:good": one, "@best:accuracy:min": one}
    expected |= {"runs/@latest": two, "@best:loss:max": two}
    assert {path: await world.number(path) for path in expected} == expected
    with pytest.raises(NotFound, match=f"run {three} is archived"):
        await world.tree.resolve(f"runs/{three}")
    listed = await world.tree.list("runs")
    assert [entry.path for entry in listed.entries] == [f"runs/{one}", f"runs/{two}"]
    for path, said in (("@label:none", "no run has the label 'none'"), ("@best:x", "metric 'x'")):
        with pytest.raises(NotFound, match=said):
            await world.tree.resolve(path)
    # A link and a mount may lead there, too.
    await world.tree.link("winner", "@best:accuracy")
    assert await world.number("winner/made.txt") == two
    mounts = ["@label:good/made.txt:old/one.txt", "@best:accuracy:max:best", "winner:linked"]
    found = await world.run("cat old/one.txt best/made.txt linked/made.txt", mounts=mounts)
    assert world.log_of(found) == f"of run {one}\nof run {two}\nof run {two}\n"


async def test_public_folders_are_read_and_not_written(world: World) -> None:
    listed = {entry.path: entry.info for entry in (await world.tree.list("public")).entries}
    assert list(listed) == ["public/nowhere", "public/pictures"]
    assert listed["public/nowhere"].endswith("not there now")
    inner = await world.tree.list("public/pictures")
    assert [entry.path for entry in inner.entries] == [
        "public/pictures/deep",
        "public/pictures/out",
    ]
    found = await world.run(
        "cat p/a.txt one.txt; echo x > p/b.txt; rm -f one.txt",
        mounts=["public/pictures/deep:p", "public/pictures/deep/a.txt:one.txt"],
    )
    assert world.log_of(found).startswith("public a\npublic a\n")
    shared = world.folder / "shared"
    assert [path.name for path in (shared / "deep").iterdir()] == ["a.txt"]
    for path, error in (
        ("public/other", NotFound),
        ("public/nowhere", NotFound),
        ("public/pictures/out/app", InvalidRequest),
        ("public", InvalidRequest),
    ):
        with pytest.raises(error):
            await world.tree.resolve(path)
    with pytest.raises(InvalidRequest, match="no upload"):
        await world.uploads.remove("public/pictures")
    with pytest.raises(InvalidRequest, match="part of the resource tree"):
        await world.tree.link("public", "uploads")


@pytest.mark.parametrize("texts", [["a=/x", "/y/a"], ["=/x"], ["a="], ["/"], ["@a=/x"]])
def test_public_folders_that_cannot_be(texts: list[str], tmp_path: Path) -> None:
    with pytest.raises(InvalidSettings, match="public"):
        PublicFolders(texts, tmp_path, tmp_path / ".spice")


async def test_mounts_of_folders_files_and_links(world: World) -> None:
    data = world.folder / "data"
    (data / "sub").mkdir(parents=True)
    (data / "a.txt").write_text("a\n")
    (data / "sub" / "run.sh").write_text("echo ran\n")
    (data / "sub" / "run.sh").chmod(0o755)
    (data / "to-a").symlink_to("a.txt")
    await world.uploads.upload(str(data), "data")
    await world.tree.link("alias", "uploads/data")
    first = await world.run("mkdir -p models; echo w > models/w.bin")
    mounts = [
        "uploads/data",  # its own name, in the run's folder
        "uploads/data/a.txt",
        f"runs/{first.id}/models/w.bin:nested/deep/w.bin",
        "uploads/data/to-a:through-link",
        "alias/sub:from-alias",
    ]
    line = (
        "cat data/a.txt a.txt nested/deep/w.bin through-link; data/sub/run.sh; from-alias/run.sh;"
        "cat data/to-a; echo mine > own.txt"
    )
    found = await world.run(line, mounts=mounts)
    assert world.log_of(found) == "a\na\nw\na\nran\nran\na\n"
    # What is mounted is no output, and stays what it was.
    assert found.output_files == 1
    assert found.mounts[0] == "uploads/data:data"
    for bad in ("a:b:c", "uploads/data:", ":x", "runs/99", "uploads/none", "alias/none", "nolink"):
        with pytest.raises((InvalidRequest, NotFound), match="mount"):
            await world.runs.start(StartRun("true", mounts=[bad]))
    assert (data / "a.txt").read_text() == "a\n"


async def test_what_is_in_a_file_and_how_much_in_a_folder(world: World) -> None:
    data = world.folder / "data"
    (data / "sub").mkdir(parents=True)
    (data / "a.txt").write_text("ünder" * 10)
    (data / "sub" / "b.bin").write_bytes(b"\0" * 300)
    await world.uploads.upload(str(data), "data")
    found = await world.run("mkdir deep; echo left > deep/x.txt; echo more > y.txt")
    text = await resource_operations.read(world.tree, ReadResource("uploads/data/a.txt", limit=7))
    assert (text.text, text.size, text.binary) == ("ünder", 60, False)  # half a letter is none
    binary = await resource_operations.read(world.tree, ReadResource("uploads/data/sub/b.bin"))
    assert (binary.text, binary.size, binary.binary) == ("", 300, True)
    left = await resource_operations.read(world.tree, ReadResource(f"runs/{found.id}/y.txt"))
    assert (left.text, left.size) == ("more\n", 5)
    with pytest.raises(InvalidRequest, match="is a folder"):
        await resource_operations.read(world.tree, ReadResource("uploads/data"))
    for path, files, size in (
        ("uploads/data", 2, 360),
        (f"runs/{found.id}", 2, 10),
        (f"runs/{found.id}/deep", 1, 5),
        ("uploads/data/a.txt", 1, 60),
    ):
        measured = await resource_operations.measure(world.tree, ResourcePath(path))
        assert (measured.files, measured.bytes) == (files, size), path


async def test_an_upload_that_is_cut_off_leaves_nothing(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = world.folder / "data"
    data.mkdir()
    for number in range(20):
        (data / f"{number}.txt").write_text(f"file {number}")
    (data / "0.bin").write_bytes(b"x" * (2 * 2**20 + 1))  # is taken in first, in parts
    begun, go_on = threading.Event(), threading.Event()
    taken: list[int] = []

    def wait(_: ResourceTree, size: int) -> None:
        taken.append(size)
        begun.set()
        assert go_on.wait(60)

    monkeypatch.setattr(ResourceTree, "go_on", wait)
    first = asyncio.create_task(world.uploads.upload(str(data), "data"))
    assert await asyncio.to_thread(begun.wait, 60)
    with pytest.raises(Conflict, match="just being uploaded"):
        await world.uploads.upload(str(data), "data")
    first.cancel()
    with pytest.raises(asyncio.CancelledError):
        await first
    assert (await world.tree.list("uploads")).entries == []
    go_on.set()
    # The name is free again, and nobody takes the first in any more.
    made = await world.uploads.upload(str(data), "data")
    assert (made.path, made.info) == ("uploads/data", "21 files")
    # The first ended within its file: what it had of that is gone.
    assert sum(taken) == 2**20 + (made.size or 0)
    assert taken.count(0) == 21
    assert not list((world.runs.location.state / "objects" / "tmp").iterdir())
    with pytest.raises(Conflict, match="is there already"):
        await world.uploads.upload(str(data), "data")


async def test_runs_are_listed_with_the_command_as_it_was_run(world: World) -> None:
    await world.run("echo :lr:", params={"lr": 0.5})
    (entry,) = (await world.tree.list("runs")).entries
    assert entry.info == "complete: echo 0.5"


async def test_a_copy_goes_where_its_path_leads(world: World) -> None:
    run = await made(world)
    (world.folder / "into").symlink_to(world.runs.location.state)
    done = await world.tree.copy(f"runs/{run}", f"{world.folder}/app/../out", "refuse")
    assert (done.copied, (world.folder / "out" / "made.txt").is_file()) == (1, True)
    for place in ("out", "", f"{world.folder}/into/x", f"{world.folder}/app/.spice/../.spice"):
        with pytest.raises(InvalidRequest):
            await world.tree.copy(f"runs/{run}", place, "refuse")


async def test_a_chain_of_links_that_is_broken_is_told_whole(world: World) -> None:
    run = await made(world)
    chain = {"first": f"runs/{run}", "second": "first", "third": "second/made.txt"}
    for alias, path in chain.items():
        await world.tree.link(alias, path)
    assert (await world.tree.resolve("third")).link.count("→") == 3
    await world.tree.unlink("first")
    with pytest.raises(NotFound, match=r"third → second/made\.txt, second → first"):
        await world.tree.resolve("third")
