"""The main job: a sample pod from YAML to a recommendation, retrained when something changes."""

from __future__ import annotations

import json
import os
import time
import urllib.error
import urllib.request
from pathlib import Path

import pytest

from spice_engine.errors import Conflict, InvalidManifest, SpiceError
from tests.conftest import REPOSITORY, EngineFixture, wait_for

pytestmark = pytest.mark.e2e


def pod(engine: EngineFixture) -> dict[str, object]:
    return engine.call("pods.get", pod="serverops")


def learned(engine: EngineFixture) -> EngineFixture:
    """A started engine, with a sample pod that has learned its first policy."""
    engine.call("samples.add", name="samples/serverops")
    assert [item["name"] for item in engine.call("pods.list")["pods"]] == ["serverops"]
    wait_for(lambda: pod(engine)["state"] == "ready", "its first policy")
    return engine


@pytest.fixture
def trained(engine: EngineFixture) -> EngineFixture:
    """An engine whose sample pod has learned its first policy."""
    engine.start()
    return learned(engine)


@pytest.fixture(scope="module")
def kept(shared_engine: EngineFixture) -> EngineFixture:
    """One like that, for tests after which the pod and its policy are the same as before."""
    return learned(shared_engine)


def manifest(engine: EngineFixture) -> Path:
    return engine.location.root / "spicepods" / "serverops.yaml"


def save(path: Path, text: str) -> None:
    """As editors do: write beside, rename."""
    beside = path.with_name(f"{path.name}~")
    beside.write_text(text)
    beside.rename(path)


def get(url: str) -> tuple[int, dict[str, object]]:
    try:
        with urllib.request.urlopen(url, timeout=20) as reply:
            return reply.status, json.load(reply)
    except urllib.error.HTTPError as error:
        return error.code, json.load(error)


def test_the_sample_learns_something_that_holds_on_data_it_has_not_seen(kept: EngineFixture):
    info = pod(kept)
    evaluation = info["evaluation"]
    assert info["actions"] == ["do_nothing", "preload_cache", "perform_maintenance"]
    assert evaluation["beats_best_constant"] is True
    assert evaluation["held_out"]["regret_closed"] > 0.5
    for part in ("in_sample", "held_out"):
        figures = evaluation[part]
        assert figures["best_constant"] < figures["score"] <= figures["oracle"]


def test_the_recommendation_comes_over_http_as_the_original_gave_it(kept: EngineFixture):
    code, answer = get(f"{kept.http}/api/v0.1/pods/serverops/recommendation")
    assert code == 200
    assert answer["response"] == {"result": "ok"}
    assert answer["action"] in pod(kept)["actions"]
    assert 1 / 3 <= answer["confidence"] <= 1
    assert answer["end"] - answer["start"] == 600
    assert answer["tag"] == "latest"
    early, late = answer["start"] - 7200, answer["end"] + 31536000
    assert get(f"{kept.http}/api/v0.1/pods/serverops/recommendation?time={early}")[0] == 200
    code, answer = get(f"{kept.http}/api/v0.1/pods/serverops/recommendation?time={late}")
    assert (code, answer["response"]["result"]) == (400, "invalid_recommendation_time")
    assert "outside of the allowed range" in answer["response"]["message"]


def test_episodes_are_in_the_store_and_in_the_original_api(kept: EngineFixture):
    runs = engine_runs(kept)
    assert [run["number"] for run in runs] == [1]
    assert [episode["episode"] for episode in runs[0]["episodes"]] == list(range(1, 11))
    rows = kept.call("store.query", sql="SELECT count(*) FROM episodes WHERE pod='serverops'")
    assert rows["rows"] == [[10]]
    code, old = get(f"{kept.http}/api/v0.1/pods/serverops/training_runs/1")
    assert code == 200
    assert len(old["episodes"]) == 10
    assert sum(old["episodes"][0]["actions_taken"].values()) > 1000


def engine_runs(engine: EngineFixture) -> list[dict[str, object]]:
    return engine.call("pods.trainings", pod="serverops")["trainings"]


def test_saving_the_manifest_trains_again_and_touching_it_does_not(trained: EngineFixture):
    text = manifest(trained).read_text()
    save(manifest(trained), text.replace("holdout: 20%", "holdout: 30%"))
    wait_for(lambda: pod(trained)["policy_version"] == 2, "the second version")
    save(manifest(trained), text.replace("holdout: 20%", "holdout: 30%") + "\n# a comment\n")
    os.utime(manifest(trained))
    save(trained.location.root / "spicepods" / "notes.txt", "not a pod")
    trained.call("pods.train", pod="serverops", wait=True)
    assert pod(trained)["policy_version"] == 3


def test_new_data_trains_again(trained: EngineFixture):
    data = trained.location.root / "data" / "metrics.csv"
    lines = data.read_text().splitlines()
    save(data, "\n".join(lines[:-100]) + "\n")
    wait_for(lambda: pod(trained)["policy_version"] == 2, "a version for the new data")


def test_a_wrong_manifest_says_where_and_the_last_good_one_goes_on(kept: EngineFixture):
    text = manifest(kept).read_text()
    before = kept.call("pods.recommend", pod="serverops")
    save(manifest(kept), text.replace("granularity: 30s", "granularity: 30 parsecs"))
    line = 1 + next(k for k, item in enumerate(text.splitlines()) if "granularity" in item)
    wait_for(lambda: pod(kept)["problems"], "the problem")
    problem = pod(kept)["problems"][0]
    assert (problem["line"], problem["severity"]) == (line, "error")
    assert problem["column"] > 1
    assert "parsecs" in problem["message"]
    assert kept.call("pods.recommend", pod="serverops") == before
    save(manifest(kept), text)
    wait_for(lambda: not pod(kept)["problems"], "the problem to go")
    assert pod(kept)["policy_version"] == 1


