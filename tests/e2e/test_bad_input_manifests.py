"""Manifests edited into nonsense and back, saved as editors save: told with their place."""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from pathlib import Path

import pytest

from spice_engine.errors import SpiceError
from tests.conftest import EngineFixture, wait_for
from tests.e2e.two_pods import (
    answer,
    broken,
    errors,
    folder,
    learned,
    line_of,
    pod,
    pods,
    sample,
    save,
    with_reward,
)

pytestmark = pytest.mark.e2e

TRAINING_SECONDS = 3

NAME = "second"
TEXT = sample(NAME)
ENDLESS = (
    "for a in range(9999):\n  for b in range(9999):\n    for c in range(9999):\n      reward = c"
)


@pytest.fixture
def second(shared: EngineFixture) -> Path:
    """The manifest of a second pod, which has learned."""
    path = save(folder(shared) / f"{NAME}.yaml", TEXT)
    learned(shared, NAME)
    return path


def trainings(engine: EngineFixture, name: str = NAME) -> list[dict[str, object]]:
    return engine.call("pods.trainings", pod=name)["trainings"]


@pytest.mark.parametrize(
    ("old", "new", "code", "at"),
    [
        ("        name: file", "        name: fiel", "unknown_connector", "fiel"),
        ("        name: csv", "        name: cvs", "unknown_processor", "cvs"),
        ("          path: data/metrics.csv\n", "", "missing_param", None),
        ("path: data/metrics.csv", "path: {a: data/metrics.csv}", None, "{a:"),
        ("data/metrics.csv", "../metrics.csv", None, None),
        ("interval: 10m ", "interval: 25h ", "invalid_params", None),
        ("granularity: 30s", "granularity: 11m", "invalid_params", None),
        ("granularity: 30s", "granularity: soon", None, "soon"),
        ("period: 24h", "period: -24h", None, "-24h"),
        ("actions:\n  - name: do_nothing\n", "actions: []\nother:\n  - name: a\n", None, "[]"),
        ("  - name: do_nothing\n", "  - name: dance\n  - name: do_nothing\n", None, "dance"),
        ("  - name: do_nothing\n", "  - name: preload_cache\n", "duplicate_action", None),
        ("    - reward: preload_cache", "    - reward: [x]", None, "[x]"),
        ("      - name: cpu\n", "      - name: memory\n", "duplicate_measurement", None),
        ("      - name: cpu\n", "      - cpu\n", "wrong_type", "- cpu"),
        ("algorithm: linear", "algorithm: liner", None, "liner"),
        ("holdout: 20%", "holdout: 120%", None, "120%"),
        ("holdout: 20%", "goal: better", None, "better"),
        ("seed: 0", "hyperparameters: {weakest: -1}", None, "-1"),
        ("seed: 0", "seed: ${NOT_SET_ANYWHERE}", None, "${NOT"),
        ("params:\n", "params: []\nolder:\n", "wrong_type", "[]"),
        ("params:\n", "params:\n\tx: 1\n", "invalid_yaml", "\tx"),
        ("        reward = (soon - 40) / 10", "        reward = (son - 40)", None, "son -"),
        ("        reward = (soon - 40) / 10", "        reward = (soon", None, None),
    ],
)
def test_a_wrong_edit_is_told_with_its_place_and_the_last_good_version_answers(
    shared: EngineFixture, second: Path, old: str, new: str, code: str | None, at: str | None
):
    before, version = answer(shared, NAME), pod(shared, NAME)["policy_version"]
    assert old in TEXT
    text = TEXT.replace(old, new, 1)
    save(second, text)
    found = broken(shared, NAME)
    assert all(item["file"] == f"spicepods/{NAME}.yaml" for item in found)
    assert all(item["line"] > 0 and item["column"] > 0 for item in found), found
    assert code is None or code in {item["code"] for item in found}, found
    assert at is None or line_of(text, at) in {item["line"] for item in found}, found
    assert pod(shared, NAME)["state"] == "ready"
    assert answer(shared, NAME) == before
    save(second, TEXT)
    wait_for(lambda: not errors(pod(shared, NAME)), "the errors to go")
    assert answer(shared, NAME) == before
    assert pod(shared, NAME)["policy_version"] == version


