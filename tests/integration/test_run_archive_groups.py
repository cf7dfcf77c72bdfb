"""Archives with a whole search, a workflow, a project."""

from __future__ import annotations

import sqlite3
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import cast

import pytest

from spice_engine.errors import Conflict, InvalidRequest, NotFound
from spice_engine.events import Bus
from spice_engine.protocol.run_archives import ExportArchive
from spice_engine.protocol.runs import RunInfo, StartRun
from spice_engine.protocol.searches import SearchParameter, StartSearch
from spice_engine.runs.archived_groups import ArchivedGroups
from spice_engine.runs.client_variables import ClientVariables
from spice_engine.runs.projects import Projects
from spice_engine.runs.resources import ResourceTree
from spice_engine.runs.run_archive_import import ArchiveImport
from spice_engine.runs.run_archives import RunArchives
from spice_engine.runs.searches import Searches
from spice_engine.runs.service import Runs
from spice_engine.runs.states import info_of
from spice_engine.runs.workflows.service import Workflows
from spice_engine.store import runs as run_table
from spice_engine.store import workflows as workflow_table
from spice_engine.store.workflows import StepRow
from spice_engine.workers.pool import ChildPool
from tests.integration.run_services import runs_of
from tests.integration.test_searches import over, searches_on, until


@dataclass(frozen=True)
class World:
    runs: Runs
    projects: Projects
    searches: Searches
    workflows: Workflows
    archives: RunArchives
    started: list[int] = field(default_factory=list[int])

    async def run(self, line: str, **wanted: object) -> int:
        started = await self.runs.start(StartRun(line, **wanted))  # type: ignore[arg-type]
        return (await self.runs.wait_over(started.id)).id

    async def info(self, number: int) -> RunInfo:
        return info_of(await self.runs.database.read(lambda c: run_table.get(c, number)))


@asynccontextmanager
async def world_on(root: Path) -> AsyncIterator[World]:
    root.mkdir()
    async with runs_of(root, stop=True) as runs, searches_on(runs) as searches:
        projects = Projects(runs.database, runs.metrics, runs.known, Bus())
        objects = runs.preparation.files._objects
        tree = ResourceTree(runs.location, runs.database, runs.metrics, objects, Bus())
        runs.preparation.resolve, runs.preparation.follow = tree.stored_object, tree.place_of
        client = ClientVariables(runs.location, "token", lambda: "")
        workflows = Workflows(runs, objects, Bus(), client)
        nobody = cast("ChildPool", None)  # archives need no child
        groups = ArchivedGroups(searches, workflows)
        archives = RunArchives(runs, projects, nobody, objects, groups, lambda _: None)
        try:
            yield World(runs, projects, searches, workflows, archives)
        finally:
            await workflows.close()


async def a_search(world: World, project: str) -> int:
    request = StartSearch(
        "grid",
        [SearchParameter("x", values=[1, 2, 3])],
        run=StartRun("test :x: -lt 3", project=project, env={"KEY": "hidden"}),
    )
    started = await world.searches.start(request)
    return (await until(world.searches, started.id, over)).id


async def a_workflow(world: World, runs: Sequence[int]) -> int:
    """What a declared workflow stores when its steps were these runs."""

    def add(connection: sqlite3.Connection) -> int:
        row = workflow_table.create(connection, kind="declared", name="flow", created=5.5)
        steps = [StepRow(f"step[{run}]", "complete", run, since=run - 1) for run in runs]
        workflow_table.put_steps(connection, row.id, steps)
        within = workflow_table.create(
            connection, kind="script", name="inner", created=6.0, within=row.id
        )
        workflow_table.set_state(connection, within.id, "complete", ended=6.5)
        for run in runs:
            mark = f"workflow:{within.id if run == runs[-1] else row.id}"
            connection.execute("UPDATE runs SET made_by = ? WHERE id = ?", (mark, run))
        return workflow_table.set_state(connection, row.id, "complete", ended=7.0).id

    return await world.runs.database.write(add)


