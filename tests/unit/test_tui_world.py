"""What the screens know: snapshots, deltas and histories become one immutable world."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import pytest

from spice_engine.protocol.pods import Episode, TrainingInfo
from spice_tui.models.world import Connection, Keeper

POD: dict[str, Any] = {
    "name": "shop",
    "manifest": "spicepods/shop.yaml",
    "state": "ready",
    "actions": ["buy", "wait"],
    "fields": ["price"],
    "episodes": 30,
    "policy_version": 2,
    "training": None,
    "problems": [],
    "last_training": 3,
}
RUN: dict[str, Any] = {
    "id": 7,
    "kind": "command",
    "name": "",
    "command": ["sleep", "60"],
    "cwd": "",
    "state": "running",
    "outcome": None,
    "exit_code": None,
    "message": "",
    "created": 1.0,
    "started": 1.5,
    "ended": None,
    "labels": [],
}


def training(number: int, pod: str = "shop", *scores: float) -> TrainingInfo:
    episodes = [Episode(i, i, i + 1.0, score) for i, score in enumerate(scores, 1)]
    return TrainingInfo(
        pod, number, "tree", "complete", 10.0, 12.0, "", "", number, None, episodes, 30
    )


def row(number: int, episode: int, score: float) -> dict[str, Any]:
    return {
        "pod": "shop",
        "number": number,
        "episode": episode,
        "start": 0.0,
        "end": 1.0,
        "score": score,
    }


def test_a_snapshot_replaces_what_was_known() -> None:
    keeper = Keeper()
    keeper.apply("pods", "snapshot", {"shop": POD, "old": {**POD, "name": "old"}})
    assert set(keeper.take().pods) == {"shop", "old"}
    keeper.apply("pods", "snapshot", {"shop": POD})
    assert set(keeper.take().pods) == {"shop"}


def test_a_delta_sets_and_deletes() -> None:
    keeper = Keeper()
    keeper.apply("pods", "snapshot", {"shop": POD})
    before = keeper.take()
    keeper.apply("pods", "delta", {"set": {"new": {**POD, "name": "new", "state": "queued"}}})
    keeper.apply("pods", "delta", {"set": {}, "del": ["shop", "never"]})
    after = keeper.take()
    assert set(before.pods) == {"shop"}, "a world that was given out never changes"
    assert {name: pod.state for name, pod in after.pods.items()} == {"new": "queued"}
    with pytest.raises(TypeError):
        after.pods["other"] = after.pods["new"]  # type: ignore[index]


def test_runs_that_are_no_longer_among_the_newest_stay_known(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("spice_tui.models.world.MOST_RUNS", 4)
    done = {**RUN, "state": "complete", "ended": 2.0}

    def runs(*numbers: int) -> dict[str, Any]:
        return {str(number): {**done, "id": number} for number in numbers}

    keeper = Keeper()
    keeper.apply("runs", "snapshot", {"1": {**RUN, "id": 1}, **runs(8)})
    keeper.older_runs([{**done, "id": 7}, {**done, "id": 8, "state": "queued"}])
    assert keeper.take().runs[8].state == "complete", "what the topic told is newer"
    keeper.apply("runs", "delta", {"set": runs(9), "del": ["8"]})
    assert set(keeper.take().runs) == {1, 7, 8, 9}
    keeper.apply("runs", "delta", {"set": runs(10)})
    assert set(keeper.take().runs) == {1, 8, 9, 10}, "the newest, and what is not over"
    keeper.apply("runs", "snapshot", runs(9, 10))
    assert set(keeper.take().runs) == {1, 8, 9, 10}
    keeper.apply("runs", "snapshot", runs(2))
    assert set(keeper.take().runs) == {2}, "another engine's folder"


def test_only_what_changed_is_made_anew() -> None:
    keeper = Keeper()
    keeper.apply("pods", "snapshot", {"shop": POD})
    keeper.apply("runs", "snapshot", {"7": RUN})
    keeper.history([training(1, "shop", 0.5)])
    first = keeper.take()
    assert keeper.take() is first, "nothing changed"

    keeper.apply("runs", "delta", {"set": {"7": {**RUN, "state": "complete"}}})
    assert keeper.changed == {"runs"}
    second = keeper.take()
    assert second.pods is first.pods
    assert second.trainings is first.trainings
    assert second.episodes is first.episodes
    assert second.runs is not first.runs

    keeper.apply("episodes", "delta", {"rows": [row(2, 1, 0.25)]})
    third = keeper.take()
    assert third.episodes["shop/1"] is first.episodes["shop/1"]
    assert [e.score for e in third.episodes["shop/2"]] == [0.25]


def test_recent_trainings_do_not_make_older_ones_unknown() -> None:
    keeper = Keeper()
    keeper.history([training(1, "shop", 0.5, 0.75), training(2)])
    keeper.apply("trainings", "snapshot", {"shop/2": asdict(training(2))})
    world = keeper.take()
    assert [info.number for info in world.trainings_of("shop")] == [1, 2]
    assert [e.score for e in world.trainings_of("shop")[0].episodes] == [0.5, 0.75]
    newest = world.newest_training("shop")
    assert newest is not None
    assert newest.number == 2
    assert world.newest_training("other") is None


def test_episodes_that_were_missed_are_filled_in_by_the_history() -> None:
    keeper = Keeper()
    keeper.apply("episodes", "delta", {"rows": [row(1, 3, 3.0), row(1, 1, 1.0)]})
    keeper.history([training(1, "shop", 1.0, 2.0)])
    assert [e.score for e in keeper.take().episodes["shop/1"]] == [1.0, 2.0, 3.0]


def test_data_of_other_versions_of_the_engine() -> None:
    keeper = Keeper()
    newer = {**POD, "mood": "sunny", "problems": [{"code": "x", "severity": "error", "extra": 1}]}
    older = {"name": "old", "state": "ready"}
    keeper.apply("pods", "snapshot", {"shop": newer, "old": older})
    keeper.apply("engine", "snapshot", {"version": "9.9", "pid": 4, "news": []})
    world = keeper.take()
    assert world.pods["shop"].problems[0].code == "x"
    assert world.pods["shop"].problems[0].line == 0
    assert world.pods["old"].actions == []
    assert world.pods["old"].policy_version is None
    assert world.engine is not None
    assert (world.engine.version, world.engine.loop_lag.p99) == ("9.9", 0.0)


@pytest.mark.parametrize(
    ("topic", "kind", "data"),
    [
        ("pods", "snapshot", None),
        ("pods", "snapshot", {"shop": "ready"}),
        ("pods", "delta", {"set": ["shop"]}),
        ("pods", "delta", {"del": 3}),
        ("runs", "delta", {"set": {"seven": RUN}}),
        ("pods", "snapshot", {"shop": {**POD, "problems": ["bad"]}}),
        ("episodes", "delta", {"rows": ["bad"]}),
        ("episodes", "delta", {"rows": 3}),
        ("weather", "snapshot", {"sun": 1}),
    ],
)
def test_data_of_no_known_form_change_nothing(topic: str, kind: str, data: Any) -> None:
    keeper = Keeper()
    keeper.apply("pods", "snapshot", {"shop": POD})
    keeper.apply("runs", "snapshot", {"7": RUN})
    before = keeper.take()
    keeper.apply(topic, kind, data)
    after = keeper.take()
    assert (after.pods, after.runs, after.episodes) == (before.pods, before.runs, before.episodes)


def test_what_runs_is_told_in_words() -> None:
    keeper = Keeper()
    keeper.connection(Connection("attached"))
    keeper.apply("runs", "snapshot", {"7": RUN, "8": {**RUN, "id": 8}})
    keeper.apply("pods", "snapshot", {"shop": {**POD, "training": 4}, "idle": POD})
    world = keeper.take()
    assert world.attached
    assert world.busy == ["2 runs", "1 training"]
    keeper.apply("runs", "snapshot", {"7": {**RUN, "state": "complete", "outcome": "ok"}})
    keeper.apply("pods", "snapshot", {"shop": POD})
    assert keeper.take().busy == []


def test_servers_and_models_are_part_of_the_world() -> None:
    keeper = Keeper()
    server = {"name": "times", "state": "running", "replicas": [{"number": 1, "state": "ready"}]}
    keeper.apply("servers", "snapshot", {"times": server})
    model = {"name": "m", "kind": "files", "latest": {"model": "m", "number": 2}, "versions": 2}
    keeper.apply("models", "snapshot", {"m": model})
    first = keeper.take()
    assert first.servers["times"].replicas[0].state == "ready"
    assert first.models["m"].latest.label == "v2"
    assert first.busy == ["1 server"]
    keeper.apply("servers", "delta", {"set": {"times": {**server, "state": "stopped"}}})
    second = keeper.take()
    assert second.models is first.models
    assert second.busy == []
    keeper.apply("servers", "delta", {"del": ["times"]})
    assert keeper.take().servers == {}


def test_comparisons_that_train_come_and_go() -> None:
    keeper = Keeper()
    item = {"number": 3, "pod": "shop", "policies": ["dql", "vpg"], "place": 1, "episode": 4}
    keeper.apply("comparisons", "snapshot", {})
    keeper.apply("comparisons", "delta", {"set": {"3": item}})
    (one,) = keeper.take().comparisons.values()
    assert (one.pod, one.policies[one.place], one.episode, one.score) == ("shop", "vpg", 4, None)
    keeper.apply("comparisons", "delta", {"del": ["3"]})
    assert not keeper.take().comparisons
