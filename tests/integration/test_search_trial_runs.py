"""Every trial is a run: also those that code does, and those that train a pod."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from spice_engine.errors import Conflict, InvalidRequest, NotFound
from spice_engine.protocol.runs import RunInfo
from spice_engine.protocol.searches import SearchParameter, StartSearch
from spice_engine.runs.search_drive import Report
from spice_engine.runs.search_plan import Plan
from spice_engine.runs.service import Runs
from spice_engine.runs.states import asked_with, info_of
from spice_engine.store import runs as run_table
from spice_engine.store.searches import TrialRow
from tests.integration.run_services import runs_of
from tests.integration.test_searches import over, searches_on, until

NUMBERS = [SearchParameter("x", low=0.0, high=1.0)]
CODE = StartSearch("random", NUMBERS, metric="loss", goal="min", trials=9, name="bowl", seed=1)


async def run_of(runs: Runs, number: int | None) -> RunInfo:
    """A run as it is stored."""
    assert number is not None
    return info_of(await runs.database.read(lambda one: run_table.get(one, number)))


async def values(runs: Runs, number: int | None, name: str = "loss") -> list[object]:
    """The points of a run's metric."""
    return [point.value for point in await runs.metrics.points(f"runs/{number}", name)]


async def test_a_trial_that_code_does_is_a_run_that_goes_as_it_goes(tmp_path: Path) -> None:
    async with runs_of(tmp_path) as runs, searches_on(runs) as searches:
        info = await searches.start(CODE)
        mother = await searches.ask(info.id, "")
        trial = await searches.ask(info.id, "key", parent=mother.run)
        assert await searches.ask(info.id, "key", parent=mother.run) == trial
        with pytest.raises(NotFound, match="no run 99"):
            await searches.ask(info.id, "", parent=99)
        run = await run_of(runs, trial.run)
        assert (run.kind, run.name, run.state, run.command) == ("trial", "bowl-2", "running", [])
        assert (run.made_by, run.parent, run.params) == ("search:1", mother.run, trial.params)
        assert runs.known[run.id] == run

        await searches.report(info.id, trial.number, 0, 0.5)
        await searches.tell(info.id, trial.number, "complete", 0.25, "")
        run = await run_of(runs, trial.run)
        assert (run.state, run.outcome, run.ended is None) == ("complete", "success", False)
        assert await values(runs, trial.run) == [0.5, 0.25]

        for told, state, outcome in (("failed", "failed", "failed"), ("pruned", *2 * ("stopped",))):
            trial = await searches.ask(info.id, "")
            await searches.tell(info.id, trial.number, told, None, "")
            run = await run_of(runs, trial.run)
            assert (run.state, run.outcome) == (state, outcome)
        assert run.message == "Pruned."
        with pytest.raises(Conflict, match="over already \\(pruned"):
            await searches.tell(info.id, trial.number, "complete", 1.0, "")
        assert (await searches.tell(info.id, 2, "complete", 0.25, "")).value == 0.25
        for told, value in (("complete", 0.5), ("failed", None)):
            with pytest.raises(Conflict, match="over already \\(complete"):
                await searches.tell(info.id, 2, told, value, "")
        with pytest.raises(Conflict, match="over already \\(failed"):
            await searches.tell(info.id, 3, "complete", 1.0, "")
        assert await values(runs, 2) == [0.5, 0.25]
        with pytest.raises(InvalidRequest, match="has no command"):
            asked_with(await runs.database.read(lambda one: run_table.get(one, run.id)))

        await searches.end(info.id, kill=True)
        assert (await until(searches, info.id, over)).counts["killed"] == 1
        assert (await run_of(runs, mother.run)).state == "killed"


@pytest.mark.parametrize(("kill", "state"), [(False, "stopped"), (True, "killed")])
async def test_who_ends_the_run_ends_the_trial(tmp_path: Path, kill: bool, state: str) -> None:
    async with runs_of(tmp_path) as runs, searches_on(runs) as searches:
        info = await searches.start(CODE)
        trial = await searches.ask(info.id, "")
        assert trial.run is not None
        ended = await runs.end(trial.run, kill=kill)
        assert (ended.state, ended.outcome) == (state, state)
        # Whoever does it is told so at the next report, and what comes of it counts no more.
        assert await searches.report(info.id, trial.number, 0, 0.5)
        with pytest.raises(Conflict, match=f"over already \\({state}\\)"):
            await searches.tell(info.id, trial.number, "complete", 0.5, "")
        assert await values(runs, trial.run) == []
        assert (await searches.get(info.id)).counts == {state: 1}
        async with searches_on(runs) as later:
            assert [one.state for one in await later.trials(info.id, 1, 9)] == [state]
        with pytest.raises(Conflict, match="over already"):
            await runs.end(trial.run, kill=kill)