async def test_a_project_goes_to_another_engine_whole(tmp_path: Path) -> None:
    file = str(tmp_path / "fruit.spicerun")
    async with world_on(tmp_path / "one") as one:
        await one.projects.ensure("Fruit", "what grows")
        alone = await one.run("echo 7 > seed", project="fruit")
        search = await a_search(one, "fruit")
        steps = [
            await one.run("true", project="fruit", mounts=[f"runs/{alone}/seed", "@latest:last"]),
            await one.run("true", project="fruit"),
        ]
        workflow = await a_workflow(one, steps)
        await one.run("true")
        wanted = ExportArchive(file, project="FRUIT")
        written = await one.archives.export(wanted)
        assert (written.runs, written.searches, written.workflows) == (6, 1, 2)
    async with world_on(tmp_path / "two") as two:
        await two.run("true")
        taken = await two.archives.take(file)
        assert len(taken.runs) == 6
        assert (taken.searches, taken.workflows) == ({search: 1}, {workflow: 1, workflow + 1: 2})
        assert (await two.workflows.known.row(2)).within == 1
        (project,) = await two.projects.list(archived=False)
        assert (project.name, project.description, project.runs) == ("Fruit", "what grows", 6)
        # The search is as it was, with its trials' runs by the numbers they have here.
        info = await two.searches.get(1)
        assert (info.state, info.counts) == ("complete", {"complete": 2, "failed": 1})
        for trial in await two.searches.trials(1, 1, 9):
            assert trial.run in taken.runs.values()
            run = await two.info(trial.run or 0)
            assert (run.kind, run.made_by, run.params) == ("trial", "search:1", trial.params)
        assert "1" in two.searches.names()
        flow = await two.workflows.known.info(await two.workflows.known.row(1))
        assert [step.run for step in flow.steps] == [taken.runs[step] for step in steps]
        step = await two.info(taken.runs[steps[0]])
        assert (step.made_by, step.mounts) == (
            "workflow:1",
            [f"runs/{taken.runs[alone]}/seed:seed", "@latest:last"],
        )
        row = await two.runs.database.read(lambda c: run_table.get(c, step.id))
        assert row.mounts[1].run in taken.runs.values()
        again = await two.archives.take(file)
        assert (again.known, again.runs, again.searches) == (6, taken.runs, taken.searches)
        assert len(await two.searches.list(archived=False)) == 1
    # It is there after a restart, too: all that was stored can be read.
    async with runs_of(tmp_path / "two") as runs, searches_on(runs) as searches:
        assert (await searches.get(1)).counts == {"complete": 2, "failed": 1}


async def test_what_was_chosen_is_written(tmp_path: Path) -> None:
    async with world_on(tmp_path / "one") as one:
        search = await a_search(one, "")
        mounting = await one.run("true", mounts=["runs/1:x"])
        steps = [await one.run("true"), await one.run("true")]
        workflow = await a_workflow(one, steps)
        going = await one.runs.start(StartRun("sleep 300", in_place=True))

        async def runs_in(**wanted: object) -> int:
            path = str(tmp_path / "file")
            request = ExportArchive(path, replace=True, **wanted)  # type: ignore[arg-type]
            return (await one.archives.export(request)).runs

        assert await runs_in(search=search) == 3
        assert await runs_in(workflow=workflow) == 2  # one of them is of a workflow within
        assert await runs_in(runs=[1, mounting]) == 2
        assert await runs_in(everything=True) == 6
        for bad, error in (
            ({"runs": [going.id]}, Conflict),
            ({"runs": [99]}, NotFound),
            ({"search": 9}, NotFound),
            ({"workflow": 9}, NotFound),
            ({"project": "none"}, NotFound),
            ({"search": 2**70}, InvalidRequest),
            ({"workflow": -1}, InvalidRequest),
            ({"runs": [0]}, InvalidRequest),
            ({}, InvalidRequest),
        ):
            with pytest.raises(error):
                await runs_in(**bad)
        assert await runs_in(runs=[mounting]) == 1
    async with world_on(tmp_path / "two") as two:
        taken = await two.archives.take(str(tmp_path / "file"))
        # What it mounted did not come: no other run is to be taken for it.
        assert taken.run.mounts == ["elsewhere/runs/1:x"]
        assert (taken.run.kind, taken.run.made_by) == ("run", "")


async def test_an_import_that_is_cut_short_leaves_nothing_and_can_be_done_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = str(tmp_path / "file")
    async with world_on(tmp_path / "one") as one:
        for word in ("one", "two", "three"):
            await one.run(f"echo {word} > left.txt")
        await one.archives.export(ExportArchive(file, everything=True))
    async with world_on(tmp_path / "two") as two:

        async def ends(_: ArchiveImport, number: int, path: Path) -> None:
            if path.parent.name == "3":
                raise Conflict("the engine is stopping.")

        async def crashed(_: ArchiveImport, number: int) -> None:
            pass

        async def there() -> list[int]:
            rows = await two.runs.database.read(lambda c: run_table.list_newest(c, 9))
            return sorted(row.id for row in rows)

        with monkeypatch.context() as patch:
            patch.setattr(ArchiveImport, "_take_points", ends)
            with pytest.raises(Conflict):
                await two.archives.take(file)
            assert not await there()
            assert not list((two.runs.location.state / "runs").iterdir())
            patch.setattr(ArchiveImport, "_forget", crashed)  # what a crash leaves
            with pytest.raises(Conflict):
                await two.archives.take(file)
            assert len(await there()) == 3
        taken = await two.archives.take(file)
        assert (len(taken.runs), taken.known) == (3, 0)
        assert await there() == sorted(taken.runs.values())
        left = [two.runs.folder(run) / "outputs" / "left.txt" for run in taken.runs.values()]
        assert [path.read_text() for path in left] == ["one\n", "two\n", "three\n"]
        folders = (two.runs.location.state / "runs").iterdir()
        assert sorted(int(path.name) for path in folders) == await there()