def test_rewards_that_cannot_work_are_placed_in_the_manifest(trained: EngineFixture):
    text = manifest(trained).read_text()
    wrong = text.replace('next_state["hostmetrics_service_memory"]', 'next_state["nonsense"]')
    save(manifest(trained), wrong)
    line = 1 + next(k for k, item in enumerate(wrong.splitlines()) if "nonsense" in item)
    wait_for(lambda: pod(trained)["problems"], "the problem")
    assert pod(trained)["problems"][0]["line"] == line
    raising = text.replace("reward = (soon - 40) / 10", "reward = soon / (memory - memory)")
    line = 1 + next(k for k, item in enumerate(raising.splitlines()) if "memory - memory" in item)
    save(manifest(trained), raising)
    wait_for(
        lambda: any("zero" in item["message"].lower() for item in pod(trained)["problems"]),
        "the division by zero",
    )
    assert [item["line"] for item in pod(trained)["problems"]] == [line]
    assert pod(trained)["state"] == "ready"
    assert engine_runs(trained)[-1]["state"] == "failed"


def test_a_pod_that_never_was_good_fails_without_disturbing_the_other(kept: EngineFixture):
    broken = manifest(kept).with_name("broken.yaml")
    save(broken, "name: broken\nparams: [1, 2]\n")
    wait_for(lambda: len(kept.call("pods.list")["pods"]) == 2, "the broken pod")
    assert kept.call("pods.get", pod="broken")["state"] == "failed"
    with pytest.raises(InvalidManifest):
        kept.call("pods.train", pod="broken")
    with pytest.raises(SpiceError):
        kept.call("pods.recommend", pod="broken")
    assert pod(kept)["state"] == "ready"
    broken.unlink()
    wait_for(lambda: len(kept.call("pods.list")["pods"]) == 1, "the broken pod to go")


def test_a_restarted_engine_serves_the_stored_policy_without_training(trained: EngineFixture):
    before = trained.call("pods.recommend", pod="serverops")
    trained.kill()
    trained.start()
    wait_for(lambda: trained.call("pods.list")["pods"], "the pod")
    wait_for(lambda: pod(trained)["state"] == "ready", "its policy")
    assert trained.call("pods.recommend", pod="serverops") == before
    assert len(engine_runs(trained)) == 1


def test_a_training_under_way_refuses_a_second_one(trained: EngineFixture):
    with trained.client() as one, trained.client() as other:
        one.call("pods.train", {"pod": "serverops", "episodes": 5000})
        with pytest.raises(Conflict, match="already in progress"):
            other.call("pods.train", {"pod": "serverops"})
        wait_for(lambda: pod(trained)["state"] == "ready", "the end of the training")


def test_the_samples_files_are_those_of_the_repository(trained: EngineFixture):
    source = REPOSITORY / "sample_pods" / "serverops"
    for name in ("spicepods/serverops.yaml", "data/metrics.csv"):
        assert (trained.location.root / name).read_bytes() == (source / name).read_bytes()
    save(trained.location.root / "data" / "metrics.csv", "time,cpu\n")
    with pytest.raises(SpiceError, match=r"metrics\.csv") as refused:
        trained.call("samples.add", name="samples/serverops")
    assert refused.value.code == "file_exists"


def test_a_failed_change_of_the_table_leaves_the_last_good_version_answering(
    trained: EngineFixture,
):
    before = trained.call("pods.recommend", pod="serverops")
    text = manifest(trained).read_text()
    broken = text.replace("granularity: 30s", "granularity: 60s").replace(
        "reward = (soon - 40) / 10", "reward = soon / (memory - memory)"
    )
    save(manifest(trained), broken)
    wait_for(lambda: pod(trained)["problems"], "the division by zero")
    assert trained.call("pods.recommend", pod="serverops") == before
    save(manifest(trained), text.replace("granularity: 30s", "granularity: 60s"))
    wait_for(lambda: pod(trained)["policy_version"] == 2, "the coarser version")
    after = trained.call("pods.recommend", pod="serverops")
    assert after["end"] - after["start"] == 600
    assert len(list((trained.location.state / "tmp").iterdir())) == 1


def test_an_endless_training_gives_way_to_a_mended_manifest(trained: EngineFixture):
    text = manifest(trained).read_text()
    lines = ["total = 0", "for a in range(9999):", "  for b in range(9999):", "    total = a + b"]
    endless = "\n        ".join([*lines, "reward = total + (soon - 40) / 10"])
    slow = text.replace("reward = (soon - 40) / 10", endless)
    save(manifest(trained), slow)
    wait_for(lambda: pod(trained)["training"] == 2, "the endless training")
    time.sleep(1.2)
    save(manifest(trained), text.replace("holdout: 20%", "holdout: 25%"))
    wait_for(lambda: pod(trained)["policy_version"] == 2, "the mended version", seconds=10)
    states = [(run["state"], run["message"]) for run in engine_runs(trained)]
    assert states[1] == ("interrupted", "A newer manifest came.")
    assert states[2][0] == "complete"
