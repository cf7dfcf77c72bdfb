"""The confidence is a probability: true out of fold, of each kind of calibration, and read back."""

from __future__ import annotations

import numpy as np
import pytest

from spice_engine.learning.confidence import Calibration, calibrate, reliability
from spice_engine.learning.logistic import Logistic, fit_logistic


def noisy(seed: int, steps: int = 4000) -> tuple[np.ndarray, np.ndarray]:
    """Values, and what was earned: some are noisier than others."""
    chance = np.random.default_rng(seed)
    truth = chance.normal(size=(steps, 3)) * [3.0, 1.0, 1.0]
    return truth, truth + chance.normal(size=(steps, 3)) * [0.1, 1.5, 1.5]


@pytest.mark.parametrize("logistic", [True, False])
def test_it_is_true_on_steps_that_it_was_not_calibrated_on(logistic: bool) -> None:
    found = reliability(calibrate(*noisy(1), logistic=logistic), *noisy(2))
    assert found is not None
    assert found.error < 0.04
    assert found.chance < 0.02
    assert sum(one.steps for one in found.bins) == 4000
    said = sum(one.steps * one.confidence for one in found.bins) / 4000
    assert said == pytest.approx(found.confidence)
    assert [one.confidence for one in found.bins] == sorted(one.confidence for one in found.bins)


def test_one_row_is_as_sure_as_among_many_and_as_read_back() -> None:
    values, rewards = noisy(3)
    calibration = calibrate(values, rewards, logistic=True)
    assert calibration.logistic is not None
    together = calibration.confidence(values[:50])
    alone = [float(calibration.confidence(values[row : row + 1])[0]) for row in range(50)]
    assert together.tolist() == alone
    packed = calibration.logistic.to_floats()
    again = Calibration(
        calibration.margins, calibration.confidences, logistic=Logistic.from_floats(packed, 3)
    )
    assert again.confidence(values[:50]).tolist() == alone
    with pytest.raises(ValueError, match="other actions"):
        Logistic.from_floats(packed, 4)


def test_what_lies_outside_the_known_is_as_sure_as_its_edge() -> None:
    values, rewards = noisy(4)
    calibration = calibrate(values, rewards, logistic=True)
    huge = calibration.confidence(np.array([[1e30, 0.0, -1e30]]))
    assert 0 < float(huge[0]) <= 1
    # Laws leave two of three actions: then the margin alone speaks.
    two = calibration.confidence(values[:5, :2])
    assert two.tolist() == calibrate(values, rewards).confidence(values[:5, :2]).tolist()


def test_what_never_erred_is_not_taken_for_what_never_will() -> None:
    values, _ = noisy(5, 200)
    calibration = calibrate(values, values, logistic=True)
    sure = calibration.confidence(values)
    assert float(sure.min()) > 0.9
    assert float(sure.max()) < 1


def test_a_handful_of_rows_or_no_margin_at_all_makes_no_regression() -> None:
    values, rewards = noisy(6, 40)
    assert calibrate(values, rewards, logistic=True).logistic is None
    same = np.zeros((500, 2))
    assert fit_logistic(same, same[:, 0], same[:, 0] > 0) is None
