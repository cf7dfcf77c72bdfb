"""From a manifest and a file to a policy: what is learned, what never leaks, what is said."""

from __future__ import annotations

import math
import random
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from spice_engine.data.loader import load
from spice_engine.errors import InsufficientData, InvalidData, InvalidRewards
from spice_engine.learning.policy import Policy
from spice_engine.learning.reward_check import InvalidRewardValue
from spice_engine.learning.trainer import train
from spice_engine.pods.manifest import load_manifest
from spice_engine.pods.plan import files, fingerprint, loader_params, trainer_params
from spice_engine.workers.arrays import ArrayRef
from spice_engine.workers.arrays import load as load_array
from spice_engine.workers.child import Cancelled, LocalReport
from spice_engine.workers.pool import ChildPool

EPOCH = 1_700_000_000
ROWS = 600
NOW = 2e9
MANIFEST = """\
name: host
params: {epoch_time: 1700000000, period: 5h, interval: 5m, granularity: 30s}
dataspaces:
  - from: host
    name: load
    measurements: [{name: cpu}, {name: memory}]
    data:
      connector: {name: file, params: {path: data.csv}}
      processor: {name: csv}
actions: [{name: wait}, {name: work}]
training:
  reward_init: cpu = next_state["host_load_cpu"]
  rewards:
    - {reward: wait, with: reward = cpu - 50}
    - {reward: work, with: reward = 50 - cpu}
"""


def wave(row: int) -> float:
    return 50 + 40 * math.sin(row / 20)


def write_data(folder: Path, cpu: Callable[[int], float] = wave, rows: int = ROWS) -> None:
    chance = random.Random(4)
    lines = ["time,cpu,memory"]
    for row in range(rows):
        lines.append(f"{EPOCH + 30 * row},{cpu(row) + chance.gauss(0, 2):.4f},{row % 7}")
    (folder / "data.csv").write_text("\n".join(lines) + "\n")


def load_pod(folder: Path, text: str = MANIFEST, now: float = NOW) -> dict[str, Any]:
    manifest = load_manifest(text, "spicepods/host.yaml")
    return load(loader_params(manifest, folder, folder / "out", now), LocalReport())


def train_pod(
    folder: Path, text: str = MANIFEST, report: LocalReport | None = None, **changes: Any
) -> dict[str, Any]:
    manifest = load_manifest(text, "spicepods/host.yaml")
    params = trainer_params(manifest, load_pod(folder, text), folder, fingerprint="f") | changes
    return train(params, report or LocalReport())


