"""Where networks learn: on the processor but where a GPU is asked for, and why one is not used."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from manifest_texts import messages

from spice_engine.learning.algorithms.network_learner import NetworkLearner
from spice_engine.learning.hyperparameters import Dql, parse
from spice_engine.learning.kernels.network_devices import NetworkDevices
from spice_engine.pods.manifest import load_manifest
from spice_engine.pods.plan import fingerprint

RAW = np.random.default_rng(3).normal(size=(40, 2))
REWARDS = np.stack([RAW[:, 0], -RAW[:, 0]], axis=1)
POD = """\
dataspaces: [{from: a, name: b, measurements: [{name: x}]}]
actions: [{name: go}, {name: stay}]
training: {algorithm: dql, accelerator: cpu}
"""


def learned(accelerator: Any) -> tuple[np.ndarray, dict[str, Any]]:
    settings = parse("dql", {"updates": 4, "hidden": [4], "lanes": 8, "batch": 8, "warm_up": 0})
    assert isinstance(settings, Dql)
    fit = NetworkLearner(settings, 2, 0, accelerator).fit(RAW, REWARDS, lambda: None)
    return fit.values(1), dict(fit.told)


@pytest.mark.numbers
def test_without_a_gpu_the_processor_learns_and_who_asked_is_told_why(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    values, told = learned("cuda")
    assert told["device"] == "cpu"
    (note,) = told["notes"]
    assert note.endswith("pip install 'spice-tui[cuda]'. The processor is used.")
    for accelerator in ("auto", "cpu"):
        others, nothing = learned(accelerator)
        assert np.array_equal(others, values)
        assert "device" not in nothing
        assert "notes" not in nothing


def test_networks_of_auto_stay_on_the_processor() -> None:
    for algorithm, accelerator in (("auto", "cuda"), ("dql", "auto")):
        devices = NetworkDevices.of(algorithm, accelerator)  # type: ignore[arg-type]
        assert next(devices.learn(lambda make: iter([make.__name__]), 1)) == "Networks"
        assert devices.told == {}


def test_a_manifest_may_ask_and_then_has_another_fingerprint(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: object())

    def print_of(text: str) -> str:
        assert messages(text) == {}
        return fingerprint(load_manifest(text, "pod.yaml"), {"files": []}, tmp_path)

    plain = print_of(POD)
    assert print_of(POD.replace("cpu", "auto")) == plain
    assert print_of(POD.replace("cpu", "cuda")) != plain
