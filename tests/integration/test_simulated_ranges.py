"""Actions with a range that change something: from the manifest to a policy that names a value."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from spice_engine.data.loader import load
from spice_engine.learning.policy import Policy
from spice_engine.learning.trainer import train
from spice_engine.pods import plan
from spice_engine.pods.manifest import load_manifest
from spice_engine.workers.child import LocalReport

NOW, ROWS, START = 2e9, 400, 1_700_000_000
# Charging costs at once and is paid for later; it loses the square of its power.
MANIFEST = """
name: battery
params: {epoch_time: 1700000000, period: 4000s, interval: 20s, granularity: 10s}
dataspaces:
  - from: grid
    name: price
    measurements: [{name: now}]
    data:
      connector: {name: file, params: {path: price.csv}}
      processor: {name: csv}
  - from: local
    name: cell
    measurements: [{name: kwh}]
    actions:
      charge: kwh += args.power
      empty: kwh = 0
    laws: [kwh <= 100]
actions:
  - name: wait
  - name: charge
    do: {name: local.cell.charge, args: {power: action_value}}
    range: {from: 0, to: 100, unit: kW}
  - name: empty
    do: {name: local.cell.empty}
training:
  goal: ""
  rewards:
    - reward: wait
      with: reward = 0
    - reward: charge
      with: reward = -action_value * action_value / 80
    - reward: empty
      with: reward = current_state["grid_price_now"] * current_state["local_cell_kwh"]
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Every other price is nothing, the others one."""
    lines = [f"{START + 10 * i},{i % 2}" for i in range(ROWS)]
    (tmp_path / "price.csv").write_text("time,now\n" + "\n".join(lines) + "\n")
    return tmp_path


def params_of(folder: Path, text: str, **changes: Any) -> dict[str, Any]:
    manifest = load_manifest(text, "spicepods/battery.yaml")
    loaded = load(plan.loader_params(manifest, folder, folder / "out", NOW), LocalReport())
    return plan.trainer_params(manifest, loaded, folder, fingerprint="f") | changes


def learn(params: dict[str, Any]) -> tuple[Policy, dict[str, Any], list[dict[str, Any]]]:
    episodes: list[dict[str, Any]] = []
    answer = train(params, LocalReport(episodes.append))
    told = [one for one in episodes if one["kind"] == "episode"]
    return Policy.from_bytes(answer["policy"]), answer["evaluation"], told


def test_a_value_is_found_that_pays_later(folder: Path) -> None:
    """A step's own reward says that the least value is best: charging only costs."""
    policy, evaluation, episodes = learn(params_of(folder, MANIFEST, algorithm="fqi", episodes=4))
    held_out = evaluation["held_out"]
    assert held_out["regret_closed"] > 0.6
    assert held_out["score"] > 10 * held_out["steps"] / 2
    assert policy.names == ("wait", "charge", "empty")
    assert episodes[0]["actions_taken"].keys() == {"wait", "charge", "empty"}
    answer = policy.recommend(np.array([[1.0, 0.0], [0.0, 0.0]]))
    assert (answer.action, answer.unit) == ("charge", "kW")
    assert answer.value is not None
    assert 10 <= answer.value <= 60
    assert Policy.from_bytes(policy.to_bytes()).to_bytes() == policy.to_bytes()
