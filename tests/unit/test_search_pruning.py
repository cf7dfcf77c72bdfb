"""Our pruners end the trials that Optuna's of the same names would end."""

from __future__ import annotations

import math
import random
from collections.abc import Mapping
from typing import Any

import optuna
import pytest
from optuna.trial import TrialState

from spice_engine.runs import pruning, search_worker
from spice_engine.runs.search_plan import SAMPLER_OPTIONS
from spice_engine.workers.child import LocalReport


def optunas(name: str, options: Mapping[str, int]) -> Any:
    """Optuna's pruner with the same options."""
    if name == "median":
        return optuna.pruners.MedianPruner(
            options["startup"], options["warmup"], options["interval"]
        )
    if name == "halving":
        return optuna.pruners.SuccessiveHalvingPruner(
            min_resource=options["min_steps"],
            reduction_factor=options["reduction"],
            min_early_stopping_rate=options["rate"],
        )
    return optuna.pruners.HyperbandPruner(
        min_resource=options["min_steps"],
        max_resource=options["max_steps"],
        reduction_factor=options["reduction"],
    )


@pytest.mark.filterwarnings("ignore:All-NaN slice encountered:RuntimeWarning")
@pytest.mark.parametrize("goal", ["min", "max"])
@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("median", {}),
        ("median", {"startup": 2, "warmup": 3, "interval": 4}),
        ("halving", {}),
        ("halving", {"min_steps": 2, "reduction": 2, "rate": 1}),
        ("hyperband", {"max_steps": 27}),
    ],
)
def test_they_end_the_same_trials(name: str, options: dict[str, int], goal: str) -> None:
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    chance = random.Random(f"{name}{goal}")
    whole = pruning.check(name, options)
    study = optuna.create_study(
        study_name="search-1",
        direction="minimize" if goal == "min" else "maximize",
        pruner=optunas(name, whole),
        sampler=optuna.samplers.RandomSampler(seed=1),
    )
    ours = pruning.make(name, whole, goal, "search-1")
    going: dict[int, tuple[Any, int, float]] = {}
    begun = ended = 0
    while begun < 40 or going:
        if begun < 40 and len(going) < 3:
            trial = study.ask()
            going[trial.number + 1] = (trial, 0, chance.random())
            begun += 1
            continue
        number = chance.choice(list(going))
        trial, step, base = going[number]
        step += chance.choice([1, 1, 2])
        going[number] = (trial, step, base)
        value = base + chance.random() * 0.3
        value = chance.choice([value, value, round(base, 1)])
        value = math.nan if chance.random() < 0.02 else value
        trial.report(value, step)
        ours.seen(number, step, value)
        assert ours.condemns(number) == trial.should_prune(), (number, step)
        if ours.condemns(number):
            study.tell(trial, state=TrialState.PRUNED)
            ended += 1
        elif step >= 27:
            study.tell(trial, 0.5 if math.isnan(value) else value)
            ours.complete(number)
        else:
            continue
        del going[number]
    assert 5 < ended < 40


@pytest.mark.parametrize(("name", "options"), [("halving", {}), ("hyperband", {"max_steps": 27})])
def test_what_was_judged_before_is_learned_from_and_not_judged_again(
    name: str, options: dict[str, int]
) -> None:
    whole = pruning.check(name, options)
    first = pruning.make(name, whole, "min", "search-1")
    again = pruning.make(name, whole, "min", "search-1")
    reports = [(trial, step, float(trial % 7)) for step in range(1, 5) for trial in range(1, 12)]
    for trial, step, value in reports:
        if not first.condemns(trial):
            first.seen(trial, step, value)
    gone_on = [trial for trial in range(1, 12) if not first.condemns(trial)]
    # Trial by trial, as they are read back from the store.
    for trial, step, value in sorted(reports):
        if trial in gone_on:
            again.seen(trial, step, value, judge=False)
    assert not any(again.condemns(trial) for trial in gone_on)
    for trial in range(50, 60):
        again.seen(trial, 4, 1e9)
    assert any(again.condemns(trial) for trial in range(50, 60))


def test_the_sampler_learns_from_ended_trials_as_optunas_does() -> None:
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    options = pruning.check("hyperband", {"max_steps": 9})
    study = optuna.create_study(
        study_name="search-1",
        sampler=optuna.samplers.TPESampler(seed=5),
        pruner=optunas("hyperband", options),
    )
    space = {"a": optuna.distributions.FloatDistribution(0, 1)}
    asked: dict[str, Any] = {
        "study": "search-1",
        "space": [{"name": "a", "low": 0.0, "high": 1.0, "log": False, "whole": False}],
        "goal": "min",
        "seed": 5,
        "sampler": dict(SAMPLER_OPTIONS),
        "pruner": ["hyperband", options],
        "state": None,
    }
    ours, trials, ended = pruning.make("hyperband", options, "min", "search-1"), [], 0
    for number in range(1, 31):
        trial = study.ask(space)
        found = search_worker.ask({**asked, "trials": trials}, LocalReport())
        asked["state"] = found["state"]
        assert found["point"] == [trial.params["a"]], number
        for step in range(1, 10):
            value = (trial.params["a"] - 0.3) ** 2 + 1 / step
            trial.report(value, step)
            ours.seen(number, step, value)
            if ours.condemns(number):
                break
        if trial.should_prune():
            study.tell(trial, state=TrialState.PRUNED)
            trials.append(["pruned", value, found["point"], [step, value]])
            ended += 1
        else:
            study.tell(trial, value)
            trials.append(["complete", value, found["point"], None])
    assert 5 < ended < 30
