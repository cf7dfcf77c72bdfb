"""The training part: algorithms and their hyperparameters, reward files, reward tests, loggers."""

from __future__ import annotations

import pytest
from manifest_texts import messages, problems

from spice_engine.learning.hyperparameters import Dql, Sacd, Vpg, parse
from spice_engine.pods.manifest import load_manifest
from spice_engine.pods.model import Continual, RewardFile

TEXT = """\
dataspaces: [{from: a, name: b, measurements: [{name: x}]}]
actions:
  - name: go
  - name: stay
training:
  algorithm: fqi
  hyperparameters: {max_depth: 6, min_leaf: 1e1}
  accelerator: cpu
  features: classic
  confidence: classic
  patience: 4
  episodes: 7
  loggers: [tensorboard]
  reward_tests:
    - action: go
      current_state: {a_b_x: 1}
      next_state: {a.b.x: 2.5}
      expect: 1.5
  rewards:
    - reward: go
      with: reward = next_state["a_b_x"] - current_state["a_b_x"]
    - reward: stay
      with: reward = 0
  continual: {every: 90m, drift: true, new_rows: 40}
"""
FILE = TEXT.replace("  rewards:\n", "  reward_funcs: spicepods/rewards.py\n  rewards:\n").replace(
    'reward = next_state["a_b_x"] - current_state["a_b_x"]', "go_reward"
).replace("with: reward = 0", "with: stay_reward")  # fmt: skip


def test_every_field_arrives() -> None:
    assert messages(TEXT) == {}
    manifest = load_manifest(TEXT, "pod.yaml")
    training = manifest.training
    assert (training.algorithm, training.accelerator, training.patience) == ("fqi", "cpu", 4)
    assert (training.features, training.confidence) == ("classic", "classic")
    assert training.hyperparameters == {"max_depth": 6, "min_leaf": 10}
    assert training.loggers == ("tensorboard",)
    assert training.continual == Continual(every=5400, drift=True, new_rows=40)
    assert manifest.params.episodes == 7
    (test,) = training.tests
    assert (test.action, test.current, test.next) == ("go", {"a_b_x": 1.0}, {"a_b_x": 2.5})
    assert (test.expect, test.place.line) == (1.5, 15)


def test_rewards_of_a_file() -> None:
    assert messages(FILE) == {}
    rewards = load_manifest(FILE, "pod.yaml").training.rewards
    assert isinstance(rewards, RewardFile)
    assert rewards.path == "spicepods/rewards.py"
    assert rewards.functions == {"go": "go_reward", "stay": "stay_reward"}
    assert rewards.place.line == 19


