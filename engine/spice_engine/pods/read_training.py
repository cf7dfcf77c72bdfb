"""The `training` part of a manifest: rewards, goal, algorithm and the share held out."""

from __future__ import annotations

from spice_engine.errors import InvalidRequest
from spice_engine.learning.goal import Goal
from spice_engine.learning.source import Source
from spice_engine.pods.model import Training
from spice_engine.pods.problems import Fix, Severity, did_you_mean
from spice_engine.pods.reader import Reader
from spice_engine.pods.yaml_tree import Node, Scalar

ALGORITHMS = ("auto", "linear")
_LATER_ALGORITHMS = ("tabular", "fqi", "dql", "vpg", "sacd")
MAX_HOLDOUT = 0.9
_KEYS = (
    "goal", "reward_init", "rewards", "algorithm", "holdout", "seed", "episodes",
    "hyperparameters", "accelerator",
)  # fmt: skip
_UNSUPPORTED: dict[str, Severity] = {
    "reward_funcs": "error",
    "loggers": "warning",
    "reward_args": "warning",  # the original parsed and ignored them
    "patience": "warning",
}


def read_training(
    reader: Reader, node: Node | None, max_episodes: int
) -> tuple[Training, int | None]:
    """The training part, and `training.episodes` where it is given."""
    entries = reader.mapping(node, "training", _KEYS, unsupported=_UNSUPPORTED)
    default = Training()
    training = Training(
        rewards=_read_rewards(reader, entries.get("rewards")),
        reward_init=reader.code(entries.get("reward_init"), "reward_init"),
        goal=_read_goal(reader, entries.get("goal")),
        algorithm=_read_algorithm(reader, entries.get("algorithm")),
        holdout=reader.share(entries.get("holdout"), "holdout", default.holdout, MAX_HOLDOUT),
        seed=reader.integer(entries.get("seed"), "seed", default.seed, 0, 2**53),
    )
    _note_ignored(reader, entries)
    episodes = reader.integer(entries.get("episodes"), "episodes", None, 1, max_episodes)
    return training, episodes


def _note_ignored(reader: Reader, entries: dict[str, Node]) -> None:
    if node := entries.get("hyperparameters"):
        for key in reader.mapping(node, "hyperparameters", ()):
            raise AssertionError(f"no hyperparameter is known, yet '{key}' came through")
    if node := entries.get("accelerator"):
        text = reader.text(node, "accelerator")
        if text == "cuda":
            reader.unsupported(node.place, "The accelerator 'cuda' is", "warning")
        elif text not in ("auto", "cpu"):
            message = "accelerator is one of auto, cpu, cuda."
            reader.error("invalid_value", node.place, message)


def _read_goal(reader: Reader, node: Node | None) -> str:
    text = reader.text(node, "goal").strip()
    if node is None or not text:
        return ""
    try:
        Goal(text)
    except InvalidRequest as error:
        reader.error("invalid_goal", node.place, str(error))
        return ""
    return text


def _read_algorithm(reader: Reader, node: Node | None) -> str:
    text = reader.text(node, "algorithm", "auto")
    if node is None or text in ALGORITHMS:
        return text
    if text in _LATER_ALGORITHMS:
        reader.unsupported(node.place, f"The algorithm '{text}' is")
        return "auto"
    close = did_you_mean(text, (*ALGORITHMS, *_LATER_ALGORITHMS))
    hint = f"Did you mean '{close}'?" if close else f"Known are {', '.join(ALGORITHMS)}."
    fix = Fix(f"Change it to '{close}'", node.place, close) if close else None
    reader.error(
        "unknown_algorithm", node.place, f"Learning algorithm {text} not found. {hint}", fix
    )
    return "auto"


def _read_rewards(reader: Reader, node: Node | None) -> dict[str, Source] | None:
    if node is None or (isinstance(node, Scalar) and node.text == "uniform"):
        return None
    rewards: dict[str, Source] = {}
    for item in reader.items(node, "rewards (other than 'uniform')"):
        entries = reader.mapping(item, "A reward", ("reward", "with"))
        action = reader.text(entries.get("reward"), "reward")
        code = reader.code(entries.get("with"), "with")
        if not action or code is None:
            missing = "reward: ACTION" if not action else "with: CODE"
            reader.error("incomplete_reward", item.place, f"A reward needs '{missing}'.")
        elif action in rewards:
            place = entries["reward"].place
            message = f"The reward for action '{action}' is there twice."
            reader.error("duplicate_reward", place, message)
        else:
            rewards[action] = code
    return rewards
