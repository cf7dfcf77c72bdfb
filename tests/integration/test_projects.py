"""Projects: which runs are in them, what is refused, and what they came to."""

from __future__ import annotations

import sqlite3
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from spice_engine.errors import Conflict, InvalidRequest, NotFound
from spice_engine.events import Bus
from spice_engine.protocol.runs import StartRun
from spice_engine.runs.projects import Projects
from spice_engine.runs.service import Runs
from spice_engine.store import runs as run_table
from spice_engine.store import searches, workflows
from spice_engine.store.series import Point
from tests.integration.run_services import runs_of


@dataclass(frozen=True)
class World:
    runs: Runs
    projects: Projects

    async def add(self, *, project: str | None = None, state: str = "complete") -> int:
        row = await self.runs.database.write(
            lambda connection: run_table.create(
                connection,
                kind="run",
                command=["true"],
                created=1.0,
                state=state,
                project=project,
            )
        )
        self.runs.known.note(row)
        return row.id

    async def project_of(self, number: int) -> str | None:
        row = await self.runs.database.read(lambda connection: run_table.get(connection, number))
        return row.project


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    (tmp_path / "app").mkdir()
    async with runs_of(tmp_path / "app") as runs:
        yield World(runs, Projects(runs.database, runs.metrics, runs.known, Bus()))


async def test_a_run_is_in_at_most_one_project(world: World) -> None:
    one, two, three = [await world.add() for _ in range(3)]
    made = await world.projects.create("Digits", "hand-written", [one])
    assert (made.name, made.runs, made.description) == ("Digits", 1, "hand-written")
    await world.projects.create("other")
    with pytest.raises(Conflict, match=f"run {one} is in project 'Digits' already"):
        await world.projects.add_runs("other", [two, one])
    # All of them, or none.
    assert await world.project_of(two) is None
    assert (await world.projects.add_runs("DIGITS", [two, two, three])).runs == 3
    assert world.runs.known[two].project == "Digits"
    with pytest.raises(Conflict, match=f"run {two} is not in project 'other'"):
        await world.projects.remove_runs("other", [two])
    assert (await world.projects.remove_runs("digits", [two])).runs == 2
    assert await world.project_of(two) is None
    with pytest.raises(NotFound, match="no run 99"):
        await world.projects.add_runs("digits", [99])


async def test_names_are_the_same_in_any_case(world: World) -> None:
    run = await world.add()
    await world.projects.create("Ünder", runs=[run])
    with pytest.raises(Conflict, match="there is a project 'Ünder' already"):
        await world.projects.create("üNDER")
    assert (await world.projects.ensure("ünder")).name == "Ünder"
    assert (await world.projects.ensure("fresh")).runs == 0
    renamed = await world.projects.edit("üNDER", new_name="Over")
    assert (renamed.name, renamed.runs) == ("Over", 1)
    assert world.runs.known[run].project == "Over"
    assert (await world.projects.edit("over", new_name="OVER")).runs == 1
    with pytest.raises(Conflict):
        await world.projects.edit("over", new_name="Fresh")
    with pytest.raises(NotFound, match="Unknown project 'x'"):
        await world.projects.details("x", 10)
    assert world.projects.names() == ["OVER", "fresh"]


@pytest.mark.parametrize("name", ["", " x", "a\nb", "x" * 201])
async def test_names_that_cannot_be_used(world: World, name: str) -> None:
    with pytest.raises(InvalidRequest, match="project"):
        await world.projects.create(name)
    assert await world.projects.list(archived=False) == []


async def test_a_project_in_which_runs_are_made_keeps_its_name(world: World) -> None:
    await world.projects.create("Digits")

    def begin(connection: sqlite3.Connection) -> tuple[int, int]:
        plan = {"run": {"project": "DIGITS"}}
        search = searches.create(
            connection,
            method="grid",
            source="runs",
            name="",
            description="",
            created=1.0,
            plan=plan,
        )
        flow = workflows.create(connection, kind="declared", created=1.0, project="digits")
        return search.id, flow.id

    search, flow = await world.runs.database.write(begin)
    for what in (f"search {search} goes on", f"workflow {flow} goes on"):
        with pytest.raises(Conflict, match=what):
            await world.projects.edit("digits", new_name="Numbers")
        with pytest.raises(Conflict, match=what):
            await world.projects.archive("digits", archived=True)
        await world.projects.edit("digits", description="they go on")
        if what.startswith("search"):
            await world.runs.database.write(lambda c: searches.set_state(c, search, "complete"))
    await world.runs.database.write(lambda c: workflows.set_state(c, flow, "complete"))
    assert (await world.projects.edit("digits", new_name="Numbers")).name == "Numbers"


async def test_an_archived_project_takes_no_more_runs(world: World) -> None:
    run = await world.add()
    await world.projects.create("old", runs=[run])
    await world.projects.archive("OLD", archived=True)
    assert await world.projects.list(archived=False) == []
    assert [one.name for one in await world.projects.list(archived=True)] == ["old"]
    with pytest.raises(Conflict, match="archived"):
        await world.projects.add_runs("old", [await world.add()])
    with pytest.raises(Conflict, match="'old' is archived"):
        await world.runs.start(StartRun("true", project="Old", in_place=True))
    with pytest.raises(Conflict, match="archived already"):
        await world.projects.archive("old", archived=True)
    assert (await world.projects.archive("old", archived=False)).runs == 1


async def test_a_run_names_a_project_that_is_there(world: World) -> None:
    with pytest.raises(NotFound, match="Unknown project 'nothing'"):
        await world.runs.start(StartRun("true", project="nothing", in_place=True))
    await world.projects.create("Some")
    started = await world.runs.start(StartRun("true", project="sOME", in_place=True))
    assert started.project == "Some"
    await world.runs.wait_over(started.id)


async def test_what_its_runs_came_to(world: World) -> None:
    await world.projects.create("p")
    numbers = [await world.add(project="p", state=state) for state in ("complete", "killed")]
    outside = await world.add()
    for number, accuracy, loss in ((1, 0.5, 3.0), (2, 0.5, 1.0), (3, 0.9, 0.1)):
        points = [
            Point(name="accuracy", value=accuracy, index=0, time=1.0),
            Point(name="loss", value=9.0, index=0, time=1.0),
            Point(name="loss", value=loss, index=1, time=2.0),
            Point(name="system/cpu", value=1.0, index=0, time=1.0),
        ]
        world.runs.metrics.add(f"runs/{number}", points)
    found = await world.projects.details("p", 1)
    assert (found.project.runs, found.states) == (2, {"complete": 1, "killed": 1})
    assert [run.id for run in found.runs] == [numbers[1]]
    assert outside not in numbers
    # The last value counts, losses are best where they are low, and of two the later run.
    best = [(one.metric, one.value, one.run, one.smallest, one.runs) for one in found.best]
    assert best == [("accuracy", 0.5, 2, False, 2), ("loss", 1.0, 2, True, 2)]