@pytest.mark.parametrize(
    ("text", "change", "expected", "words"),
    [
        (TEXT, ("fqi", "dql"), "max_depth | error unknown_hyperparameter", "'dql'"),
        (TEXT, ("fqi", "fqy"), "{max_depth: 6, min_leaf: 1e1} | warning unsupported", "ignored"),
        (TEXT, ("fqi", "fqy"), "fqy | error unknown_algorithm", "Did you mean 'fqi'"),
        (TEXT, ("max_depth", "maxdepth"), "maxdepth | error unknown_hyperparameter", "'max_depth'"),
        (TEXT, ("max_depth: 6", "max_depth: 600"), "600 | error invalid_hyperparameter", "30"),
        (
            TEXT,
            ("max_depth: 6", "max_depth: deep"),
            "deep | error invalid_hyperparameter",
            "number",
        ),
        (TEXT, ("accelerator: cpu", "accelerator: cuda"), "cuda | warning unsupported", "lanes"),
        (TEXT, ("accelerator: cpu", "accelerator: gpu"), "gpu | error invalid_value", "cuda"),
        (
            TEXT,
            ("features: classic", "features: clasic"),
            "clasic | error invalid_value",
            "'classic'",
        ),
        (TEXT, ("patience: 4", "patience: -1"), "-1 | error invalid_number", "from 0"),
        (
            TEXT,
            ("[tensorboard]", "[tensorbord]"),
            "tensorbord | error unknown_logger",
            "Invalid logger",
        ),
        (TEXT, ("action: go", "action: sty"), "sty | error unknown_action", "'stay'"),
        (TEXT, ("a.b.x: 2.5", "a.b.y: 2.5"), "go | error unknown_field", "a_b_y"),
        (TEXT, ("a.b.x: 2.5", "a.b.x: much"), "much | error invalid_number", "a.b.x"),
        (TEXT, ("      expect: 1.5\n", ""), "action: go | error incomplete_test", "expect"),
        (TEXT, ("name: stay", "name: stop"), "stop | error missing_reward", "stop"),
        (
            TEXT,
            ("- reward: stay\n      with: reward = 0", "- ~"),
            "~ | error incomplete_reward",
            "",
        ),
        (
            TEXT,
            ("      with: reward = 0\n", ""),
            "reward: stay | error incomplete_reward",
            "with: CODE",
        ),
        (
            TEXT,
            ("  rewards:\n", "  rewards: unifrom\n#"),
            "unifrom | error wrong_type",
            "'uniform'",
        ),
        (
            FILE,
            (".py", ".go"),
            "spicepods/rewards.go | error invalid_reward_file",
            "external reward functions must be defined in a single Python file",
        ),
        (FILE, ("go_reward", "go reward"), "go reward | error invalid_reward_function", "function"),
        (FILE, ("reward: stay", "reward: stop"), "stay | error missing_reward", "stay"),
        (
            FILE,
            ("reward: stay", "reward: stop"),
            "spicepods/rewards.py | warning unused_reward",
            "'stop'",
        ),
        (
            FILE,
            ("  rewards:\n", "  reward_init: x = 1\n  rewards:\n"),
            "x = 1 | warning unused_reward_init",
            "ignored",
        ),
        (
            FILE,
            ("  rewards:\n", "#"),
            "spicepods/rewards.py | warning unused_reward_file",
            "uniform",
        ),
    ],
)
def test_one_wrong_thing(text: str, change: tuple[str, str], expected: str, words: str) -> None:
    assert change[0] in text
    # A `#` cuts off the rest.
    found = messages(text.replace(*change, 1).split("#")[0])
    assert expected in found, found
    assert words in found[expected]


@pytest.mark.parametrize("algorithm", ["dql", "sacd", "vpg"])
def test_networks_take_lists_flags_and_the_originals_values(algorithm: str) -> None:
    given = "{preset: original, hidden: [8, 4], all_actions: true}"
    text = TEXT.replace("fqi", algorithm).replace("{max_depth: 6, min_leaf: 1e1}", given)
    assert messages(text) == {}
    training = load_manifest(text, "pod.yaml").training
    assert training.algorithm == algorithm
    settings = parse(algorithm, training.hyperparameters)
    assert isinstance(settings, Dql | Sacd | Vpg)
    assert settings.hidden == (8, 4)
    assert settings.all_actions
    assert settings.learning_rate == {"dql": 0.005, "sacd": 0.001, "vpg": 0.02}[algorithm]
    found = messages(text.replace("[8, 4]", "[8, 0]").replace("original", "orignal"))
    assert "list of 1 to 4 whole numbers" in found["[8, 0] | error invalid_hyperparameter"]
    assert "no preset 'orignal'" in found["orignal | error invalid_hyperparameter"]


def test_uniform_rewards_and_loggers_of_version_0_5_1() -> None:
    text = """\
params: {training_loggers: tensorboard}
dataspaces: [{from: a, name: b, measurements: [{name: x}]}]
actions: [{name: go}]
training: {rewards: uniform}
"""
    assert problems(text) == ["1:28 warning old_syntax"]
    training = load_manifest(text, "pod.yaml").training
    assert (training.rewards, training.loggers) == (None, ("tensorboard",))


@pytest.mark.parametrize(
    ("given", "code"),
    [
        ("{new_rows: 40}", "unused_continual"),
        ("{every: 0s}", "invalid_duration"),
        ("{every: 3600}", "invalid_duration"),
        ("{drift: yes}", "invalid_value"),
        ("{drift: true, new_rows: 0}", "invalid_number"),
        ("[drift]", "wrong_type"),
        ("true", "wrong_type"),
        ("{evry: 1h, drift: true}", "unknown_key"),
    ],
)
def test_learning_on_that_cannot_be(given: str, code: str) -> None:
    text = TEXT.replace("{every: 90m, drift: true, new_rows: 40}", given)
    assert code in " ".join(problems(text)).split()
