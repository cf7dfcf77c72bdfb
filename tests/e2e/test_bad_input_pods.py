"""Manifests and data no pod should have, and children killed at work: told, and others go on."""

from __future__ import annotations

import os
import signal

import psutil
import pytest

from spice_engine.errors import ChildFailed, SpiceError
from tests.conftest import EngineFixture, wait_for
from tests.e2e.serving_neighbour import words_of
from tests.e2e.two_pods import (
    DATA,
    MEBIBYTE,
    TEXT,
    answer,
    errors,
    folder,
    pod,
    pods,
    sample,
    save,
    settled,
    with_reward,
)

pytestmark = pytest.mark.e2e

TRAINING_SECONDS = 3

BOMB = "a: &a [x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"{c}: &{c} [{', '.join([f'*{b}'] * 9)}]\n" for b, c in zip("abcdefgh", "bcdefghi", strict=True)
)


@pytest.mark.parametrize(
    ("content", "code"),
    [
        ("# " + "x" * (2 * MEBIBYTE), "too_large"),
        (BOMB, "too_many_nodes"),
        (bytes(range(256)) * 8, "not_utf8"),
        ("name: x\0y\n", "invalid_yaml"),
        ("- one\n- two\n", "wrong_type"),
        ("just text", "wrong_type"),
        ("", None),
        ("name: bad\n\tparams: {}\n", "invalid_yaml"),
        ("a: " + "[" * 5000 + "]" * 5000, "too_deep"),
        ("name: bad\n---\nname: worse\n", "several_documents"),
        ("name: !!python/object/apply:os.system ['true']\n", "invalid_tag"),
        ("name: bad\nname: worse\n", "duplicate_key"),
        ("name: [a, b]\n", "wrong_type"),
        ("name: ../../etc\n", None),
        ("a: &a [*a]\n", "unknown_alias"),
        (sample("bad").replace("24h", "1e400h"), None),
        (sample("bad").replace("30s", "0s"), None),
        (sample("bad").replace("30s", "1ns"), None),
        (sample("bad").replace("24h", "100000y"), None),
        (sample("bad").replace("epoch_time: 1767225600", "epoch_time: 99999999999999999999"), None),
        (sample("bad").replace("episodes: 10", "episodes: -1"), None),
        (sample("bad").replace("episodes: 10", "episodes: 1e30"), None),
    ],
    ids=range(22),
)
def test_a_manifest_that_cannot_be_used_fails_alone_and_says_where(
    shared: EngineFixture, content: str | bytes, code: str | None
):
    save(folder(shared) / "bad.yaml", content)
    wait_for(lambda: len(pods(shared)) == 2, "the bad pod")
    name = next(item for item in pods(shared) if item != "serverops")
    info = settled(shared, name)
    assert info["state"] == "failed"
    found = errors(info)
    assert code is None or code in {item["code"] for item in found}
    assert all(item["message"] and "bad.yaml" in str(item["file"]) for item in found)
    with pytest.raises(SpiceError) as caught:
        shared.call("pods.train", pod=name)
    assert caught.value.code != "internal_error"
    assert errors({"problems": shared.call("pods.lint", path="spicepods/bad.yaml")["problems"]})


def test_what_is_no_file_is_no_pod(shared: EngineFixture):
    here = folder(shared)
    (here / "folder.yaml").mkdir()
    (here / "one.yaml").symlink_to("two.yaml")
    (here / "two.yaml").symlink_to("one.yaml")
    (here / "nowhere.yaml").symlink_to("missing")
    (here / "endless.yaml").symlink_to("/dev/zero")
    os.mkfifo(here / "pipe.yaml")
    save(here / "good.yaml", sample("good"))
    assert settled(shared, "good")["state"] == "ready"
    assert pods(shared) == ["good", "serverops"]
    for name in ("one", "endless", "pipe", "folder", "nowhere"):
        with pytest.raises(SpiceError) as caught:
            shared.call("pods.lint", path=f"spicepods/{name}.yaml")
        assert caught.value.code in {"not_found", "invalid_request"}


def test_a_manifest_nobody_may_read(shared: EngineFixture):
    if os.geteuid() == 0:
        pytest.skip("root may read everything")
    path = save(folder(shared) / "secret.yaml", sample("secret"))
    path.chmod(0)
    save(folder(shared) / "good.yaml", sample("good"))
    assert settled(shared, "good")["state"] == "ready"


