"""What comes while a pod trains, or with nothing but time: posts, packages, distrust, the clock."""

from __future__ import annotations

import shutil
import socket
import time
import urllib.parse
from pathlib import Path

import pytest

from spice_engine.errors import SpiceError
from spice_engine.pods.catching_up import CATCH_UP_SECONDS
from tests.conftest import REPOSITORY, EngineFixture, wait_for

pytestmark = pytest.mark.e2e

SAMPLE = REPOSITORY / "sample_pods" / "serverops"
TEXT = (SAMPLE / "spicepods" / "serverops.yaml").read_text()
GOOD = "reward = (soon - 40) / 10"
ENDLESS = """\
total = 0
        for a in range(9999):
          for b in range(9999):
            total = a
        reward = total + (soon - 40) / 10"""
NEWEST = 1_767_225_600 + 86_400 - 30
"""The sample's last reading, in Unix seconds."""
LIVE = """\
name: live
params: {period: 1h, interval: 4s, granularity: 2s}
dataspaces:
  - from: host
    name: load
    measurements: [{name: cpu}]
actions: [{name: wait}, {name: work}]
training:
  holdout: 0%
  rewards:
    - {reward: wait, with: 'reward = 50 - next_state["host_load_cpu"]'}
    - {reward: work, with: 'reward = next_state["host_load_cpu"] - 50'}
"""
CODE = """\
import time
import urllib.parse


def wait(state, said, following, also):
    time.sleep({pause})
    return 50 - following["host_load_cpu"]


def work(state, said, following, also):
    return following["host_load_cpu"] - 50
"""
CODED = LIVE[: LIVE.index("  rewards:")].replace("name: live", "name: coded") + (
    "  reward_funcs: rewards.py\n"
    "  rewards: [{reward: wait, with: wait}, {reward: work, with: work}]\n"
)


def save(path: Path, text: str) -> Path:
    """As editors do: write beside, rename."""
    path.parent.mkdir(exist_ok=True)
    beside = path.with_name(f".{path.name}~")
    beside.write_text(text)
    return beside.rename(path)


def state(engine: EngineFixture, name: str) -> str:
    return str(engine.call("pods.get", pod=name)["state"])


def names(engine: EngineFixture) -> list[str]:
    return [pod["name"] for pod in engine.call("pods.list")["pods"]]


def observe(engine: EngineFixture, pod: str, text: str) -> None:
    engine.call("pods.observe", pod=pod, data=text.encode(), format="csv")


def trained_sample(engine: EngineFixture) -> Path:
    """The sample as the only pod, trained; its manifest."""
    root = engine.location.root
    (root / "data").mkdir()
    shutil.copy(SAMPLE / "data" / "metrics.csv", root / "data" / "metrics.csv")
    path = save(root / "spicepods" / "serverops.yaml", TEXT)
    engine.start()
    wait_for(lambda: names(engine) and state(engine, "serverops") == "ready", "the policy")
    return path


def train_for_ever(engine: EngineFixture, path: Path) -> None:
    save(path, path.read_text().replace(GOOD, ENDLESS))
    wait_for(lambda: state(engine, "serverops") == "training", "a training that does not end")


def readings(now: int, count: int = 40) -> str:
    rows = [f"{now - 2 * age},{20 + 60 * (age % 2)}" for age in range(count, 0, -1)]
    return "\n".join(["time,host.load.cpu", *rows]) + "\n"


def test_what_is_posted_while_a_pod_trains_is_recommended_by(engine: EngineFixture) -> None:
    path = trained_sample(engine)
    before = engine.call("pods.recommend", pod="serverops")
    train_for_ever(engine, path)
    header = "time,hostmetrics.service.cpu,hostmetrics.service.memory\n"
    for step in range(1, 4):
        # Readings on the last second of the period still belong to it.
        observe(engine, "serverops", f"{header}{NEWEST + 30},9{step},50\n")
        begun = time.monotonic()
        given = engine.call("pods.recommend", pod="serverops")
        assert time.monotonic() - begun < CATCH_UP_SECONDS
        assert given["end"] == NEWEST + 60 > before["end"]
        assert given["policy_version"] == before["policy_version"]
        assert state(engine, "serverops") == "training"
    # The table that the training learns from, and the one that answers.
    assert len(list((engine.location.state / "tmp").iterdir())) == 2
    save(path, TEXT)
    wait_for(lambda: state(engine, "serverops") == "ready", "the end of the training")
    assert engine.call("pods.recommend", pod="serverops")["end"] == NEWEST + 60
    assert len(list((engine.location.state / "tmp").iterdir())) == 1


def test_a_bucket_that_the_clock_completes_is_recommended_by(engine: EngineFixture) -> None:
    save(engine.location.root / "spicepods" / "live.yaml", LIVE)
    engine.start()
    wait_for(lambda: names(engine) == ["live"], "the pod")
    now = int(time.time())
    observe(engine, "live", readings(now))
    engine.call("pods.train", pod="live", wait=True)
    now = int(time.time())
    bucket = now - now % 2
    observe(engine, "live", f"time,host.load.cpu\n{now},77\n")
    wait_for(
        lambda: engine.call("pods.recommend", pod="live")["end"] == bucket + 2,
        "the bucket of the last post to be over",
        seconds=10,
    )


