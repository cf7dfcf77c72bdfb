"""Rewards in a manifest: inline code or functions of a file, and their tests."""

from __future__ import annotations

from collections.abc import Iterator

from spice_engine.learning.source import Source
from spice_engine.pods.model import RewardFile, RewardTest
from spice_engine.pods.reader import Reader, is_null
from spice_engine.yaml_tree import Mapping as MappingNode
from spice_engine.yaml_tree import Node, Scalar
from spice_engine.yaml_tree import Sequence as SequenceNode

_NOT_PYTHON = (
    "external reward functions must be defined in a single Python file - "
    "see https://docs.spiceai.org/concepts/rewards/"
)


def read_rewards(
    reader: Reader, node: Node | None, file: Node | None
) -> dict[str, Source] | RewardFile | None:
    """The rewards; None where they are uniform. `file` is `training.reward_funcs`."""
    path = reader.text(file, "reward_funcs")
    if file is not None and path and not path.endswith(".py"):
        reader.error("invalid_reward_file", file.place, f"{_NOT_PYTHON}.")
    if node is None or (isinstance(node, Scalar) and reader.text(node, "rewards") == "uniform"):
        if file is not None and path:
            message = "The rewards are uniform: this file is not used. List its functions there."
            reader.warning("unused_reward_file", file.place, message)
        return None
    if not isinstance(node, SequenceNode):
        message = "rewards is 'uniform' or a list of {reward: ACTION, with: CODE}."
        reader.error("wrong_type", node.place, message)
        return None
    if file is not None and path:
        return RewardFile(path, dict(_functions(reader, node)), file.place)
    return _inline(reader, node)


def _entries(reader: Reader, node: SequenceNode) -> Iterator[tuple[str, Node]]:
    """Each action with what gives its reward; the actions differ."""
    seen: set[str] = set()
    for item in node.items:
        entries = reader.mapping(item, "A reward", ("reward", "with"))
        if not isinstance(item, MappingNode):
            if is_null(item):
                reader.error("incomplete_reward", item.place, "A reward needs 'reward: ACTION'.")
            continue
        action = reader.text(entries.get("reward"), "reward")
        if not action or "with" not in entries:
            missing = "reward: ACTION" if not action else "with: CODE"
            reader.error("incomplete_reward", item.place, f"A reward needs '{missing}'.")
        elif action in seen:
            place = entries["reward"].place
            message = f"The reward for action '{action}' is there twice."
            reader.error("duplicate_reward", place, message)
        else:
            seen.add(action)
            yield action, entries["with"]


def _inline(reader: Reader, node: SequenceNode) -> dict[str, Source]:
    rewards: dict[str, Source] = {}
    for action, value in _entries(reader, node):
        code = reader.code(value, "with")
        if code is not None:
            rewards[action] = code
    return rewards


def _functions(reader: Reader, node: SequenceNode) -> Iterator[tuple[str, str]]:
    for action, value in _entries(reader, node):
        name = reader.text(value, "with").strip()
        if not name.isidentifier():
            message = f"With reward_funcs, 'with' is the name of a function: '{name}' is none."
            reader.error("invalid_reward_function", value.place, message)
        yield action, name


def read_tests(reader: Reader, node: Node | None) -> tuple[RewardTest, ...]:
    """`training.reward_tests`; fields may be written with dots, as in `sensors.bed.heat`."""
    return tuple(_tests(reader, node))


def _tests(reader: Reader, node: Node | None) -> Iterator[RewardTest]:
    for item in reader.items(node, "reward_tests"):
        keys = ("action", "action_value", "current_state", "next_state", "expect")
        entries = reader.mapping(item, "A reward test", keys)
        if not isinstance(item, MappingNode):
            continue
        action = reader.text(entries.get("action"), "A reward test's action")
        missing = "action" if not action else "expect" if "expect" not in entries else ""
        if missing:
            reader.error("incomplete_test", item.place, f"A reward test needs '{missing}'.")
            continue
        yield RewardTest(
            action,
            _state(reader, entries.get("current_state"), "current_state"),
            _state(reader, entries.get("next_state"), "next_state"),
            reader.number(entries["expect"], "expect", 0.0),
            entries["action"].place,
            reader.number(entries["action_value"], "action_value", 0.0)
            if "action_value" in entries
            else None,
        )


def _state(reader: Reader, node: Node | None, what: str) -> dict[str, float]:
    if node is None:
        return {}
    if not isinstance(node, MappingNode):
        message = f"{what} is a mapping of fields to numbers."
        reader.error("wrong_type", node.place, message)
        return {}
    state: dict[str, float] = {}
    for key, value in node.entries:
        name = key.text.replace(".", "_", 2)
        if name in state:
            reader.error("duplicate_key", key.place, f"The field '{name}' is there twice.")
        state[name] = reader.number(value, f"The value of '{key.text}'", 0.0)
    return state
