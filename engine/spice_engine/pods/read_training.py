"""The `training` part of a manifest: algorithm, goal, rewards and what they are judged on."""

from __future__ import annotations

import importlib.util
from typing import Any, Literal

from spice_engine.errors import InvalidRequest
from spice_engine.learning.catalog import ALGORITHMS, NETWORKS
from spice_engine.learning.goal import Goal
from spice_engine.learning.hyperparameters import HYPERPARAMETERS, parse
from spice_engine.learning.presets import PRESET, PRESETS
from spice_engine.pods.model import Continual, Training
from spice_engine.pods.problems import Severity
from spice_engine.pods.read_rewards import read_rewards, read_tests
from spice_engine.pods.reader import Reader
from spice_engine.yaml_tree import Mapping as MappingNode
from spice_engine.yaml_tree import Node, Scalar
from spice_engine.yaml_tree import Sequence as SequenceNode

MAX_HOLDOUT = 0.9
MAX_NEW_ROWS = 1_000_000
LOGGERS = ("tensorboard",)
_KEYS = (
    "goal", "reward_init", "reward_funcs", "rewards", "reward_tests", "algorithm",
    "hyperparameters", "accelerator", "features", "confidence", "holdout", "seed", "patience",
    "episodes", "loggers", "continual",
)  # fmt: skip
_UNSUPPORTED: dict[str, Severity] = {"reward_args": "warning"}  # the original ignored it, too


def read_training(
    reader: Reader, node: Node | None, max_episodes: int, old_loggers: Node | None = None
) -> tuple[Training, int | None]:
    """The training part, and `training.episodes` where it is given."""
    entries = reader.mapping(node, "training", _KEYS, unsupported=_UNSUPPORTED)
    default = Training()
    rewards = read_rewards(reader, entries.get("rewards"), entries.get("reward_funcs"))
    algorithm, known = _read_algorithm(reader, entries.get("algorithm"))
    accelerator: Literal["auto", "cpu", "cuda"] = reader.choice(
        entries.get("accelerator"), "accelerator", ("auto", "cpu", "cuda"), default.accelerator
    )
    hyperparameters = _read_hyperparameters(
        reader, entries.get("hyperparameters"), algorithm, known=known
    )
    if accelerator == "cuda" and (why := _no_gpu(algorithm, hyperparameters)):
        message = f"{why} The processor is used."
        reader.warning("unsupported", entries["accelerator"].place, message)
    training = Training(
        rewards=rewards,
        reward_init=reader.code(entries.get("reward_init"), "reward_init"),
        goal=_read_goal(reader, entries.get("goal")),
        algorithm=algorithm,
        holdout=reader.share(entries.get("holdout"), "holdout", default.holdout, MAX_HOLDOUT),
        seed=reader.integer(entries.get("seed"), "seed", default.seed, 0, 2**53),
        patience=reader.integer(
            entries.get("patience"), "patience", default.patience, 0, max_episodes
        ),
        accelerator=accelerator,
        features=reader.choice(
            entries.get("features"), "features", ("levels", "classic"), default.features
        ),
        confidence=reader.choice(
            entries.get("confidence"), "confidence", ("calibrated", "classic"), default.confidence
        ),
        hyperparameters=hyperparameters,
        loggers=_read_loggers(reader, entries.get("loggers") or old_loggers),
        continual=_read_continual(reader, entries.get("continual")),
        tests=read_tests(reader, entries.get("reward_tests")),
    )
    if "reward_funcs" in entries and training.reward_init is not None:
        message = "reward_init is not put before functions of a file: it is ignored."
        reader.warning("unused_reward_init", entries["reward_init"].place, message)
    episodes = reader.integer(entries.get("episodes"), "episodes", None, 1, max_episodes)
    return training, episodes