async def test_the_run_of_a_trial_stays_the_same_over_engines(tmp_path: Path) -> None:
    async with runs_of(tmp_path) as runs, searches_on(runs) as searches:
        info = await searches.start(CODE)
        trial = await searches.ask(info.id, "key")
    async with runs_of(tmp_path) as runs:
        assert await runs.adopt_all() == 0  # it has no process to be found
        async with searches_on(runs) as searches:
            assert await searches.ask(info.id, "key") == trial
            await searches.tell(info.id, trial.number, "complete", 0.5, "")
            assert (await run_of(runs, trial.run)).state == "complete"
            assert len(await runs.database.read(lambda one: run_table.list_newest(one, 9))) == 1


async def test_what_is_told_is_no_report_that_a_pruner_sees(tmp_path: Path) -> None:
    asked = StartSearch(
        "random", NUMBERS, metric="loss", goal="min", pruner="median", pruner_options={"startup": 1}
    )
    async with runs_of(tmp_path) as runs:
        async with searches_on(runs) as searches:
            info = await searches.start(asked)
            first = await searches.ask(info.id, "")
            await searches.report(info.id, first.number, 0, 5.0)
            await searches.tell(info.id, first.number, "complete", 0.0, "")
            assert await values(runs, first.run) == [5.0, 0.0]
        async with searches_on(runs) as searches:
            second = await searches.ask(info.id, "")
            assert not await searches.report(info.id, second.number, 0, 4.0)
            assert not await searches.report(info.id, second.number, 1, 4.0)
            third = await searches.ask(info.id, "")
            assert await searches.report(info.id, third.number, 0, 6.0)


class Trainer:
    """Gives scores on the way, and ends when it may."""

    def __init__(self) -> None:
        self.may_end = asyncio.Event()

    async def check(self, plan: Plan) -> None:
        """All can be searched over."""

    async def train(self, plan: Plan, trial: TrialRow, report: Report) -> float:
        """The score is its number."""
        report(1, 0.5)
        await self.may_end.wait()
        return float(trial.number)


async def test_a_training_of_a_pod_is_a_run_and_another_one_when_it_begins_anew(
    tmp_path: Path,
) -> None:
    asked = StartSearch("random", NUMBERS, pod="trader", trials=3, parallel=2)
    async with runs_of(tmp_path) as runs:
        async with searches_on(runs, Trainer()) as searches:
            info = await searches.start(asked)
            await until(searches, info.id, lambda one: one.counts.get("running") == 2)
        trainer = Trainer()
        async with searches_on(runs, trainer) as searches:
            await until(searches, info.id, lambda one: one.counts.get("running") == 2)
            trials = await searches.trials(info.id, 1, 9)
            while [one.attempt for one in trials] != [2, 2]:
                await asyncio.sleep(0.01)
                trials = await searches.trials(info.id, 1, 9)
            first, second = (one.run for one in trials)
            assert first is not None
            await runs.end(first, kill=False)
            trainer.may_end.set()
            found = await until(searches, info.id, over)
            assert (found.state, found.counts) == ("complete", {"complete": 2, "stopped": 1})
            states = {row.id: row.state for row in await all_of(runs)}
            lost = [number for number, state in states.items() if state == "interrupted"]
            assert len(lost) == 2
            assert states[first] == "stopped"
            assert await values(runs, second, "score") == [0.5, 2.0]
            assert [one.params for one in await all_of(runs) if one.name == "search-1-2"] == 2 * [
                dict(trials[1].params)
            ]


async def all_of(runs: Runs) -> list[RunInfo]:
    """All runs."""
    found = await runs.database.read(lambda one: run_table.list_newest(one, 99))
    return [info_of(row) for row in found]


async def test_no_trial_outlives_the_search_that_ends_as_it_is_asked_for(tmp_path: Path) -> None:
    async with runs_of(tmp_path) as runs, searches_on(runs) as searches:
        first = await searches.start(CODE)
        second = await searches.start(CODE)
        found = await asyncio.gather(
            searches.ask(first.id, ""),
            searches.end(first.id, kill=False),
            searches.end(second.id, kill=False),
            searches.ask(second.id, ""),
            return_exceptions=True,
        )
        assert isinstance(found[3], Conflict)
        for one in (first, second):
            await until(searches, one.id, over)
        assert [run.state for run in await all_of(runs)] == ["stopped"]
        assert [one.state for one in await searches.trials(first.id, 1, 9)] == ["stopped"]
        assert await searches.trials(second.id, 1, 9) == []
