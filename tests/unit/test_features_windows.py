"""Features look backwards only, and are the same for training and for serving."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from spice_engine.learning.features import (
    MAX_FEATURES,
    MOST_CELLS,
    Kind,
    Layout,
    Scaling,
    choose_lags,
)
from spice_engine.learning.split import MIN_FOLD_STEPS, split_steps

CHANCE = np.random.default_rng(5)


def test_levels_and_differences_by_name() -> None:
    values = np.array([[1.0, 10.0], [2.0, 30.0], [4.0, 60.0]])
    layout = Layout.choose(["a", "b"], 3, 100)
    (row,) = layout.raw(values, np.array([2])).tolist()
    named = dict(zip(layout.names, row, strict=True))
    assert named == {
        "a[0]": 4.0,
        "b[0]": 60.0,
        "a[-1]": 2.0,
        "b[-1]": 30.0,
        "a[-2]": 1.0,
        "b[-2]": 10.0,
        "a[0] - a[-1]": 2.0,
        "b[0] - b[-1]": 30.0,
        "a[-1] - a[-2]": 1.0,
        "b[-1] - b[-2]": 20.0,
    }


def test_fields_without_a_past_are_seen_in_the_newest_row_only() -> None:
    values = np.array([[1.0, 10.0, 7.0], [2.0, 30.0, 8.0]])
    layout = Layout.choose(["a", "b", "c"], 2, 100, current={"a", "c"})
    (row,) = layout.raw(values, np.array([1])).tolist()
    named = dict(zip(layout.names, row, strict=True))
    assert named == {"b[0]": 30.0, "b[-1]": 10.0, "b[0] - b[-1]": 20.0, "a[0]": 2.0, "c[0]": 8.0}
    for field in layout.fields:
        assert layout.names[layout.position(field)] == f"{field}[0]"


def test_classic_windows_have_length_one_and_lose_their_level() -> None:
    values = np.array([[3.0, 0.0], [4.0, 0.0]])
    layout = Layout.choose(["a", "b"], 2, 100, kind="classic")
    assert layout.names == ("a[0]", "b[0]", "a[-1]", "b[-1]")
    for scale in (1.0, 1e200):
        (row,) = layout.raw(values * scale, np.array([1])).tolist()
        assert row == pytest.approx([0.8, 0.0, 0.6, 0.0])


@pytest.mark.parametrize("kind", ["levels", "classic"])
def test_one_window_gives_the_bits_of_its_row(kind: Kind) -> None:
    values = CHANCE.normal(size=(50, 4)) * [1, 1e6, 1e-6, 1]
    span = 7
    layout = Layout.choose("abcd", span, 50, current={"d"}, kind=kind)
    rows = np.arange(span - 1, 50)
    every = layout.raw(values, rows)
    for index, row in enumerate(rows):
        window = values[row - span + 1 : row + 1]
        assert layout.one(window).tobytes() == every[index : index + 1].tobytes()


def test_later_rows_do_not_matter() -> None:
    values = CHANCE.normal(size=(40, 2))
    changed = values.copy()
    changed[21:] = 1e6
    layout = Layout.choose("ab", 5, 40, current={"b"})
    rows = np.arange(4, 21)
    assert np.array_equal(layout.raw(values, rows), layout.raw(changed, rows))


@given(st.integers(1, 100_000), st.integers(1, 400), st.integers(1, 10_000_000))
def test_lags_are_bounded_and_start_at_the_newest(span: int, fields: int, steps: int) -> None:
    lags = choose_lags(span, fields, steps)
    assert lags[0] == 0
    assert list(lags) == sorted(set(lags))
    assert lags[-1] < span
    assert len(lags) <= max(2, MAX_FEATURES // (2 * fields))
    if span > 1 and 4 * fields * steps <= MOST_CELLS:
        assert lags[-1] == span - 1


def test_constant_and_huge_columns_are_harmless() -> None:
    raw = np.array([[5.0, 1e150, 1.0], [5.0, -1e150, 2.0], [5.0, 3e149, 4.0]])
    scaled = Scaling.of(raw).apply(raw)
    assert scaled[:, 0].tolist() == [0.0, 0.0, 0.0]
    np.testing.assert_allclose(scaled[:, 1:].mean(axis=0), 0, atol=1e-12)
    np.testing.assert_allclose(scaled[:, 1:].std(axis=0), 1)


@pytest.mark.parametrize("value", [0.1, 1e9 + 0.1, -3.7])
def test_a_column_that_never_changes_counts_as_constant(value: float) -> None:
    raw = np.full((1000, 1), value)
    assert Scaling.of(raw).inverse.tolist() == [0.0]


@given(st.integers(2, 400), st.integers(1, 20), st.integers(0, 300), st.sampled_from([0, 0.2, 0.5]))
def test_parts_share_no_row(rows: int, span: int, first: int, holdout: float) -> None:
    span = min(span, rows - 1)
    first = min(first, rows - 1 - span)  # the trainer asks for one step at least
    split = split_steps(rows, span, first, holdout)

    def touched(steps: np.ndarray) -> set[int]:
        return {row for step in steps for row in range(step - span + 1, step + 2)}

    assert touched(split.every) == set(range(first, rows))
    assert not touched(split.train) & touched(split.held_out)
    if len(split.held_out):
        assert min(touched(split.held_out)) == split.cut
    for fold in split.folds:
        assert not touched(fold.train) & touched(fold.judge)
        assert max(fold.train) < min(fold.judge)
        assert set(fold.judge) <= set(split.train)
        assert len(fold.train) >= MIN_FOLD_STEPS
