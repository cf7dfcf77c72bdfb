"""What ended while a person looked away, in sentences."""

from __future__ import annotations

from dataclasses import replace

import pytest

from spice_engine.protocol.pods import TrainingInfo
from spice_engine.protocol.runs import RunInfo
from spice_tui.models.endings import LONG_SECONDS, ended
from spice_tui.models.world import World

RUN = RunInfo(
    7, "command", "", ["make", "all"], "", "running", None, None, "", 100.0, 101.0, None, []
)
TRAINING = TrainingInfo("shop", 3, "tree", "running", 100.0, None, "", "", None, None, [], 30)
DONE = replace(RUN, state="complete", outcome="failed", exit_code=2, ended=200.0)


def runs(*items: RunInfo) -> World:
    return World(runs={run.id: run for run in items})


def trainings(*items: TrainingInfo) -> World:
    return World(trainings={f"{one.pod}/{one.number}": one for one in items})


def test_a_long_run_that_ended() -> None:
    (sentence,) = ended(runs(RUN), runs(DONE))
    assert sentence == "Run 7 failed, exit 2: make all"
    named = replace(DONE, name="nightly", outcome="succeeded", exit_code=0)
    assert ended(runs(RUN), runs(named)) == ["Run 7 succeeded: nightly"]


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (runs(), runs(DONE)),  # the first look
        (runs(DONE), runs(DONE)),  # told already
        (runs(RUN), runs(RUN)),  # still at it
        (runs(RUN), runs(replace(DONE, ended=101.0 + LONG_SECONDS / 2))),  # short
        (runs(RUN), runs()),  # gone
        (trainings(), trainings(replace(TRAINING, state="complete", ended=300.0))),
        (trainings(TRAINING), trainings(replace(TRAINING, state="complete", ended=101.0))),
    ],
)
def test_what_is_not_worth_a_word(before: World, after: World) -> None:
    assert ended(before, after) == []


def test_a_training_tells_how_good_it_is() -> None:
    evaluation = {"held_out": {"regret_closed": 0.914}}
    done = replace(TRAINING, state="complete", ended=200.0, evaluation=evaluation)
    assert ended(trainings(TRAINING), trainings(done)) == [
        "Training shop/3 complete, 91.4% held out"
    ]


def test_a_training_that_failed_at_once_is_told_too() -> None:
    failed = replace(TRAINING, state="failed", ended=100.1, error="reward_failed")
    assert ended(trainings(TRAINING), trainings(failed)) == ["Training shop/3 reward_failed"]