def _no_gpu(algorithm: str, hyperparameters: dict[str, Any]) -> str:
    """Why a pod will not learn on a GPU, in a sentence; empty where it may, if there is one."""
    lanes = algorithm == "tabular" and hyperparameters.get("lanes")
    if algorithm not in NETWORKS and not lanes:
        return "Only dql, vpg, sacd and 'tabular' with 'lanes' learn on a GPU."
    if importlib.util.find_spec("numba_cuda") is None:
        return "What computes on GPUs is not installed: pip install 'spice-tui[cuda]'."
    return ""


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


def _read_algorithm(reader: Reader, node: Node | None) -> tuple[str, bool]:
    """The algorithm, and whether it is the one that was asked for."""
    text = reader.text(node, "algorithm", "auto")
    if not isinstance(node, Scalar) or text in ALGORITHMS:
        return text, True
    message = f"Learning algorithm {text} not found."
    reader.unknown("unknown_algorithm", "error", node, message, tuple(ALGORITHMS))
    return "auto", False


def _read_hyperparameters(
    reader: Reader, node: Node | None, algorithm: str, *, known: bool
) -> dict[str, Any]:
    """Those of the algorithm; each is checked by itself, for its place."""
    if node is None:
        return {}
    if not isinstance(node, MappingNode):
        reader.error("wrong_type", node.place, "hyperparameters is a mapping of names to values.")
        return {}
    if not known:
        if node.entries:
            message = "The hyperparameters of an algorithm that is not used are ignored."
            reader.warning("unsupported", node.place, message)
        return {}
    names = tuple(HYPERPARAMETERS[algorithm].__dataclass_fields__)
    if algorithm in PRESETS:
        names = (PRESET, *names)
    values: dict[str, Any] = {}
    for key, value in node.entries:
        if key.text not in names:
            message = f"The algorithm '{algorithm}' has no hyperparameter '{key.text}'."
            reader.unknown("unknown_hyperparameter", "error", key, message, names)
            continue
        plain = reader.plain(value)
        try:
            parse(algorithm, {key.text: plain})
        except InvalidRequest as error:
            reader.error("invalid_hyperparameter", value.place, str(error))
        else:
            values[key.text] = plain
    if values:
        try:
            parse(algorithm, values)
        except InvalidRequest as error:
            reader.error("invalid_hyperparameter", node.place, str(error))
    return values


def _read_continual(reader: Reader, node: Node | None) -> Continual | None:
    """When the pod is trained again by itself; None where that is never."""
    if node is None:
        return None
    default = Continual()
    entries = reader.mapping(node, "continual", ("every", "drift", "new_rows"))
    found = Continual(
        every=reader.duration(entries.get("every"), "every", default.every),
        drift=reader.flag(entries.get("drift"), "drift", default.drift),
        new_rows=reader.integer(
            entries.get("new_rows"), "new_rows", default.new_rows, 1, MAX_NEW_ROWS
        ),
    )
    if found.every or found.drift:
        return found
    if isinstance(node, MappingNode):
        message = "Nothing says when to train again: give 'every', or 'drift: true'."
        reader.warning("unused_continual", node.place, message)
    return None


def _read_loggers(reader: Reader, node: Node | None) -> tuple[str, ...]:
    """A list, or (as in version 0.5.1) words with commas between them."""
    if isinstance(node, Scalar):
        words = [word.strip() for word in reader.text(node, "loggers").split(",")]
        items = [(word, node) for word in words if word]
    elif isinstance(node, SequenceNode):
        items = [(reader.text(item, "A logger"), item) for item in node.items]
    else:
        items = []
        if node is not None:
            reader.error("wrong_type", node.place, "loggers is a list, as in [tensorboard].")
    for word, item in items:
        if isinstance(item, Scalar) and word not in LOGGERS:
            reader.unknown("unknown_logger", "error", item, f"Invalid logger {word}.", LOGGERS)
    return tuple(dict.fromkeys(word for word, _ in items if word in LOGGERS))
