"""What can be said of a file's reward functions without running them: whether they take a value."""

from __future__ import annotations

import ast
import warnings
from collections.abc import Iterator
from pathlib import Path

from spice_engine.data.connectors.file import read
from spice_engine.errors import InvalidData
from spice_engine.learning.reward_syntax import ACTION_VALUE, TAKE_VALUE, takes_no_value
from spice_engine.pods.model import Manifest, RewardFile
from spice_engine.protocol.pods import ProblemInfo

MAX_BYTES = 2**20
"""Of larger files nothing is said; training looks at them, too."""


def function_problems(root: Path, manifest: Manifest | None) -> list[ProblemInfo]:
    """Findings in the functions that are rewards of actions with a range. Blocks on their file.

    The file is read, never run. Nothing is said of functions that are not written out at its top
    level, nor where it cannot be read: that is found when they are trained with.
    """
    rewards = manifest.training.rewards if manifest is not None else None
    ranged = [one.name for one in manifest.actions if one.range] if manifest is not None else []
    if not isinstance(rewards, RewardFile) or not ranged:
        return []
    functions = _functions(root, rewards)
    return [
        ProblemInfo(
            code="invalid_reward_function",
            severity="error",
            message=takes_no_value(name, action),
            file=rewards.place.file,
            line=rewards.place.line,
            column=rewards.place.column,
            hint=TAKE_VALUE,
            end_line=rewards.place.end_line,
            end_column=rewards.place.end_column,
        )
        for action in ranged
        if (name := rewards.functions.get(action, "")) in functions and not functions[name]
    ]


def _functions(root: Path, file: RewardFile) -> dict[str, bool]:
    """The functions of a file, and whether each takes the value of an action by its name."""
    try:
        content = read(root, file.path, file.place).data
    except InvalidData:
        return {}
    if len(content) > MAX_BYTES:
        return {}
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            tree = ast.parse(content)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return {}
    return dict(_taking(tree))


def _taking(tree: ast.Module) -> Iterator[tuple[str, bool]]:
    for node in tree.body:
        # What decorates a function may give it other arguments.
        if isinstance(node, ast.FunctionDef) and not node.decorator_list:
            named = {one.arg for one in (*node.args.args, *node.args.kwonlyargs)}
            yield node.name, node.args.kwarg is not None or ACTION_VALUE in named