@pytest.mark.parametrize(
    "code",
    [
        "reward = 0\nwhile True:\n    reward = 1",
        "import os\nreward = 1",
        "reward = __import__('os').system('true')",
        "reward = 10 ** 10 ** 10",
        "reward = [0] * 10 ** 10",
        "reward = 'a' * 10",
        "reward = (lambda: 1)()",
        "reward = sum(i for i in range(10))",
        "reward = open('/etc/passwd')",
        "reward = " + "(" * 300 + "1" + ")" * 300,
        "reward = " + "-" * 4000 + "1",
        "reward = 0\nfor i in range(10 ** 12):\n    reward = i",
        "reward = sum(range(10 ** 11)) / 1e30",
        "reward = math.exp(1e6)",
        "reward = 1 / (soon - soon)",
        "reward = math.nan",
        "reward = 1e308 * 10",
        "x = 3\nfor i in range(5):\n    x = x * x * 1e200\nreward = x",
    ],
)
def test_rewards_that_are_refused(shared: EngineFixture, code: str):
    save(folder(shared) / "refused.yaml", with_reward("refused", code))
    info = settled(shared, "refused")
    assert info["state"] == "failed"
    assert {item["code"] for item in errors(info)} <= {
        "invalid_reward_function",
        "invalid_reward_value",
    }
    assert errors(info)
    assert all(item["line"] > 0 for item in errors(info))


@pytest.mark.parametrize(
    "code",
    [
        "for a in range(9999):\n  for b in range(9999):\n    for c in range(9999):\n"
        "      reward = c",
        "x = 3\nfor i in range(100):\n    x = x * x\nreward = 1",
    ],
    ids=["loops", "growing"],
)
@pytest.mark.slow
def test_rewards_that_do_not_end_are_ended(shared: EngineFixture, code: str):
    name = f"endless-{len(code)}"
    save(folder(shared) / "endless.yaml", with_reward(name, code))
    # The good pod is served, and its own training is not held up for longer than the deadline.
    wait_for(lambda: name in pods(shared), "the pod")
    assert shared.call("pods.recommend", pod="serverops")
    info = settled(shared, name)
    assert info["state"] == "failed"
    assert {item["code"] for item in errors(info)} == {"deadline_exceeded"}
    record = shared.call("pods.trainings", pod=name)["trainings"][-1]
    assert (record["state"], record["error"]) == ("failed", "deadline_exceeded")
    wait_for(lambda: not busy(shared), "its trainer to be gone")
    # Mended, it learns.
    save(folder(shared) / "endless.yaml", with_reward(name, "reward = soon"))
    wait_for(lambda: pod(shared, name)["state"] == "ready", "a policy")
    assert not errors(pod(shared, name))


def child(engine: EngineFixture, module: str) -> psutil.Process | None:
    for process in psutil.Process(engine.pid).children():
        if module in words_of(process):
            return process
    return None


def busy(engine: EngineFixture) -> bool:
    trainer = child(engine, "spice_engine.learning.trainer")
    try:
        return trainer is not None and trainer.cpu_percent(0.05) > 50
    except psutil.NoSuchProcess:  # it ended while it was looked at
        return False


@pytest.mark.parametrize(
    ("content", "code"),
    [
        (None, "invalid_data"),
        ("", "invalid_data"),
        ("time,cpu,memory\n", None),
        ("moment,cpu,memory\n1767225600,1,2\n", "invalid_data"),
        ("time,cpu\n1767225600,1\n", "invalid_data"),
        ("time,time,cpu,memory\n1,1,1,1\n", None),
        ("time,cpu,memory\n1767225600,1,2\n", None),
        ("time,cpu,memory\n" + "1767225600,nan,inf\n" * 3000, None),
        ("time,cpu,memory\n" + "1767225600000,1,1\n" * 3000, None),
        (DATA.replace("\n", "\r\n").replace(",", ";"), "invalid_data"),
        (bytes(range(256)) * 500, "invalid_data"),
        (b"\0" * MEBIBYTE, "invalid_data"),
        ('time,cpu,memory\n1767225600,"1,2\n' * 100, None),
    ],
    ids=range(13),
)
def test_data_that_cannot_be_used(
    shared: EngineFixture,
    content: str | bytes | None,
    code: str | None,
    request: pytest.FixtureRequest,
):
    name = f"data-{request.node.callspec.id}"  # a pod of its own, with no policy yet
    data = shared.location.root / "data" / "bad.csv"
    data.unlink(missing_ok=True)
    if content is not None:
        save(data, content)
    save(folder(shared) / "bad.yaml", sample(name).replace("metrics.csv", "bad.csv"))
    info = settled(shared, name)
    assert info["state"] == "failed"
    assert code is None or {item["code"] for item in errors(info)} == {code}
    assert all(item["message"] for item in errors(info))
    with pytest.raises(SpiceError) as caught:
        shared.call("pods.recommend", pod=name)
    assert caught.value.code in {"training_not_complete", "not_enough_data"}
    # Good data in their place, and it learns.
    save(data, DATA)
    wait_for(lambda: pod(shared, name)["state"] == "ready", "a policy")
    assert not errors(pod(shared, name))