def test_a_wave_is_learned_and_the_evaluation_is_honest(tmp_path: Path) -> None:
    write_data(tmp_path)
    episodes: list[dict[str, Any]] = []
    answer = train_pod(tmp_path, report=LocalReport(episodes.append))
    evaluation = answer["evaluation"]
    episodes = [one for one in episodes if one["kind"] == "episode"]
    assert [one["episode"] for one in episodes] == list(range(1, len(episodes) + 1))
    # The first episode is the best constant action, the curve goes up from there.
    assert episodes[0]["score"] == evaluation["in_sample"]["best_constant"]
    assert max(one["score"] for one in episodes) > episodes[0]["score"]
    for part in ("in_sample", "held_out", "refit"):
        judged = evaluation[part]
        assert judged["random"] < judged["score"] <= judged["oracle"]
        assert judged["regret_closed"] > 0.9
        assert sum(judged["actions_taken"].values()) == judged["steps"]
    assert evaluation["beats_best_constant"]
    assert not evaluation["nothing_to_learn"]
    assert not evaluation["constant_policy"]
    assert evaluation["held_out_from"] == EPOCH + 30 * (ROWS - ROWS // 5)
    assert evaluation["reliability"]["error"] < 0.2
    assert (answer["stopped"], answer["episodes"]) == ("episodes", len(episodes))


def test_the_policy_recommends_from_the_newest_window(tmp_path: Path) -> None:
    write_data(tmp_path)
    loaded = load_pod(tmp_path)
    policy = Policy.from_bytes(train_pod(tmp_path)["policy"])
    policy.check_fits(loaded["fields"], ("wait", "work"), 10, 30)
    values = np.asarray(load_array(ArrayRef.from_dict(loaded["values"])))
    right = 0
    for row in range(100, ROWS - 1):
        got = policy.recommend(values[row - 9 : row + 1], explain=True)
        best = "wait" if values[row + 1, 0] > 50 else "work"
        right += got.action == best
        assert 0.4 < got.confidence <= 1
        assert got.features
    assert right / (ROWS - 101) > 0.9


def test_the_same_seed_gives_the_same_bytes(tmp_path: Path) -> None:
    write_data(tmp_path)
    assert train_pod(tmp_path)["policy"] == train_pod(tmp_path)["policy"]


def test_held_out_rows_select_nothing(tmp_path: Path) -> None:
    """Other data in the held-out part: the same curve, selection and in-sample figures."""
    curves: list[list[dict[str, Any]]] = []
    evaluations: list[dict[str, Any]] = []
    for cpu in (wave, lambda row: wave(row) if row < ROWS * 4 // 5 else 100 - wave(row)):
        write_data(tmp_path, cpu)
        curve: list[dict[str, Any]] = []
        evaluations.append(train_pod(tmp_path, report=LocalReport(curve.append))["evaluation"])
        shown = [one for one in curve if one["kind"] == "episode"]
        curves.append([one | {"start": 0, "end": 0} for one in shown])
    assert curves[0] == curves[1]
    one, other = evaluations
    assert one["in_sample"] == other["in_sample"]
    assert one["candidate"] == other["candidate"]
    assert one["held_out"] != other["held_out"]


def test_later_rows_change_no_recommendation(tmp_path: Path) -> None:
    """A policy asked about a time answers from the rows before it only."""
    write_data(tmp_path)
    policy = Policy.from_bytes(train_pod(tmp_path)["policy"])
    before = np.asarray(load_array(ArrayRef.from_dict(load_pod(tmp_path)["values"])))
    write_data(tmp_path, lambda row: wave(row) if row < 300 else 0.0)
    after = np.asarray(load_array(ArrayRef.from_dict(load_pod(tmp_path)["values"])))
    for row in (50, 150, 299):
        window = slice(row - 9, row + 1)
        assert policy.recommend(before[window]) == policy.recommend(after[window])


def test_uniform_rewards_are_nothing_to_learn(tmp_path: Path) -> None:
    write_data(tmp_path)
    text = MANIFEST[: MANIFEST.index("  reward_init")] + "  rewards: uniform\n"
    answer = train_pod(tmp_path, text)
    assert answer["evaluation"]["nothing_to_learn"]
    window = np.asarray(load_array(ArrayRef.from_dict(load_pod(tmp_path)["values"])))[-10:]
    got = Policy.from_bytes(answer["policy"]).recommend(window)
    assert (got.action, got.confidence) == ("wait", 0.5)


def test_noise_is_told_from_learning(tmp_path: Path) -> None:
    chance = random.Random(9)
    write_data(tmp_path, lambda _: chance.uniform(0, 100))
    evaluation = train_pod(tmp_path)["evaluation"]
    assert abs(evaluation["held_out"]["regret_closed"]) < 0.2


def test_without_a_held_out_part(tmp_path: Path) -> None:
    write_data(tmp_path)
    evaluation = train_pod(tmp_path, holdout=0.0)["evaluation"]
    assert (evaluation["held_out"], evaluation["beats_best_constant"]) == (None, None)
    assert evaluation["in_sample"]["steps"] == ROWS - 10


def test_a_goal_stops_the_run(tmp_path: Path) -> None:
    write_data(tmp_path)
    answer = train_pod(tmp_path, goal="score > -1e9")
    assert (answer["stopped"], answer["episodes"]) == ("goal", 1)
    assert Policy.from_bytes(answer["policy"]).evaluation["constant_policy"]


@pytest.mark.parametrize(("rows", "enough"), [(10, False), (11, True), (60, True)])
def test_too_little_data_is_refused_and_little_is_not(
    tmp_path: Path, rows: int, enough: bool
) -> None:
    write_data(tmp_path, rows=rows)
    if enough:
        assert Policy.from_bytes(train_pod(tmp_path)["policy"]).span == 10
    else:
        with pytest.raises(InsufficientData, match="insufficient data for training"):
            train_pod(tmp_path)


def test_a_reward_that_raises_points_into_the_manifest(tmp_path: Path) -> None:
    write_data(tmp_path)
    text = MANIFEST.replace("reward = cpu - 50", "'reward = 1 / (cpu * 0)'")
    with pytest.raises(InvalidRewards, match="ZeroDivisionError") as caught:
        train_pod(tmp_path, text)
    assert str(caught.value.place) == "spicepods/host.yaml:14:38"
    text = MANIFEST.replace("reward = cpu - 50", "reward = math.inf")
    with pytest.raises(InvalidRewardValue):
        train_pod(tmp_path, text)


def test_a_cancelled_run_ends(tmp_path: Path) -> None:
    write_data(tmp_path)
    report = LocalReport(lambda _: setattr(report, "cancelled", True))
    with pytest.raises(Cancelled):
        train_pod(tmp_path, report=report)


def test_bad_rows_are_counted_and_the_rest_loads(tmp_path: Path) -> None:
    write_data(tmp_path)
    with (tmp_path / "data.csv").open("a") as file:
        file.write(f"late,1,1\n{EPOCH},x,1\n{EPOCH - 1},1,1\n")
    loaded = load_pod(tmp_path)
    (space,) = loaded["dataspaces"]
    assert (space["rows"], space["bad_rows"], space["outside_period"]) == (ROWS + 2, 1, 1)
    assert space["bad_cells"] == {"cpu": 1}
    assert {problem["code"] for problem in loaded["problems"]} == {
        "bad_rows",
        "bad_cells",
        "outside_period",
    }
    assert loaded["training_rows"] == ROWS
    assert all(problem["severity"] == "warning" for problem in loaded["problems"])


def test_data_outside_the_period_says_what_to_write(tmp_path: Path) -> None:
    write_data(tmp_path)
    (problem,) = load_pod(tmp_path, MANIFEST.replace("epoch_time: 1700000000, ", ""))["problems"]
    assert (problem["code"], problem["severity"]) == ("no_data", "error")
    assert f"params.epoch_time to {EPOCH}" in problem["message"]


def test_times_in_milliseconds_are_recognised(tmp_path: Path) -> None:
    (tmp_path / "data.csv").write_text("time,cpu,memory\n1700000000000,1,1\n")
    problems = {problem["code"]: problem for problem in load_pod(tmp_path)["problems"]}
    assert problems.keys() == {"bad_rows", "no_data"}
    assert "looks like milliseconds" in problems["bad_rows"]["message"]


def test_a_missing_column_points_into_the_manifest(tmp_path: Path) -> None:
    write_data(tmp_path)
    with pytest.raises(InvalidData, match="no column 'mem'") as caught:
        load_pod(tmp_path, MANIFEST.replace("{name: memory}", "{name: memory, selector: mem}"))
    assert str(caught.value.place) == "spicepods/host.yaml:6:58"


def test_two_dataspaces_and_local_state(tmp_path: Path) -> None:
    write_data(tmp_path)
    (tmp_path / "b.csv").write_text(f"when,v\n{EPOCH + 60},7\n")
    extra = """\
  - from: z
    name: b
    measurements: [{name: v, initializer: 3}]
    data:
      connector: {name: file, params: {path: b.csv}}
      processor: {name: csv, params: {time_selector: when}}
  - {from: a, name: state, measurements: [{name: money, initializer: 10}]}
actions: [{name: wait}"""
    text = MANIFEST.replace("actions: [{name: wait}", extra)
    loaded = load_pod(tmp_path, text)
    assert loaded["fields"] == ["a_state_money", "host_load_cpu", "host_load_memory", "z_b_v"]
    values = load_array(ArrayRef.from_dict(loaded["values"]))
    assert values[:4, 0].tolist() == [10.0] * 4
    assert values[:4, 3].tolist() == [3.0, 3.0, 7.0, 7.0]
    assert train_pod(tmp_path, text)["evaluation"]["held_out"]["regret_closed"] > 0.9


def test_the_fingerprint_follows_meaning_and_data_only(tmp_path: Path) -> None:
    write_data(tmp_path)
    loaded = load_pod(tmp_path)

    def of(text: str, data: dict[str, Any] = loaded) -> str:
        return fingerprint(load_manifest(text, "p.yaml"), data, tmp_path)

    same = of(MANIFEST)
    assert same == of("# a comment\n" + MANIFEST.replace("5h", "300m"), load_pod(tmp_path))
    for old, new in (
        ("cpu - 50", "cpu - 51"),
        ("interval: 5m", "interval: 6m"),
        ("{name: memory}", "{name: memory, fill: none}"),
        ("{name: work}", "{name: work}, {name: work2}"),
        ("training:", "training:\n  seed: 1"),
    ):
        changed = MANIFEST.replace(old, new)
        if "work2" in new:
            changed = changed.replace(
                "  rewards:", "  rewards:\n    - {reward: work2, with: reward = 0}"
            )
        assert of(changed) != same
    write_data(tmp_path, lambda row: wave(row) + 1)
    assert of(MANIFEST, load_pod(tmp_path)) != same
    manifest = load_manifest(MANIFEST, "p.yaml")
    assert files(manifest, tmp_path) == (tmp_path / "data.csv",)


async def test_the_children_do_it_too(tmp_path: Path) -> None:
    """Loader and trainer as the engine starts them, errors and all."""
    write_data(tmp_path)
    manifest = load_manifest(MANIFEST, "spicepods/host.yaml")
    loaders = ChildPool("loader", "spice_engine.data.loader", 1, folder=tmp_path / "logs")
    trainers = ChildPool("trainer", "spice_engine.learning.trainer", 1, folder=tmp_path / "logs")
    try:
        loaded = await loaders.call(
            "load", loader_params(manifest, tmp_path, tmp_path / "out", NOW)
        )
        episodes: list[dict[str, Any]] = []
        params = trainer_params(manifest, loaded, tmp_path, fingerprint="f")
        answer = await trainers.call("train", params, on_progress=episodes.append)
        assert [one["kind"] for one in episodes].count("episode") == answer["episodes"]
        assert answer["policy"] == train(params, LocalReport())["policy"]
        params["rewards"]["actions"]["wait"]["text"] = "reward = 1 / 0"
        with pytest.raises(InvalidRewards, match="ZeroDivisionError"):
            await trainers.call("train", params)
        params["rewards"]["actions"]["wait"]["text"] = "reward = math.nan"
        with pytest.raises(InvalidRewards, match="nan") as caught:
            await trainers.call("train", params)
        assert caught.value.code == "invalid_reward_value"
    finally:
        await loaders.close()
        await trainers.close()
    assert "polars" in sys.modules  # imported by this test's own loader, in this process


def test_nothing_is_learned_from_before_the_first_datum(tmp_path: Path) -> None:
    """A period far longer than its data: the empty part must not choose the best constant."""
    write_data(tmp_path, lambda row: 60 + 30 * math.sin(row / 20))
    early = f"{{epoch_time: {EPOCH - 200_000}, period: 100h, interval: 5m, granularity: 30s}}"
    text = MANIFEST.replace(MANIFEST.splitlines()[1].removeprefix("params: "), early)
    # By the initializer 0 `work` would be the best constant; by the data it is `wait`.
    found = train_pod(tmp_path, text)["evaluation"]
    for part in ("in_sample", "held_out", "refit"):
        assert found[part]["best_constant_action"] == "wait"
    assert found["refit"]["steps"] <= ROWS
    assert found["held_out"]["regret_closed"] > 0.8


def test_the_period_does_not_make_up_for_missing_data(tmp_path: Path) -> None:
    write_data(tmp_path, rows=10)
    text = MANIFEST.replace("epoch_time: 1700000000", "epoch_time: 1699990000")
    with pytest.raises(InsufficientData, match="10 complete buckets from the first datum"):
        train_pod(tmp_path, text)
