"""What is kept takes of the disk, and removing what old runs left and began with."""

from __future__ import annotations

import os
import sqlite3
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from spice_engine.errors import InvalidRequest
from spice_engine.events import Bus
from spice_engine.maintenance import Maintenance
from spice_engine.protocol.disk_use import PruneRuns
from spice_engine.protocol.runs import RunInfo, StartRun
from spice_engine.runs.resource_pruning import Disk
from spice_engine.runs.resource_uploads import Uploads
from spice_engine.runs.resources import ResourceTree
from spice_engine.runs.service import Runs
from spice_engine.store import workflows
from spice_engine.store.objects import ObjectStore
from tests.integration.run_services import runs_of


@dataclass(frozen=True)
class World:
    runs: Runs
    tree: ResourceTree
    disk: Disk
    objects: ObjectStore
    root: Path

    async def run(self, line: str) -> RunInfo:
        started = await self.runs.start(StartRun(line))
        return await self.runs.wait_over(started.id)

    def left(self, number: int) -> list[str]:
        folder = self.runs.folder(number)
        return sorted(path.name for path in folder.glob("outputs/*"))

    @property
    def blobs(self) -> int:
        return len(list(self.objects.folder.glob("??/*")))

    def grow_old(self) -> None:
        then = time.time() - 7200
        for path in self.objects.folder.glob("??/*"):
            os.utime(path, (then, then))


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    root = tmp_path / "app"
    root.mkdir()
    (root / "code.txt").write_text("code\n" * 2000)
    async with runs_of(root) as runs:
        objects = runs.preparation.files._objects
        tree = ResourceTree(runs.location, runs.database, runs.metrics, objects, Bus())
        runs.preparation.resolve = tree.stored_object
        maintenance = Maintenance(runs.database, runs.metrics, objects)
        maintenance.more.append(runs.tidy)
        disk = Disk(
            runs.location, runs.database, objects, runs.known, tree.outputs, maintenance.once
        )
        yield World(runs, tree, disk, objects, root)


async def test_only_what_nothing_else_needs_goes(world: World) -> None:
    first = await world.run("echo one > one.bin; mkdir shut; echo x > shut/x; chmod 500 shut")
    (world.root / "code.txt").write_text("other\n")
    second = await world.run("echo two > two.bin")
    uploads = Uploads(world.tree, world.runs.database, Bus())
    await uploads.upload(str(world.root / "code.txt"), "code")
    # Nothing is archived, and nothing old: nothing is to go.
    assert (await world.disk.prune(PruneRuns(dry_run=False))).runs == []
    await world.runs.archive(first.id, archived=True)
    said = await world.disk.prune(PruneRuns())
    assert (said.runs, said.output_files, said.snapshots) == ([first.id], 2, 1)
    assert said.snapshot_bytes > 0
    assert said.dry_run
    assert world.left(first.id) == ["one.bin", "shut"]
    world.grow_old()
    before = world.blobs
    done = await world.disk.prune(PruneRuns(dry_run=False))
    assert (done.runs, done.output_bytes) == ([first.id], said.output_bytes)
    assert world.left(first.id) == []
    assert not list(world.runs.folder(first.id).glob(".*.old"))
    assert world.blobs == before - 2  # its code, and the folder that held it
    assert (world.runs.folder(first.id) / "logs.txt").exists()
    assert world.runs.known[first.id].output_files == 0
    # The other run and the upload have all they had.
    assert world.left(second.id) == ["two.bin"]
    assert (await world.tree.resolve("uploads/code/code.txt")).size == len("other\n")
    assert (await world.disk.prune(PruneRuns(dry_run=False))).runs == []


async def test_old_runs_go_too_but_not_those_that_are_needed(world: World) -> None:
    one, two = await world.run("echo 1 > x"), await world.run("echo 2 > x")
    await world.tree.link("kept", f"runs/{one.id}/x")
    waiting = await world.runs.start(StartRun("sleep 300"))
    found = await world.disk.prune(PruneRuns(older_than=0.0, snapshots=False))
    assert found.runs == [two.id]
    assert found.kept == {str(one.id): "the link 'kept' leads to it."}
    assert (found.output_files, found.snapshots) == (1, 0)
    only = await world.disk.prune(PruneRuns(older_than=0.0, outputs=False))
    assert (only.runs, only.output_files, only.snapshots) == ([two.id], 0, 1)
    assert only.snapshot_bytes == 0  # the other runs began with the same folder
    assert (await world.disk.prune(PruneRuns(older_than=3600.0))).runs == []
    await world.runs.end(waiting.id, kill=True)
    await world.runs.wait_over(waiting.id)
    for bad in (PruneRuns(older_than=-1.0), PruneRuns(outputs=False, snapshots=False)):
        with pytest.raises(InvalidRequest):
            await world.disk.prune(bad)


async def test_what_links_lead_to_and_workflows_may_need_stays(world: World) -> None:
    old, kept, newest = [await world.run("echo 1 > x") for _ in range(3)]
    await world.tree.link("last", "@latest")

    def change(connection: sqlite3.Connection) -> int:
        flow = workflows.create(connection, kind="declared", created=1.0)
        workflows.put_steps(connection, flow.id, [workflows.StepRow("a", "cached", kept.id)])
        return flow.id

    flow = await world.runs.database.write(change)
    found = await world.disk.prune(PruneRuns(older_than=0.0, snapshots=False))
    assert found.runs == [old.id]
    assert found.kept.keys() == {str(kept.id), str(newest.id)}
    assert found.kept[str(kept.id)] == f"workflow {flow} goes on."
    await world.runs.database.write(lambda c: workflows.set_state(c, flow, "complete"))
    found = await world.disk.prune(PruneRuns(older_than=0.0, snapshots=False))
    assert found.runs == [old.id, kept.id]
    await world.tree.link("by-number", f"runs/{old.id}")
    await world.runs.archive(old.id, archived=True)
    found = await world.disk.prune(PruneRuns(snapshots=False))
    assert found.kept == {str(old.id): "the link 'by-number' leads to it."}


async def test_usage_counts_once_what_several_have(world: World) -> None:
    first = await world.run("head -c 100000 /dev/urandom > big.bin")
    second = await world.run("true")
    usage = await world.disk.usage()
    parts = {part.name: part for part in usage.parts}
    assert parts["outputs of runs"].files == 1
    assert 100_000 <= parts["outputs of runs"].bytes < 120_000
    assert usage.total == sum(part.bytes for part in usage.parts)
    assert usage.free > 0
    assert [run.id for run in usage.runs] == [first.id, second.id]
    assert usage.runs[0].outputs == parts["outputs of runs"].bytes
    (stored,) = usage.stored
    # Both began with one folder that has one file.
    assert (stored.name, stored.owners, stored.objects) == ("runs", 2, 2)
    assert stored.bytes == stored.alone > 0
