"""The tutorial goes on with what a person does, in whatever order."""

from __future__ import annotations

from typing import Any

from spice_engine.protocol.pods import PodInfo
from spice_tui.actions import table
from spice_tui.models.key_names import key_name
from spice_tui.models.tutorial import END, SAMPLE, STEPS, Seen, position, text
from spice_tui.models.world import World


def world(**changes: Any) -> World:
    values: dict[str, Any] = {"policy_version": 1, "training": None, **changes}
    pod = PodInfo(SAMPLE, "m.yaml", "ready", [], [], 30, problems=[], **values)
    return World(pods={SAMPLE: pod})


TRAINED = world()


def test_it_waits_until_the_sample_is_trained() -> None:
    assert position(World(), Seen(), 0) == 0
    assert position(world(policy_version=None), Seen(), 0) == 0
    assert position(world(training=1), Seen(), 0) == 0
    assert position(TRAINED, Seen(), 0) == 1


def test_steps_done_ahead_are_passed_over_and_none_comes_again() -> None:
    seen = Seen(frozenset({"pod.timeline"}))
    assert position(TRAINED, seen, 1) == 1
    assert position(TRAINED, Seen(seen.did | {"pod.recommend"}), 1) == 3
    assert position(world(training=2), seen, 3) == 3, "training again does not go back"


def test_the_end() -> None:
    every = Seen(frozenset(table()))
    assert position(TRAINED, every, 0) == len(STEPS)
    assert text(len(STEPS)) == END
    assert text(0).startswith(f"1/{len(STEPS)}")


def test_the_keys_it_names_are_those_of_the_actions() -> None:
    for action in ("pod.recommend", "pod.timeline", "pod.stepper", "pod.edit"):
        told = f"Press {key_name(table()[action].keys[0])}:"
        assert any(told in step.text for step in STEPS), action
    assert "ctrl+s" in table()["editor.save"].keys
    assert "ctrl+p" in table()["app.palette"].keys