def test_after_repair_it_learns_anew(shared: EngineFixture, second: Path):
    version = pod(shared, NAME)["policy_version"]
    save(second, TEXT.replace("name: csv", "name: cvs"))
    broken(shared, NAME)
    save(second, TEXT.replace("holdout: 20%", "holdout: 22%"))
    assert learned(shared, NAME, after=version)["policy_version"] == version + 1


def test_all_findings_of_a_manifest_come_at_once(shared: EngineFixture):
    text = (
        sample("many")
        .replace("name: csv", "name: cvs")
        .replace("holdout: 20%", "holdout: 120%")
        .replace("reward = (soon - 40) / 10", "reward = (son - 40) / 10")
    )
    save(folder(shared) / "many.yaml", text)
    lines = {item["line"] for item in broken(shared, "many")}
    assert lines == {line_of(text, part) for part in ("cvs", "120%", "son -")}
    son = next(item for item in errors(pod(shared, "many")) if "son" in item["message"])
    assert son["column"] == text.splitlines()[son["line"] - 1].index("son") + 1


# -- how editors save


def as_vim(path: Path, text: str) -> None:
    """A probe, the old file renamed to a backup, a new one written, the backup deleted."""
    (path.parent / "4913").touch()
    (path.parent / "4913").unlink()
    backup = path.with_name(f"{path.name}~")
    path.rename(backup)
    path.write_text(text)
    backup.unlink()


