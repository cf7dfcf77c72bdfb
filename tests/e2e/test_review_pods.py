"""Pods whose files come in an unusual order, are renamed, doubled or unreadable."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from spice_engine.errors import SpiceError
from tests.conftest import REPOSITORY, EngineFixture, wait_for

pytestmark = pytest.mark.e2e

SAMPLE = REPOSITORY / "sample_pods" / "serverops"


def names(engine: EngineFixture) -> list[str]:
    return [pod["name"] for pod in engine.call("pods.list")["pods"]]


def state(engine: EngineFixture, name: str = "serverops") -> str:
    return str(engine.call("pods.get", pod=name)["state"])


def put_manifest(engine: EngineFixture, file: str = "serverops.yaml", **replace: str) -> Path:
    text = (SAMPLE / "spicepods" / "serverops.yaml").read_text()
    for old, new in replace.items():
        assert f"{old}: " in text
        lines = text.splitlines()
        text = "\n".join(f"{old}: {new}" if x.startswith(f"{old}: ") else x for x in lines)
    folder = engine.location.root / "spicepods"
    folder.mkdir(exist_ok=True)
    beside = folder / f".{file}"
    beside.write_text(text)
    return beside.rename(folder / file)


def put_data(engine: EngineFixture) -> Path:
    folder = engine.location.root / "data"
    folder.mkdir()
    shutil.copy(SAMPLE / "data" / "metrics.csv", folder / "metrics.csv")
    return folder


def test_data_may_come_after_the_manifest_and_be_replaced_as_a_folder(engine: EngineFixture):
    engine.start()
    put_manifest(engine)
    wait_for(lambda: names(engine) == ["serverops"], "the pod")
    wait_for(lambda: state(engine) == "failed", "the missing data to be told")
    data = put_data(engine)
    wait_for(lambda: state(engine) == "ready", "the pod to be trained on the late data")
    other = engine.location.root / "other"
    other.mkdir()
    lines = (data / "metrics.csv").read_text().splitlines()
    (other / "metrics.csv").write_text("\n".join(lines[:-500]) + "\n")
    data.rename(engine.location.root / "old")
    other.rename(data)
    wait_for(
        lambda: engine.call("pods.get", pod="serverops")["policy_version"] == 2,
        "a version for the other folder's data",
    )


def test_manifests_added_one_by_one_to_a_late_folder_are_all_found(engine: EngineFixture):
    engine.start()
    folder = engine.location.root / "spicepods"
    folder.mkdir()
    for number in range(3):
        (folder / f"pod{number}.yaml").write_text(f"name: pod{number}\nparams: [1]\n")
        wait_for(lambda number=number: len(names(engine)) == number + 1, f"manifest {number}")
    shutil.rmtree(folder)
    wait_for(lambda: names(engine) == [], "all to be forgotten")
    folder.mkdir()
    (folder / "again.yaml").write_text("name: again\nparams: [1]\n")
    wait_for(lambda: names(engine) == ["again"], "the manifest in the new folder")


def test_a_manifest_renamed_while_its_pod_trains_is_loaded_under_its_new_name(
    engine: EngineFixture,
):
    put_data(engine)
    path = put_manifest(engine)
    engine.start()
    wait_for(lambda: names(engine) and state(engine) == "ready", "the first policy")
    good = path.read_text()
    loops = ["total = 0", "for a in range(9999):", "  for b in range(9999):", "    total = a"]
    endless = "\n        ".join([*loops, "reward = total + (soon - 40) / 10"])
    beside = path.with_name(".slow")
    beside.write_text(good.replace("reward = (soon - 40) / 10", endless))
    beside.rename(path)
    wait_for(lambda: state(engine) == "training", "a training that does not end by itself")
    beside.write_text(good)
    path.unlink()
    beside.rename(path.with_name("renamed.yaml"))

    def seen() -> list[tuple[str, str, str]]:
        # In one look: between the old file and the new one there is no pod.
        pods = engine.call("pods.list")["pods"]
        return [(pod["name"], pod["manifest"], pod["state"]) for pod in pods]

    renamed = ("serverops", "spicepods/renamed.yaml", "ready")
    wait_for(lambda: seen() == [renamed], "the pod under its new file")
    assert engine.call("pods.recommend", pod="serverops")["action"]
    runs = engine.call("pods.trainings", pod="serverops")["trainings"]
    assert [run["state"] for run in runs] == ["complete", "interrupted"]


def test_the_second_of_two_pods_of_one_name_lives_when_the_first_goes(engine: EngineFixture):
    put_data(engine)
    first = put_manifest(engine, "a.yaml")
    engine.start()
    wait_for(lambda: names(engine) == ["serverops"] and state(engine) == "ready", "the first")
    put_manifest(engine, "b.yaml")
    wait_for(lambda: names(engine) == ["b", "serverops"], "the second")
    assert engine.call("pods.problems", pod="b")["problems"][0]["code"] == "duplicate_pod"
    first.unlink()
    wait_for(
        lambda: (
            names(engine) == ["serverops"]
            and engine.call("pods.get", pod="serverops")["manifest"] == "spicepods/b.yaml"
            and state(engine) == "ready"
        ),
        "the second in the first one's place",
    )


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_manifest_that_cannot_be_read_keeps_its_pod(engine: EngineFixture):
    put_data(engine)
    path = put_manifest(engine)
    engine.start()
    wait_for(lambda: names(engine) and state(engine) == "ready", "the first policy")
    path.chmod(0)
    wait_for(lambda: engine.call("pods.problems", pod="serverops")["problems"], "the problem")
    assert state(engine) == "ready"
    path.chmod(0o644)
    wait_for(lambda: not engine.call("pods.problems", pod="serverops")["problems"], "its end")


@pytest.fixture(scope="module")
def untrained(shared_engine: EngineFixture) -> EngineFixture:
    """An engine with a pod that has no version."""
    folder = shared_engine.location.root / "spicepods"
    folder.mkdir()
    (folder / "x.yaml").write_text("name: x\nparams: [1]\n")
    wait_for(lambda: names(shared_engine), "the pod")
    return shared_engine


@pytest.mark.parametrize("alias", ["v²", "v99", "v" + "9" * 40, "best", "v-1", ""])
def test_a_version_that_does_not_exist_is_no_tag(untrained: EngineFixture, alias: str):
    with pytest.raises(SpiceError, match="no version tagged"):
        untrained.call("pods.recommend", pod="x", alias=alias)


def test_a_path_that_can_name_no_file_is_a_problem_of_its_pod_alone(engine: EngineFixture):
    put_data(engine)
    put_manifest(engine)
    broken = put_manifest(engine, "broken.yaml", name="broken")
    text = broken.read_text().replace("data/metrics.csv", "~nobody-of-that-name/metrics.csv")
    broken.write_text(text)
    engine.start()
    wait_for(lambda: names(engine) == ["broken", "serverops"], "both pods")
    wait_for(lambda: state(engine) == "ready", "the good pod")
    wait_for(lambda: state(engine, "broken") == "failed", "the problem to be told")
    problem = engine.call("pods.problems", pod="broken")["problems"][-1]
    assert (problem["code"], problem["line"] > 0) == ("invalid_data", True)


def test_an_algorithm_there_is_not_is_refused_and_no_problem_of_the_pod(engine: EngineFixture):
    put_data(engine)
    put_manifest(engine)
    engine.start()
    wait_for(lambda: names(engine) and state(engine) == "ready", "the pod")
    with pytest.raises(SpiceError, match="dqn not found") as caught:
        engine.call("pods.train", pod="serverops", algorithm="dqn")
    assert caught.value.code == "invalid_request"
    assert engine.call("pods.problems", pod="serverops")["problems"] == []


def test_a_pod_that_cannot_be_trained_says_why_when_asked(engine: EngineFixture):
    """Not the warning before the error: waiting would not help."""
    path = put_manifest(engine)
    path.write_text(path.read_text().replace("params:", "colour: red\nparams:", 1))
    engine.start()
    wait_for(lambda: names(engine) and state(engine) == "failed", "the missing data to be told")
    assert engine.call("pods.problems", pod="serverops")["problems"][0]["severity"] == "warning"
    with pytest.raises(SpiceError, match=r"could not be trained.*There is no file") as caught:
        engine.call("pods.recommend", pod="serverops")
    assert caught.value.code == "training_not_complete"