@pytest.mark.slow
def test_a_million_bad_rows(shared: EngineFixture):
    good = DATA.splitlines(keepends=True)
    rows = "".join(f"never,{k},oops\n" for k in range(1_000_000))
    save(shared.location.root / "data" / "rows.csv", "".join(good) + rows)
    save(folder(shared) / "rows.yaml", sample("rows").replace("metrics.csv", "rows.csv"))
    info = settled(shared, "rows")
    assert info["state"] == "ready"
    problem = next(item for item in info["problems"] if item["code"] == "bad_rows")
    assert "1000000" in problem["message"]
    assert len(problem["message"]) < 1000
    assert problem["line"] == len(good) + 1
    assert psutil.Process(shared.pid).memory_info().rss < 300 * MEBIBYTE


def test_data_deleted_while_a_pod_serves(shared: EngineFixture):
    data = shared.location.root / "data" / "metrics.csv"
    before = shared.call("pods.recommend", pod="serverops")
    data.unlink()
    wait_for(lambda: errors(pod(shared)), "the problem")
    assert "metrics.csv" in str(errors(pod(shared))[0]["message"])
    assert shared.call("pods.recommend", pod="serverops") == before
    save(data, DATA)
    wait_for(lambda: not errors(pod(shared)), "the problem to go")
    assert shared.call("pods.recommend", pod="serverops") == before


def test_two_manifests_with_one_name(shared: EngineFixture):
    save(folder(shared) / "again.yaml", TEXT)
    info = settled(shared, "again")
    assert [item["code"] for item in errors(info)] == ["duplicate_pod"]
    assert "serverops.yaml" in str(errors(info)[0]["message"])
    assert pod(shared)["manifest"] == "spicepods/serverops.yaml"
    # The name becomes free: the second one takes it, with the policy that was learned.
    version = pod(shared)["policy_version"]
    (folder(shared) / "serverops.yaml").unlink()
    wait_for(lambda: pods(shared) == ["serverops"], "the second to take over", seconds=10)
    wait_for(lambda: pod(shared)["state"] == "ready", "its policy")
    assert pod(shared)["manifest"] == "spicepods/again.yaml"
    assert pod(shared)["policy_version"] == version
    (folder(shared) / "again.yaml").rename(folder(shared) / "serverops.yaml")
    wait_for(
        lambda: (
            pods(shared) == ["serverops"]
            and pod(shared)["manifest"] == "spicepods/serverops.yaml"
            and pod(shared)["state"] == "ready"
        ),
        "the renamed manifest",
    )
    assert pod(shared)["policy_version"] == version


def test_a_trainer_killed_at_work_fails_its_training_alone(shared: EngineFixture):
    version = pod(shared)["policy_version"]
    training = shared.call("pods.train", pod="serverops", episodes=100_000)
    trainer = child(shared, "spice_engine.learning.trainer")
    assert trainer is not None
    wait_for(lambda: pod(shared)["state"] == "training", "it to train")
    trainer.kill()
    wait_for(lambda: pod(shared)["state"] == "ready", "the end")
    record = shared.call("pods.training", pod="serverops", number=training["number"])
    assert (record["state"], record["error"]) == ("failed", "child_failed")
    assert "signal 9" in record["message"] or "SIGKILL" in record["message"]
    assert pod(shared)["policy_version"] == version
    assert [item["code"] for item in errors(pod(shared))] == ["child_failed"]
    assert shared.call("pods.train", pod="serverops", wait=True)["state"] == "complete"
    assert not errors(pod(shared))


def test_a_loader_killed_at_work_fails_its_load_alone(shared: EngineFixture):
    before = answer(shared)
    loader = child(shared, "spice_engine.data.loader")
    assert loader is not None
    loader.send_signal(signal.SIGSTOP)  # so that it is at work when it dies
    with shared.client() as one:
        path = folder(shared) / "serverops.yaml"
        save(path, TEXT.replace("holdout: 20%", "holdout: 21%"))
        wait_for(lambda: pod(shared)["state"] == "loading", "it to load")
        assert shared.call("pods.recommend", pod="serverops")
        loader.kill()
        wait_for(lambda: pod(shared)["state"] == "ready", "the end")
        assert [item["code"] for item in errors(pod(shared))] == ["child_failed"]
        record = one.call("pods.train", {"pod": "serverops", "wait": True})
        assert record["state"] == "complete"
        save(path, TEXT)
        wait_for(lambda: answer(shared) == before, "what it said before")


def test_a_query_child_killed_at_work_fails_its_query_alone(shared: EngineFixture):
    assert shared.call("store.query", sql="SELECT 1")["rows"] == [[1]]
    query = child(shared, "spice_engine.workers.query")
    assert query is not None
    query.kill()
    wait_for(lambda: not psutil.pid_exists(query.pid), "its end")
    assert shared.call("store.query", sql="SELECT 1")["rows"] == [[1]]
    assert ChildFailed.exit_code