def test_distrust_ends_the_training_by_the_folders_code(
    engine: EngineFixture, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    root = engine.location.root
    save(root / "rewards.py", CODE.format(pause=0))
    save(root / "spicepods" / "coded.yaml", CODED)
    engine.start()
    wait_for(lambda: names(engine) == ["coded"], "the pod")
    observe(engine, "coded", readings(int(time.time())))
    wait_for(lambda: state(engine, "coded") == "needs trust", "the question")
    engine.call("trust.set", trusted=True)
    wait_for(lambda: state(engine, "coded") == "ready", "the training")
    version = engine.call("pods.recommend", pod="coded")["policy_version"]
    save(root / "rewards.py", CODE.format(pause=60))
    wait_for(lambda: state(engine, "coded") == "training", "a training of slow code")
    engine.call("trust.set", trusted=False)
    wait_for(lambda: state(engine, "coded") == "needs trust", "its end")
    runs = engine.call("pods.trainings", pod="coded")["trainings"]
    assert [run["state"] for run in runs] == ["complete", "interrupted"]
    assert "trusted" in runs[1]["message"]
    # What the policy was learned from needs not run again.
    save(root / "rewards.py", CODE.format(pause=0))
    wait_for(lambda: state(engine, "coded") == "ready", "the state of the policy that serves")
    assert engine.call("pods.recommend", pod="coded")["policy_version"] == version


def test_an_import_ends_the_training_and_serves(engine: EngineFixture) -> None:
    path = trained_sample(engine)
    package = engine.call("pods.export", pod="serverops")["path"]
    train_for_ever(engine, path)
    imported = engine.call("pods.import", path=package, overwrite=True)
    assert imported["policy_version"] == 2
    wait_for(lambda: state(engine, "serverops") == "ready", "the imported policy")
    assert path.read_text() == TEXT
    runs = engine.call("pods.trainings", pod="serverops")["trainings"]
    assert [run["state"] for run in runs] == ["complete", "interrupted"]
    assert engine.call("pods.recommend", pod="serverops")["policy_version"] == 2
    assert engine.call("pods.aliases", pod="serverops")["aliases"]["latest"] == 2


def test_a_version_that_cannot_answer_any_more_is_not_gone_back_to(engine: EngineFixture) -> None:
    path = trained_sample(engine)
    save(path, TEXT.replace("perform_maintenance", "maintain"))
    wait_for(
        lambda: engine.call("pods.get", pod="serverops")["policy_version"] == 2, "the new action"
    )
    for call, wanted in (("pods.rollback", {}), ("pods.alias", {"alias": "latest"})):
        with pytest.raises(SpiceError, match="other fields or actions"):
            engine.call(call, pod="serverops", version="1", **wanted)
    assert engine.call("pods.recommend", pod="serverops")["policy_version"] == 2
    assert engine.call("pods.aliases", pod="serverops")["aliases"]["latest"] == 2


def test_a_doubled_name_never_takes_a_third_pods_place(engine: EngineFixture) -> None:
    folder = engine.location.root / "spicepods"
    save(folder / "a.yaml", LIVE.replace("name: live", "name: one", 1))
    save(folder / "b.yaml", LIVE.replace("name: live", "name: c", 1))
    engine.start()
    wait_for(lambda: names(engine) == ["c", "one"], "two pods")
    save(folder / "c.yaml", LIVE.replace("name: live", "name: one", 1))
    save(folder / "d.yaml", LIVE.replace("name: live", "name: d", 1))
    wait_for(lambda: "d" in names(engine), "the pod that came after it")
    assert names(engine) == ["c", "d", "one"]
    assert engine.call("pods.get", pod="c")["manifest"] == "spicepods/b.yaml"
    problems = engine.call("pods.problems", pod="c")["problems"]
    assert "duplicate_pod" not in [problem["code"] for problem in problems]


def test_a_pod_that_waits_for_posts_has_not_failed(engine: EngineFixture) -> None:
    save(engine.location.root / "spicepods" / "live.yaml", LIVE)
    engine.start()
    wait_for(lambda: names(engine) and state(engine, "live") == "untrained", "the pod")
    problems = engine.call("pods.problems", pod="live")["problems"]
    assert {problem["severity"] for problem in problems} == {"warning"}
    with pytest.raises(SpiceError, match="insufficient data"):
        engine.call("pods.recommend", pod="live")


def test_a_key_that_is_no_text_is_refused(engine: EngineFixture) -> None:
    save(engine.location.root / "spicepods" / "live.yaml", LIVE)
    engine.start()
    wait_for(lambda: names(engine), "the pod")
    body = readings(int(time.time()))
    request = (
        b"POST /api/v0.1/pods/live/observations HTTP/1.1\r\nHost: localhost\r\n"
        b"Connection: close\r\nIdempotency-Key: \xff\xfe\r\n"
        + f"Content-Length: {len(body)}\r\n\r\n{body}".encode()
    )
    address = urllib.parse.urlsplit(engine.http)
    with socket.create_connection((address.hostname, address.port), timeout=10) as connection:
        connection.sendall(request)
        answer = connection.makefile("rb").read()
    assert answer.startswith(b"HTTP/1.1 400 ")
    assert b"idempotency key is not UTF-8" in answer
