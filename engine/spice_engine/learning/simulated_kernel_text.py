"""The module a compiler is given for one pod: its actions, effects, laws and rewards as functions.

`move_a` does what action a does to the local state and asks the laws; `pay_a` gives its reward, and
that of all actions with the same code.
Both begin their answer with BROKEN, DONE or TROUBLE; what follows is only to be used after DONE.
The drivers on top of them (`expand`, `masks`, `roll`, `learn`) loop over states and steps.
"""

from __future__ import annotations

from collections.abc import Sequence

from spice_engine.learning.formula import Name, Node, names, set_names
from spice_engine.learning.reward_program import input_name, reward_statements
from spice_engine.learning.simulated_kernel_code import Uncompiled, Writer
from spice_engine.learning.simulated_kernel_drivers import drivers
from spice_engine.learning.simulator import UNLAWFUL, Simulator
from spice_engine.records import record

MOST_ACTIONS = 32
MOST_LOCAL = 16

HEAD = '''"""Written by spice-tui for one pod's simulator; made anew when it is not there."""
import numpy as np
BROKEN, DONE, TROUBLE = 0, 1, 2
EXACT, MOST = 2.0 ** 53, 1e100
INF, NAN = np.inf, np.nan
FOLLOW, WANDER, GREEDY, CONSTANT, TREES, LINEAR, TABLE = range(7)
'''


@record
class Module:
    """A module's text, the names of its functions in the order of their calls, and its columns.

    `columns` are the fields that the functions find in `data` [C, T]. There are so many `actions`,
    and `local` fields.
    """

    text: str
    functions: tuple[str, ...]
    columns: tuple[int, ...]
    actions: int
    local: int


def write_module(simulator: Simulator) -> Module:
    """The module of a simulator; raises Uncompiled where there is none."""
    world = simulator.world
    actions, local = len(world.actions), simulator.local.tolist()
    if not local or len(local) > MOST_LOCAL or actions > MOST_ACTIONS:
        raise Uncompiled("too many actions or fields")
    pod, pays = _Pod(simulator, local), list[int]()
    lines = [HEAD]
    functions: list[str] = []
    paid: dict[str, int] = {}
    for action in range(actions):
        lines += [f"def move_{action}{pod.move(action)}"]
        functions.append(f"move_{action}")
        pay = pod.pay(action)
        # Fields with data that a move writes have names of its own.
        key = f"{action} {pay}" if pod.outside[action] else pay
        if paid.setdefault(key, action) == action:
            lines += [f"def pay_{action}{pay}"]
            functions.append(f"pay_{action}")
        pays.append(paid[key])
    text, called = drivers(len(local), pod.outside, pays)
    columns = tuple(pod.columns)
    return Module("\n".join([*lines, text]), (*functions, *called), columns, actions, len(local))


class _Pod:
    """Writes the functions of each action; `columns` collects the fields that they read."""

    def __init__(self, simulator: Simulator, local: Sequence[int]) -> None:
        self._simulator = simulator
        self._world = simulator.world
        self._local = {field: f"l{index}" for index, field in enumerate(local)}
        self.outside = [len(fields) for fields in simulator.outside]
        self.columns: list[int] = []

    def _column(self, field: int) -> int:
        if field not in self.columns:
            self.columns.append(field)
        return self.columns.index(field)

    def _current(self, field: int) -> str:
        """Where a field of the current state stands."""
        return self._local.get(field) or f"data[{self._column(field)}, at]"

    def _carried(self, action: int) -> list[int]:
        """The fields that the answer of a move holds: local ones, then those with data."""
        return [*self._local, *self._simulator.outside[action]]

    def move(self, action: int) -> str:
        """`(row, data, local...)`: whether the laws hold, and the fields of `_carried`."""
        arguments = ", ".join(self._local.values())
        head = f"(row, data, {arguments}):\n at = np.uint64(row)"
        if not self._simulator.moves[action]:
            return f"{head}\n return DONE, {arguments}"
        effect, laws = self._world.effects.formulas(action_name(self._simulator, action))
        carried = self._carried(action)
        zeros = ", ".join(["0.0"] * len(carried))
        trouble = f"return TROUBLE, {zeros}"
        written = [name for name in set_names(effect) if isinstance(name, int)]
        used = [name for name in names(effect) if isinstance(name, int)]
        given: dict[Name, str] = {field: self._current(field) for field in [*used, *written]}
        writer = Writer(given, trouble)
        writer.body(effect)
        after: dict[Name, str] = {field: writer.number_of(field) for field in written}
        lines = list(writer.lines)
        for index, law in enumerate(laws):
            lines += self._law(index, law, after, (trouble, f"return BROKEN, {zeros}"))
        answer = "(DONE if may else BROKEN)" if laws else "DONE"
        values = ", ".join(after.get(field) or self._current(field) for field in carried)
        return "\n".join([head, *lines, f" return {answer}, {values}"])

    def _law(
        self, index: int, law: Node, after: dict[Name, str], ends: tuple[str, str]
    ) -> list[str]:
        """Sets `may`; a law that can be trouble is not asked where an earlier one failed."""
        trouble, broken = ends
        fields = [name for name in names([["do", law]]) if isinstance(name, int)]
        given: dict[Name, str] = {
            field: after.get(field) or self._current(field) for field in fields
        }
        writer = Writer(given, trouble, prefix=f"law{index}_")
        held = writer.value(law)
        if index == 0:
            return [*writer.lines, f" may = {held.truth}"]
        asked = [f" if not may: {broken}"] if any("return" in one for one in writer.lines) else []
        return [*asked, *writer.lines, f" may = may & {held.truth}"]

    def pay(self, action: int) -> str:
        """`(action, row, data, fixed, local..., after...)`: the reward of a lawful action."""
        before = list(self._local.values())
        carried = self._carried(action)
        after = {field: f"n{index}" for index, field in enumerate(carried)}
        head = f"(action, row, data, fixed, {', '.join([*before, *after.values()])}):"
        # An index without a sign is never counted from the end, which would have to be asked.
        head += "\n at, ahead = np.uint64(row), np.uint64(row + 1)"
        if self._simulator.fixed[action]:
            return f"{head}\n return DONE, fixed[action, at]"
        reward = self._world.program.rewards[action]
        known = reward.reads() is not None  # what a file of the user's does is not
        code = reward_statements(reward, self._world.fields) if known else None
        if code is None:
            raise Uncompiled("a reward")
        given: dict[Name, str] = {}
        for which, field in reward.arguments:
            if which == "current":
                given[input_name(which, field)] = self._current(field)
            else:
                ahead = after.get(field) or f"data[{self._column(field)}, ahead]"
                given[input_name(which, field)] = ahead
        writer = Writer(given, "return TROUBLE, 0.0")
        writer.body(code)
        found = writer.number_of("reward")
        writer.line(f"if not (abs({found}) <= MOST): return TROUBLE, 0.0")
        return "\n".join([head, *writer.lines, f" return DONE, {found}"])


def action_name(simulator: Simulator, action: int) -> str:
    """The name of an action by its index."""
    return simulator.world.actions[action]


assert UNLAWFUL == -5.0  # the drivers have it as a literal
