"""A policy file reads back to the bit, is stable over releases, and refuses what does not fit."""

from __future__ import annotations

import base64
from pathlib import Path

import msgpack
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from spice_engine.errors import IncompatibleVersion, InvalidData
from spice_engine.learning.algorithms.linear import LinearModel
from spice_engine.learning.confidence import Calibration
from spice_engine.learning.features import Scaling
from spice_engine.learning.policy import InvalidPolicy, Policy

GOLDEN = Path(__file__).parent.parent / "golden" / "policy_v1.txt"
WINDOW = np.array([[1.0], [3.0]])


def small_policy() -> Policy:
    """Two rows of one field: levels 3 and 1, difference 2; written with exact numbers only."""
    return Policy(
        fields=("host_load_cpu",),
        actions=("wait", "work"),
        span=2,
        granularity=30,
        lags=(0, 1),
        algorithm="linear",
        model=LinearModel(
            Scaling(np.array([1.0, 1.0, 0.0]), np.array([0.5, 0.5, 0.25])),
            np.array([[1.0, -1.0], [0.5, 0.5], [0.0, 2.0]]),
            np.array([0.25, 0.5]),
        ),
        calibration=Calibration(np.array([0.0, 1.0]), np.array([0.5, 0.75])),
        evaluation={"in_sample": {"score": 12.5}, "held_out": None},
        fingerprint="f" * 64,
        settings={"seed": 0, "holdout": 0.25},
    )


def test_a_recommendation_by_hand() -> None:
    # z = (1, 0, 0.5): wait 1 + 0.25, work -1 + 1 + 0.5.
    got = small_policy().recommend(WINDOW, explain=True)
    assert (got.action, got.values) == ("wait", {"wait": 1.25, "work": 0.5})
    assert got.confidence == 0.5 + 0.25 * 0.75
    assert got.features == {
        "host_load_cpu[0]": 2.0,
        "host_load_cpu[0] - host_load_cpu[-1]": -1.0,
    }
    assert small_policy().recommend(WINDOW).features == {}


def test_it_reads_back_to_the_bit() -> None:
    data = small_policy().to_bytes()
    again = Policy.from_bytes(data)
    assert again.to_bytes() == data
    assert again.recommend(WINDOW, explain=True) == small_policy().recommend(WINDOW, explain=True)
    assert again.evaluation == small_policy().evaluation


def test_the_golden_file_of_version_1_is_read_and_written_alike() -> None:
    golden = base64.b64decode(GOLDEN.read_text())
    assert Policy.from_bytes(golden).recommend(WINDOW).action == "wait"
    assert small_policy().to_bytes() == golden


@pytest.mark.parametrize("window", [np.zeros((3, 1)), np.zeros((2, 2)), np.zeros(2)])
def test_a_window_of_another_shape_is_refused(window: np.ndarray) -> None:
    with pytest.raises(InvalidData, match="shape"):
        small_policy().recommend(window)


def test_a_window_with_a_gap_is_refused() -> None:
    with pytest.raises(InvalidData, match="finite"):
        small_policy().recommend(np.array([[1.0], [np.nan]]))


@pytest.mark.parametrize(
    ("fields", "actions", "span", "granularity", "reason"),
    [
        (("other",), ("wait", "work"), 2, 30, "fields"),
        (("host_load_cpu",), ("work", "wait"), 2, 30, "actions"),
        (("host_load_cpu",), ("wait", "work"), 3, 30, "rows in a window"),
        (("host_load_cpu",), ("wait", "work"), 2, 60, "seconds in a bucket"),
    ],
)
def test_what_does_not_fit_is_refused_with_the_reason(
    fields: tuple[str, ...], actions: tuple[str, ...], span: int, granularity: int, reason: str
) -> None:
    small_policy().check_fits(("host_load_cpu",), ("wait", "work"), 2, 30)
    with pytest.raises(InvalidPolicy, match=reason):
        small_policy().check_fits(fields, actions, span, granularity)


def test_another_version_is_named() -> None:
    outer = msgpack.unpackb(small_policy().to_bytes())
    outer["version"] = 99
    with pytest.raises(IncompatibleVersion, match="99"):
        Policy.from_bytes(msgpack.packb(outer))


@given(st.data())
def test_damage_is_always_noticed(data: st.DataObject) -> None:
    good = bytearray(small_policy().to_bytes())
    place = data.draw(st.integers(0, len(good) - 1))
    good[place] ^= data.draw(st.integers(1, 255))
    with pytest.raises((InvalidPolicy, IncompatibleVersion)):
        Policy.from_bytes(bytes(good))


@given(st.binary(max_size=60))
def test_other_bytes_are_no_policy(data: bytes) -> None:
    with pytest.raises(InvalidPolicy):
        Policy.from_bytes(data)
