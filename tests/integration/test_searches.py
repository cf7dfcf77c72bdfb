"""Searches on the service of runs: Optuna's points over restarts, and what becomes of runs."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import optuna
import pytest

from spice_engine.errors import Conflict, InvalidRequest
from spice_engine.events import Bus
from spice_engine.protocol.runs import RunInfo, StartRun
from spice_engine.protocol.searches import SearchInfo, SearchParameter, StartSearch
from spice_engine.runs.search_drive import PodTrainer
from spice_engine.runs.searches import Searches
from spice_engine.runs.service import Runs
from spice_engine.store.series import Point
from spice_engine.workers.pool import ChildPool
from tests.integration.run_services import runs_of

PARAMETERS = [
    SearchParameter("x", low=-5.0, high=5.0),
    SearchParameter("rate", low=1e-4, high=1.0, scale="log"),
    SearchParameter("count", low=1, high=8, type="int"),
    SearchParameter("kind", values=["sum", "mean", [1, 2]]),
]


@asynccontextmanager
async def searches_on(runs: Runs, pods: PodTrainer | None = None) -> AsyncIterator[Searches]:
    """Searches as an engine has them, that take up what is there."""
    folder = runs.location.state / "trainers"
    folder.mkdir(exist_ok=True)
    pool = ChildPool("searcher", "spice_engine.runs.search_worker", 1, folder=folder)
    made = Searches(runs, pool, Bus())
    made.pods = pods
    await made.open()
    try:
        yield made
    finally:
        await made.close()
        await pool.close()


async def until(
    searches: Searches, number: int, condition: Callable[[SearchInfo], object]
) -> SearchInfo:
    """The search once the condition holds."""
    for _ in range(3000):
        if condition(info := await searches.get(number)):
            return info
        await asyncio.sleep(0.01)
    raise AssertionError(f"search {number} stays {info.state}, {info.counts}")


def over(info: SearchInfo) -> bool:
    """Whether a search is over."""
    return info.state not in {"running", "stopping", "killing"}


def loss(params: dict[str, Any]) -> float:
    """A bowl with a step, and a kind that is worse."""
    kind = {"sum": 0.0, "mean": 1.0}.get(str(params["kind"]), 3.0)
    return (params["x"] - 1) ** 2 + abs(params["rate"] - 0.01) + abs(params["count"] - 5) + kind


def plain_optuna(count: int, seed: int) -> list[tuple[dict[str, Any], float]]:
    """The same search by Optuna alone."""
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    study = optuna.create_study(sampler=optuna.samplers.TPESampler(seed=seed), direction="minimize")

    def objective(trial: optuna.Trial) -> float:
        params: dict[str, Any] = {
            "x": trial.suggest_float("x", -5.0, 5.0),
            "rate": trial.suggest_float("rate", 1e-4, 1.0, log=True),
            "count": trial.suggest_int("count", 1, 8),
            "kind": trial.suggest_categorical("kind", ("sum", "mean", "both")),
        }
        return loss(params)

    study.optimize(objective, n_trials=count)
    return [(dict(trial.params), float(trial.value or 0.0)) for trial in study.trials]


async def test_the_points_are_optunas_also_over_engines_that_come_and_go(tmp_path: Path) -> None:
    expected = plain_optuna(24, 11)
    async with runs_of(tmp_path) as runs:
        async with searches_on(runs) as searches:
            info = await searches.start(
                StartSearch("bayesian", PARAMETERS, trials=24, goal="min", seed=11)
            )
        for begin in (0, 5, 14):
            async with searches_on(runs) as searches:
                for number in range(begin, min(24, {0: 5, 5: 14}.get(begin, 24))):
                    key = f"asked-{number}"
                    trial = await searches.ask(info.id, key)
                    # An answer that was lost is asked for again.
                    assert await searches.ask(info.id, key) == trial
                    told = await searches.tell(
                        info.id, trial.number, "complete", loss(trial.params), ""
                    )
                    assert told.state == "complete"
        async with searches_on(runs) as searches:
            trials = await searches.trials(info.id, 1, 100)
            found = await until(searches, info.id, over)
            importance = await searches.importance(info.id)
            with pytest.raises(Conflict, match="does not go on"):
                await searches.ask(info.id, "")
    for trial, (params, value) in zip(trials, expected, strict=True):
        kind = "both" if trial.params["kind"] == [1, 2] else trial.params["kind"]
        assert {**trial.params, "kind": kind} == params
        assert trial.value == value
    assert (found.state, found.counts) == ("complete", {"complete": 24})
    assert found.best is not None
    assert found.best.value == min(value for _, value in expected)
    assert trials[0].why == {"by": "chance"}
    assert trials[-1].why["by"] == "tpe"
    assert isinstance(trials[-1].why["log_ratio"], float)
    assert importance.trials == 24
    assert {one.name for one in importance.parameters} == {"x", "rate", "count", "kind"}


async def test_trials_that_get_on_badly_are_told_so_also_after_a_restart(tmp_path: Path) -> None:
    async with runs_of(tmp_path) as runs:
        async with searches_on(runs) as searches:
            info = await searches.start(
                StartSearch(
                    "random",
                    PARAMETERS,
                    metric="acc",
                    pruner="median",
                    pruner_options={"startup": 2},
                )
            )
            for value in (0.8, 0.9):
                trial = await searches.ask(info.id, "")
                for step in range(3):
                    assert not await searches.report(info.id, trial.number, step, value)
                await searches.tell(info.id, trial.number, "complete", value, "")
            third = await searches.ask(info.id, "")
        async with searches_on(runs) as searches:
            assert not await searches.report(info.id, third.number, 0, 0.95)
            fourth = await searches.ask(info.id, "")
            assert await searches.report(info.id, fourth.number, 0, 0.1)
            told = await searches.tell(info.id, fourth.number, "pruned", None, "")
            assert (told.state, told.value) == ("pruned", 0.1)
            with pytest.raises(Conflict, match="over already"):
                await searches.tell(info.id, fourth.number, "complete", 1.0, "")
            with pytest.raises(InvalidRequest, match="has no trial 9"):
                await searches.tell(info.id, 9, "complete", 1.0, "")
            ended = await searches.end(info.id, kill=False)
            ended = await until(searches, info.id, over)
            assert ended.state == "stopped"
            assert ended.counts == {"complete": 2, "pruned": 1, "stopped": 1}
            await searches.archive(info.id)
            assert await searches.list(archived=False) == []
            assert [one.id for one in await searches.list(archived=True)] == [info.id]


def grid_over(command: str, **given: Any) -> StartSearch:
    """A grid of five runs of a line of the shell, in the folder itself: no copy is made."""
    run = StartRun(command, in_place=True, env={"PATH": "/usr/bin:/bin"})
    values = [SearchParameter("n", values=[0, 1, 2, 3, 4])]
    return StartSearch("grid", values, run=run, **given)


async def test_what_becomes_of_a_run_becomes_of_its_trial(tmp_path: Path) -> None:
    marks = tmp_path / "marks"
    async with runs_of(tmp_path) as runs, searches_on(runs) as searches:

        def report(info: RunInfo) -> None:
            if info.state == "running" and info.params["n"] != 1:
                points = [Point("loss", value, 0.0) for value in (9.0, float(info.params["n"]))]
                runs.metrics.add(f"runs/{info.id}", points)

        runs.listen(report)
        info = await searches.start(
            grid_over(
                f"echo $SPICE_TRIAL >> {marks}; exit $((:n: == 2 ? 7 : 0))",
                metric="loss",
                goal="min",
                parallel=2,
            )
        )
        assert (await until(searches, info.id, over)).state == "complete"
        trials = await searches.trials(info.id, 1, 10)
        assert [one.state for one in trials] == [
            "complete",
            "failed",
            "failed",
            "complete",
            "complete",
        ]
        assert [one.value for one in trials] == [0.0, None, None, 3.0, 4.0]
        assert "no number of the metric 'loss'" in trials[1].message
        assert "exit code 7" in trials[2].message
        assert sorted(marks.read_text().split()) == ["1", "2", "3", "4", "5"]
        best = (await searches.get(info.id)).best
        assert best is not None
        assert best.params == {"n": 0}


async def test_a_search_is_stopped_with_its_runs_and_one_taken_up_starts_none_twice(
    tmp_path: Path,
) -> None:
    marks, gate = tmp_path / "marks", tmp_path / "gate"
    async with runs_of(tmp_path, stop=True) as runs:
        async with searches_on(runs) as searches:
            info = await searches.start(
                grid_over(
                    f"echo :n: >> {marks}; until [ -e {gate} ]; do sleep 0.02; done", parallel=2
                )
            )
            await until(searches, info.id, lambda one: one.counts.get("running", 0) == 2)
        async with searches_on(runs) as searches:
            # As after a crash between the start of a run and the note of it.
            await runs.database.write(
                lambda connection: connection.execute("UPDATE trials SET run = NULL").rowcount
            )
        async with searches_on(runs) as searches:
            gate.touch()
            found = await until(searches, info.id, over)
            assert found.counts == {"complete": 5}
            assert sorted(marks.read_text().split()) == ["0", "1", "2", "3", "4"]
            gate.unlink()
            second = await searches.start(
                grid_over(f"until [ -e {gate} ]; do sleep 0.02; done", parallel=1)
            )
            await until(searches, second.id, lambda one: one.counts.get("running", 0) == 1)
            await searches.end(second.id, kill=True)
            found = await until(searches, second.id, over)
            assert (found.state, found.counts) == ("killed", {"killed": 1})
            with pytest.raises(Conflict, match="over already"):
                await searches.end(second.id, kill=False)


async def test_a_run_that_a_pruner_condemns_is_stopped_and_its_trial_pruned(
    tmp_path: Path,
) -> None:
    async with runs_of(tmp_path, stop=True) as runs, searches_on(runs) as searches:

        def report(info: RunInfo) -> None:
            if info.state == "running":
                value = 1.0 if info.params["n"] < 3 else 100.0
                runs.metrics.add(f"runs/{info.id}", [Point("loss", value, 0.0, 1)])

        runs.listen(report)
        info = await searches.start(
            grid_over(
                "if [ :n: -ge 3 ]; then exec sleep 300; fi",
                metric="loss",
                goal="min",
                parallel=1,
                pruner="median",
                pruner_options={"startup": 3},
            )
        )
        found = await until(searches, info.id, over)
        assert (found.state, found.counts) == ("complete", {"complete": 3, "pruned": 2})
        assert [one.value for one in await searches.trials(info.id, 4, 9)] == [100.0, 100.0]


async def test_all_trials_run_on_the_folder_as_it_was(tmp_path: Path) -> None:
    (tmp_path / "value").write_text("before")
    gate = tmp_path.parent / f"{tmp_path.name}.gate"
    async with runs_of(tmp_path) as runs, searches_on(runs) as searches:
        values = [SearchParameter("n", values=[1, 2])]
        line = f"until [ -e {gate} ]; do sleep 0.02; done; cat value > out:n:"
        run = StartRun(line, labels=["tuning"], description="a note")
        info = await searches.start(StartSearch("grid", values, run=run, parallel=1))
        await until(searches, info.id, lambda one: one.counts.get("running", 0) == 1)
        (tmp_path / "value").write_text("after")
        gate.touch()
        found = await until(searches, info.id, over)
        assert found.counts == {"complete": 2}
        for number, trial in enumerate(await searches.trials(info.id, 1, 2), 1):
            assert trial.run is not None
            outputs = runs.folder(trial.run) / "outputs"
            assert (outputs / f"out{number}").read_text() == "before"
            row = await runs.wait_over(trial.run)
            assert (row.labels, row.description, row.kind) == (["tuning"], "a note", "trial")
        run = StartRun("cat value; true :n:", code_of=1)
        again = await searches.start(StartSearch("grid", values, run=run))
        found = await until(searches, again.id, over)
        assert found.counts == {"complete": 2}
        newest = (await searches.trials(again.id, 1, 1))[0].run
        assert newest is not None
        assert (runs.folder(newest) / "logs.txt").read_text() == "before"


async def test_a_trial_that_was_stopped_with_its_engine_is_done_again(tmp_path: Path) -> None:
    marks, gate = tmp_path / "marks", tmp_path / "gate"
    line = f"echo :n: >> {marks}; until [ -e {gate} ]; do sleep 0.02; done"
    async with runs_of(tmp_path, stop=True) as runs, searches_on(runs) as searches:
        info = await searches.start(grid_over(line, parallel=2))
        await until(searches, info.id, lambda one: one.counts.get("running", 0) == 2)
    gate.touch()
    async with runs_of(tmp_path) as runs:
        await runs.adopt_all()
        async with searches_on(runs) as searches:
            found = await until(searches, info.id, over)
            assert (found.state, found.counts) == ("complete", {"complete": 5})
            trials = await searches.trials(info.id, 1, 5)
            assert [one.attempt for one in trials] == [2, 2, 1, 1, 1]
