"""Rollouts step by step: how many are ready meanwhile, and when a version is given up."""

from __future__ import annotations

import random
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spice_engine.serving.rollout import Seen, Step, Trial, is_done, step

READY, LOADING = True, False


def seen(*replicas: tuple[int, int, bool]) -> list[Seen]:
    return [Seen(*one) for one in replicas]


def test_a_first_version_starts_all_at_once() -> None:
    assert step([], 1, 3) == Step(start=3)
    assert step(seen((1, 1, LOADING)), 1, 3) == Step(start=2)
    assert step(seen((1, 1, READY), (2, 1, READY), (3, 1, READY)), 1, 3) == Step()


def test_a_rollout_starts_one_more_and_drains_one_when_it_is_ready() -> None:
    old = seen((1, 1, READY), (2, 1, READY))
    assert step(old, 2, 2) == Step(start=1)
    assert step([*old, Seen(3, 2, LOADING)], 2, 2) == Step()
    assert step([*old, Seen(3, 2, READY)], 2, 2) == Step(start=1, drain=(1,))
    assert step([old[1], Seen(3, 2, READY), Seen(4, 2, LOADING)], 2, 2) == Step()
    assert step([old[1], Seen(3, 2, READY), Seen(4, 2, READY)], 2, 2) == Step(drain=(2,))
    assert is_done(seen((3, 2, READY), (4, 2, READY)), 2, 2)
    assert not is_done([old[1], Seen(3, 2, READY), Seen(4, 2, READY)], 2, 2)


def test_replicas_of_a_version_nobody_waits_for_go_at_once() -> None:
    assert step(seen((1, 1, LOADING)), 2, 1) == Step(start=1, drain=(1,))


def test_fewer_are_wanted_the_ones_that_are_not_ready_go_first() -> None:
    three = seen((1, 1, READY), (2, 1, READY), (3, 1, LOADING))
    assert step(three, 1, 2) == Step(drain=(3,))
    assert step(three[:2], 1, 1) == Step(drain=(2,))
    assert step(three[:2], 1, 0) == Step(drain=(2, 1))


@given(st.integers(1, 6), st.integers(1, 6), st.integers(0, 10_000))
def test_a_rollout_ends_and_never_has_fewer_ready_than_wanted(
    before: int, wanted: int, seed: int
) -> None:
    chance = random.Random(seed)
    there = [Seen(number, 1, READY) for number in range(1, before + 1)]
    last = before
    for _ in range(200):
        done = step(there, 2, wanted)
        ready = sum(one.ready for one in there)
        there = [one for one in there if one.number not in done.drain]
        assert sum(one.ready for one in there) >= min(ready, wanted)
        for _ in range(done.start):
            last += 1
            there.append(Seen(last, 2, LOADING))
        if any(one.version == 1 for one in there):
            assert len(there) <= max(before, wanted) + 1
        there = [
            replace(one, ready=True) if not one.ready and chance.random() < 0.5 else one
            for one in there
        ]
        if is_done(there, 2, wanted) and len(there) == wanted:
            return
    raise AssertionError(f"the rollout did not end: {there}")


class TestTrials:
    def test_three_crashes_while_it_is_young_are_the_end(self) -> None:
        trial = Trial(2, begun=100.0)
        for number in range(3):
            assert not trial.is_over(has_other=True)
            trial.crashed(110.0 + number, None, f"why {number}", blamed=True)
        assert trial.is_over(has_other=True)
        assert trial.is_over(has_other=False)
        assert trial.reasons[-1] == "why 2"

    def test_one_that_worked_is_only_given_up_for_another(self) -> None:
        trial = Trial(2, begun=100.0, was_ready=True)
        for number in range(5):
            trial.crashed(110.0 + number, 1.0, "it died", blamed=True)
        assert trial.is_over(has_other=True)
        assert not trial.is_over(has_other=False)

    def test_what_was_killed_from_outside_or_is_old_does_not_count(self) -> None:
        trial = Trial(2, begun=100.0, was_ready=True)
        for number in range(9):
            trial.crashed(110.0 + number, 60.0, "killed", blamed=False)
        assert not trial.is_over(has_other=True)
        assert trial.not_before <= 118.0
        for number in range(9):
            trial.crashed(100.0 + 301 + number, 60.0, "died late", blamed=True)
        assert not trial.is_over(has_other=True)

    def test_pauses_double_up_to_half_a_minute(self) -> None:
        trial = Trial(1, begun=0.0)
        pauses: list[float] = []
        now = 0.0
        for _ in range(12):
            trial.crashed(now, None, "again", blamed=True)
            pauses.append(trial.not_before - now)
            now = trial.not_before
        assert pauses[:4] == pytest.approx([0.1, 0.2, 0.4, 0.8])
        assert pauses[-1] == pytest.approx(30.0)
        trial.crashed(now, 100.0, "after a long life", blamed=True)
        assert trial.not_before == pytest.approx(now)
