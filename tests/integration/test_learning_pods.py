"""What is learned on real pods stays as good as it was measured."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from spice_engine.data.loader import load
from spice_engine.learning.policy import Policy
from spice_engine.learning.trainer import train
from spice_engine.pods.manifest import load_manifest
from spice_engine.pods.plan import loader_params, trainer_params
from spice_engine.workers.child import LocalReport

SAMPLES = Path(__file__).parents[2] / "sample_pods"
NOW = 2e9


def train_folder(folder: Path, manifest: Path, out: Path, **changes: Any) -> dict[str, Any]:
    pod = load_manifest(manifest.read_text(), "spicepods/pod.yaml")
    loaded = load(loader_params(pod, folder, out, NOW), LocalReport())
    params = trainer_params(pod, loaded, folder, fingerprint="f") | changes
    return train(params, LocalReport())


def closed(answer: dict[str, Any], part: str) -> float:
    return answer["evaluation"][part]["regret_closed"]


@pytest.mark.parametrize("algorithm", ["auto", "linear", "fqi"])
def test_the_sample_is_learned(tmp_path: Path, algorithm: str) -> None:
    folder = SAMPLES / "serverops"
    manifest = folder / "spicepods" / "serverops.yaml"
    answer = train_folder(folder, manifest, tmp_path, algorithm=algorithm)
    assert closed(answer, "in_sample") > 0.96
    assert closed(answer, "held_out") > 0.955
    assert answer["evaluation"]["reliability"]["error"] < 0.1


def test_the_garden_is_learned(cases: Path, tmp_path: Path) -> None:
    """The held-out month is unlike the one before: the best constant action is hard to beat."""
    manifest = cases / "manifests" / "gardener.yaml"
    answer = train_folder(cases, manifest, tmp_path, holdout=0.3)
    assert closed(answer, "in_sample") >= 0.98
    assert closed(answer, "held_out") >= 0.6
    again = train_folder(cases, manifest, tmp_path, holdout=0.3)
    assert answer["policy"] == again["policy"]
    assert Policy.from_bytes(answer["policy"]).to_bytes() == answer["policy"]
