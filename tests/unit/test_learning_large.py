"""Large pods: some of the steps are looked at, so that memory and time stay within bounds."""

from __future__ import annotations

import tracemalloc
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from spice_engine.learning import assignment
from spice_engine.learning.policy import Policy
from spice_engine.learning.source import Source
from spice_engine.learning.split import Steps, looked_at, split_steps
from spice_engine.learning.trainer import train
from spice_engine.workers.arrays import save
from spice_engine.workers.child import LocalReport
from spice_tui.models.verdict import looked_at as in_words

SPAN = 6


def source(text: str) -> dict[str, Any]:
    return Source(text, "pod.yaml", 1, 1).as_dict()


def make_params(folder: Path, rows: int, **changes: Any) -> dict[str, Any]:
    """Two waves; `act` pays while the first is high in the next row."""
    time = np.arange(rows)
    values = np.sin(time[:, None] / [17.0, 29.0])
    values += np.random.default_rng(0).normal(size=values.shape) * 0.1
    return {
        "values": save(folder, values).as_dict(),
        "times": save(folder, 60 * time).as_dict(),
        "training_rows": rows,
        "first_datum": 0,
        "fields": ["x", "y"],
        "actions": ["wait", "act"],
        "rewards": {
            "init": None,
            "actions": {
                "wait": source("reward = 0.1"),
                "act": source("reward = next_state['x']"),
            },
        },
        "simulation": None,
        "interpretations": [],
        "span": SPAN,
        "granularity": 60,
        "algorithm": "auto",
        "episodes": 2,
        "holdout": 0.2,
        "seed": 0,
        "goal": "",
        "fingerprint": "f",
    } | changes


def touched(steps: Steps, span: int) -> set[int]:
    return {row for step in steps.tolist() for row in range(step - span + 1, step + 2)}


@given(
    st.integers(40, 400),
    st.integers(1, 8),
    st.integers(0, 30),
    st.sampled_from([0, 0.2, 0.5]),
    st.integers(1, 60),
)
def test_parts_share_no_row_where_some_steps_are_looked_at(
    rows: int, span: int, first: int, holdout: float, most: int
) -> None:
    whole = split_steps(rows, span, first, holdout)
    some = split_steps(rows, span, first, holdout, most)
    assert some.total == whole.total == len(whole.every)
    assert set(some.every.tolist()) <= set(whole.every.tolist())
    assert len(set(some.every.tolist())) == len(some.every) <= most
    assert some.every[-1] == whole.every[-1]  # up to it everything counts as learned
    assert set(some.train.tolist()) <= set(some.every.tolist())
    assert not touched(some.train, span) & touched(some.held_out, span)
    for fold in some.folds:
        assert not touched(fold.train, span) & touched(fold.judge, span)
        assert set(fold.judge.tolist()) <= set(some.train.tolist())


def test_no_hour_of_the_day_is_left_out() -> None:
    """One of 24 hourly steps would always be of the same hour, were they evenly spaced."""
    hours = looked_at(np.arange(240_000), 10_000) % 24
    counts = np.bincount(hours, minlength=24)
    assert counts.min() > 300
    assert looked_at(np.arange(10_000), 10_000).tolist() == list(range(10_000))


def test_a_large_pod_takes_little_memory(tmp_path: Path) -> None:
    """Of 600,000 rows with 22 features these alone would be 100 MiB."""
    rows = 600_000
    params = make_params(tmp_path, rows)
    tracemalloc.start()
    try:
        answer = train(params, LocalReport())
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak / rows < 130
    evaluation = answer["evaluation"]
    told = evaluation["looked_at"]
    assert told["of"] == rows - SPAN
    assert told["steps"] * 22 <= assignment.LOOKED_AT_CELLS
    assert evaluation["refit"]["steps"] == told["steps"]
    assert evaluation["held_out"]["regret_closed"] > 0.7
    assert evaluation["learned_until"] == 60 * (rows - 1)
    assert Policy.from_bytes(answer["policy"]).evaluation["looked_at"] == told
    assert in_words(evaluation)[1].endswith(f"of {rows - SPAN:,} steps, over all of time")


def test_a_pod_of_ordinary_size_is_looked_at_whole(tmp_path: Path) -> None:
    answer = train(make_params(tmp_path, 900, episodes=1), LocalReport())
    assert "looked_at" not in answer["evaluation"]
    assert answer["evaluation"]["refit"]["steps"] == 900 - SPAN


def test_a_large_pod_learns_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(assignment, "LOOKED_AT", 200)
    monkeypatch.setattr(assignment, "LOOKED_AT_CELLS", 0)
    serving = tmp_path / "serving.policy"
    learned = train(make_params(tmp_path, 1500, algorithm="linear", episodes=4), LocalReport())
    serving.write_bytes(learned["policy"])
    given = {"policy": str(serving), "version": 1, "reason": "schedule"}
    params = make_params(tmp_path, 2000, algorithm="linear", episodes=4, continual=given)
    evaluation = train(params, LocalReport())["evaluation"]
    assert evaluation["looked_at"]["of"] == 2000 - SPAN
    found = evaluation["continual"]
    assert found["new_rows"] == 500
    assert 100 < found["steps"] <= 200  # of 244
    assert found["difference"] == pytest.approx(0, abs=0.1)