def as_emacs(path: Path, text: str) -> None:
    """A lock that is a link to nowhere, an automatic save, a backup that stays, then the file."""
    lock = path.with_name(f".#{path.name}")
    lock.symlink_to("somebody@host.1234:5678")
    (path.parent / f"#{path.name}#").write_text(text[: len(text) // 2])
    shutil.copy(path, path.with_name(f"{path.name}~"))
    path.write_text(text)
    (path.parent / f"#{path.name}#").unlink()
    lock.unlink()


def in_place(path: Path, text: str) -> None:
    """Cut to nothing, then written in pieces."""
    with path.open("w") as file:
        for start in range(0, len(text), 300):
            file.write(text[start : start + 300])
            file.flush()
            time.sleep(0.002)


def by_rename(path: Path, text: str) -> None:
    beside = path.with_name(f".{path.name}.swp")
    beside.write_text(text)
    beside.replace(path)


def by_sed(path: Path, text: str) -> None:
    holdout = next(line for line in text.splitlines() if "holdout" in line)
    subprocess.run(["sed", "-i", f"s/^  holdout:.*/{holdout}/", str(path)], check=True)
    assert path.read_text() == text


def by_another_name(path: Path, text: str) -> None:
    """Written whole beside, the old one deleted, then linked to its place."""
    beside = path.with_name("draft.txt")
    beside.write_text(text)
    path.unlink()
    os.link(beside, path)
    beside.unlink()


@pytest.mark.parametrize(
    "write",
    [as_vim, as_emacs, in_place, by_rename, by_sed, by_another_name],
    ids=lambda w: w.__name__,
)
def test_a_save_is_one_change_whatever_the_editor_does(
    shared: EngineFixture, second: Path, write: object, request: pytest.FixtureRequest
):
    share = 23 + sum(map(ord, request.node.callspec.id)) % 20
    text = TEXT.replace("holdout: 20%", f"holdout: {share}%")
    version, runs = pod(shared, NAME)["policy_version"], len(trainings(shared))
    assert callable(write)
    write(second, text)
    learned(shared, NAME, after=version)
    assert pods(shared) == [NAME, "serverops"]
    assert not errors(pod(shared, NAME))
    done = trainings(shared)[runs:]
    assert [run["state"] for run in done] == ["complete"]


@pytest.mark.parametrize(("pause", "most"), [(0.0, 4), (0.01, 25)])
def test_a_burst_of_saves_is_a_few_trainings_and_the_newest_wins(
    shared: EngineFixture, second: Path, pause: float, most: int
):
    runs = len(trainings(shared))
    for number in range(50):
        save(second, TEXT.replace("episodes: 10", f"episodes: {11 + number}"))
        time.sleep(pause)
    wait_for(lambda: pod(shared, NAME)["episodes"] == 60, "the newest to be read")
    learned(shared, NAME)
    done = trainings(shared)[runs:]
    assert 1 <= len(done) <= most
    assert done[-1]["episodes_wanted"] == 60
    assert done[-1]["policy_version"] == pod(shared, NAME)["policy_version"]
    assert {run["state"] for run in done} <= {"complete", "interrupted"}


def test_a_burst_of_good_and_bad_saves_ends_as_the_last(shared: EngineFixture, second: Path):
    before = answer(shared, NAME)
    for number in range(20):
        save(second, TEXT if number % 2 else TEXT.replace("name: csv", "name: cvs"))
    wait_for(lambda: not errors(pod(shared, NAME)), "the last, which is good")
    assert answer(shared, NAME) == before
    for number in range(21):
        save(second, TEXT if number % 2 else TEXT.replace("name: csv", "name: cvs"))
    assert broken(shared, NAME)
    assert answer(shared, NAME) == before


def test_saves_during_a_training_interrupt_it_and_the_newest_wins(
    shared: EngineFixture, second: Path
):
    """The training in their way does not end by itself; it must not hold them up either."""
    save(second, with_reward(NAME, ENDLESS))
    wait_for(lambda: pod(shared, NAME)["state"] == "training", "the one that does not end")
    runs = len(trainings(shared))
    for share in (41, 42, 43):
        save(second, TEXT.replace("holdout: 20%", f"holdout: {share}%"))
        time.sleep(0.05)
    wait_for(lambda: len(trainings(shared)) > runs, "the next training")
    learned(shared, NAME)

    def are_over() -> bool:
        # On a busy machine the saves may be seen one by one: then they interrupt each other.
        first, *others, last = (run["state"] for run in trainings(shared)[runs - 1 :])
        between = len(others) <= 2 and {*others} <= {"interrupted", "complete"}
        return first == "interrupted" and between and last == "complete"

    wait_for(are_over, "the end of all of them")


def test_a_training_asked_for_is_ended_by_no_save(shared: EngineFixture, second: Path):
    number = shared.call("pods.train", pod=NAME, episodes=100_000)["number"]
    save(second, TEXT.replace("holdout: 20%", "holdout: 44%"))
    wait_for(lambda: trainings(shared)[-1]["number"] > number, "the one for the save")
    learned(shared, NAME)
    asked, saved = trainings(shared)[-2:]
    assert asked["state"] == "complete" or asked["error"] == "deadline_exceeded"
    assert saved["state"] == "complete"
    # The save's own problem, if any, is what is shown: not that of the training before.
    assert not errors(pod(shared, NAME))


def test_a_pod_that_gets_another_name_in_its_file_is_another_pod(
    shared: EngineFixture, second: Path
):
    save(second, sample("third"))
    wait_for(lambda: pods(shared) == ["serverops", "third"], "the new name")
    learned(shared, "third")
    with pytest.raises(SpiceError) as caught:
        shared.call("pods.recommend", pod=NAME)
    assert caught.value.code == "not_found"
    # Back under its old name it has its policies again.
    version = trainings_kept(shared)
    save(second, TEXT)
    wait_for(lambda: pods(shared) == [NAME, "serverops"], "the old name")
    assert learned(shared, NAME)["policy_version"] >= version


def trainings_kept(engine: EngineFixture) -> int:
    rows = engine.call("store.query", sql="SELECT max(version) FROM policies WHERE pod = 'second'")
    return int(rows["rows"][0][0])


def test_a_manifest_moved_away_and_back_keeps_its_policy(shared: EngineFixture, second: Path):
    before, version = answer(shared, NAME), pod(shared, NAME)["policy_version"]
    away = shared.location.root / "away.yaml"
    second.rename(away)
    wait_for(lambda: pods(shared) == ["serverops"], "it to be gone")
    away.rename(second)
    learned(shared, NAME)
    assert answer(shared, NAME) == before
    assert pod(shared, NAME)["policy_version"] == version


def test_the_whole_folder_replaced_by_another(shared: EngineFixture, second: Path):
    here = folder(shared)
    other = shared.location.root / "other"
    shutil.copytree(here, other)
    (other / f"{NAME}.yaml").unlink()
    (other / "fourth.yaml").write_text(sample("fourth"))
    here.rename(shared.location.root / "old")
    other.rename(here)
    wait_for(lambda: pods(shared) == ["fourth", "serverops"], "the new folder's pods")
    learned(shared, "fourth")
    (shared.location.root / "old").rename(shared.location.root / f"old-{time.time_ns()}")
