"""What a workflow will do: its steps in order, their instances, and what each waits for. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches

from spice_engine.errors import InvalidRequest
from spice_engine.records import record
from spice_engine.runs import mounts as resource_mounts
from spice_engine.runs.workflows import conditions, mounts
from spice_engine.runs.workflows.conditions import OUTCOME, Condition, ConditionError
from spice_engine.runs.workflows.model import (
    FOREACH_MOST,
    RETRIES_MOST,
    STEPS_MOST,
    Scalar,
    StepSpec,
    WorkflowSpec,
    as_text,
    texts,
)
from spice_engine.runs.workflows.mounts import StepMount, StepMountError
from spice_engine.runs.workflows.values import expand, fill, seconds_of

NAME = re.compile(r"[A-Za-z][A-Za-z0-9_-]{0,59}")
_PARAM = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]{0,99}")
_FILLED = re.compile(rf":{_PARAM.pattern}:")
"""What a text has that is known only when its params are filled in."""

Path = tuple[str | int, ...]


@record
class Problem:
    """What is wrong, and at which keys of the file."""

    path: Path
    message: str


class PlanError(Exception):
    """The steps do not make a plan; `problems` are all that was found."""

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems = tuple(problems)
        super().__init__("; ".join(problem.message for problem in self.problems))


@record
class Step:
    """A step as it will be carried out. `needs` are steps that must have succeeded, `watched`
    those that must only be over, for its condition asks how they ended."""

    name: str
    spec: StepSpec
    values: tuple[Mapping[str, Scalar], ...]
    each: bool
    root: str
    needs: tuple[str, ...]
    watched: tuple[str, ...]
    when: Condition | None
    mounts: tuple[StepMount | str, ...]


@record
class Node:
    """One instance of a step; `needs` and `watched` are keys of others, `params` what `:NAME:`
    stands for."""

    key: str
    step: Step
    index: int
    params: Mapping[str, Scalar]
    needs: tuple[str, ...]
    watched: tuple[str, ...]


@record
class Plan:
    """Nodes by their keys; each comes after those it waits for."""

    steps: Mapping[str, Step]
    nodes: Mapping[str, Node]

    def related(self, node: Node, name: str) -> list[Node]:
        """The instances of a step that an instance of another deals with: its counterpart where
        both were made of the same list, else all."""
        other = self.steps[name]
        if other.each and other.root == node.step.root and other.name != node.step.name:
            return [self.nodes[key_of(other, node.index)]]
        return [self.nodes[key_of(other, index)] for index in range(len(other.values))]


def key_of(step: Step, index: int) -> str:
    """`train`, or `train[2]`."""
    return f"{step.name}[{index}]" if step.each else step.name


def make(spec: WorkflowSpec, given: Mapping[str, Scalar] | None = None) -> Plan:
    """The plan of a file; `given` are values for its params.

    Raises:
        PlanError: a name, condition or mount cannot be, or steps wait for each other in a circle.
    """
    planner = _Planner(spec, given or {})
    planner.read()
    if planner.problems:
        raise PlanError(planner.problems)
    return planner.plan()


@dataclass(slots=True)
class _Planner:
    spec: WorkflowSpec
    given: Mapping[str, Scalar]
    problems: list[Problem] = field(default_factory=list[Problem])
    needs: dict[str, dict[str, None]] = field(default_factory=dict[str, "dict[str, None]"])
    watched: dict[str, dict[str, None]] = field(default_factory=dict[str, "dict[str, None]"])
    when: dict[str, Condition] = field(default_factory=dict[str, Condition])
    mounts: dict[str, list[StepMount | str]] = field(
        default_factory=dict[str, "list[StepMount | str]"]
    )

    def wrong(self, path: Path, message: str) -> None:
        self.problems.append(Problem(path, message))

    def read(self) -> None:
        """Find out what each step refers to, and all that is wrong."""
        if not self.spec.steps:
            self.wrong(("steps",), "There are no steps.")
        if len(self.spec.steps) > STEPS_MOST:
            self.wrong(("steps",), f"There are more than {STEPS_MOST} steps.")
        for name in self.spec.params:
            self._check_param(("params", name), name)
        if self.spec.defaults.timeout is not None:
            self._check_timeout(("defaults", "timeout"), self.spec.defaults.timeout)
        for name in self.given:
            if name not in self.spec.params:
                known = ", ".join(self.spec.params) or "none"
                self.wrong(("params",), f"There is no param {name!r}; the file has: {known}.")
        for name, step in self.spec.steps.items():
            self._read_step(name, step)
        if not self.problems:
            self._check_circle()
        if not self.problems:
            self._check_values()

    def _read_step(self, name: str, step: StepSpec) -> None:
        path: Path = ("steps", name)
        self.needs[name], self.watched[name] = {}, {}
        if not NAME.fullmatch(name):
            self.wrong(
                path,
                f"{name[:60]!r} is no name of a step: letters, digits, - and _, a letter first.",
            )
        if not step.command or (isinstance(step.command, str) and not step.command.strip()):
            self.wrong(path, f"Step {name!r} has no command.")
        if step.retries is not None and not 0 <= step.retries <= RETRIES_MOST:
            self.wrong((*path, "retries"), f"retries must be between 0 and {RETRIES_MOST}.")
        if step.timeout is not None:
            self._check_timeout((*path, "timeout"), step.timeout)
        for param in step.params:
            self._check_param((*path, "params", param), param)
        for index, other in enumerate(texts(step.needs)):
            self._refer(name, other, (*path, "needs", index))
        if isinstance(step.foreach, str):
            self._refer(name, step.foreach, (*path, "foreach"))
        self._read_mounts(name, step, path)
        if step.when:
            self._read_when(name, step, path)

    def _read_mounts(self, name: str, step: StepSpec, path: Path) -> None:
        found = self.mounts[name] = []
        for index, text in enumerate(texts(step.mounts)):
            here = (*path, "mounts", index)
            try:
                mount = mounts.parse(text)
            except StepMountError as error:
                self.wrong(here, str(error))
                continue
            if isinstance(mount, StepMount):
                self._refer(name, mount.step, here)
            elif not _FILLED.search(mount):
                try:
                    resource_mounts.parse([mount])
                except InvalidRequest as error:
                    self.wrong(here, str(error))
            found.append(mount)

    def _read_when(self, name: str, step: StepSpec, path: Path) -> None:
        try:
            condition = self.when[name] = conditions.parse(step.when)
        except ConditionError as error:
            self.wrong((*path, "when"), str(error))
            return
        for reference in condition.references:
            self._refer(name, reference.step, (*path, "when"))
        # Who asks how a step ended is not kept from the answer by its failure.
        for reference in condition.references:
            if reference.what == OUTCOME and reference.step in self.needs[name]:
                del self.needs[name][reference.step]
                self.watched[name][reference.step] = None

    def _check_timeout(self, path: Path, timeout: str | float) -> None:
        try:
            if not seconds_of(timeout) > 0:
                self.wrong(path, "timeout must be more than 0.")
        except InvalidRequest as error:
            self.wrong(path, str(error))

    def _check_param(self, path: Path, name: str) -> None:
        if not _PARAM.fullmatch(name):
            self.wrong(path, f"{name[:60]!r} is no name of a param.")

    def _refer(self, name: str, other: str, path: Path) -> None:
        if other in self.spec.steps:
            self.needs[name][other] = None
            return
        close = get_close_matches(other, self.spec.steps, n=1)
        hint = f"Did you mean {close[0]!r}?" if close else f"Steps: {', '.join(self.spec.steps)}."
        self.wrong(path, f"There is no step {other[:60]!r}. {hint}")

    # -- order

    def _all_before(self, name: str) -> list[str]:
        return [*self.needs[name], *self.watched[name]]

    def _check_circle(self) -> None:
        """Find steps that wait for each other, and name them."""
        done: set[str] = set()
        for start in self.spec.steps:
            way: list[str] = []
            left = [(start, iter(self._all_before(start)))] if start not in done else []
            way = [start] if left else []
            while left:
                name, others = left[-1]
                other = next(others, None)
                if other is None:
                    left.pop()
                    way.pop()
                    done.add(name)
                elif other in way:
                    circle = [*way[way.index(other) :], other]
                    self.wrong(
                        ("steps", min(circle, key=list(self.spec.steps).index)),
                        f"Steps wait for each other in a circle: {' → '.join(reversed(circle))}.",
                    )
                    return
                elif other not in done:
                    way.append(other)
                    left.append((other, iter(self._all_before(other))))

    def order(self) -> list[str]:
        """The steps, each after those it waits for; else as in the file."""
        found: dict[str, None] = {}
        left = list(self.spec.steps)
        while left:
            ready = [name for name in left if all(one in found for one in self._all_before(name))]
            found.update(dict.fromkeys(ready))
            left = [name for name in left if name not in found]
        return list(found)

    # -- instances

    def _check_values(self) -> None:
        for name, step in self.spec.steps.items():
            path: Path = ("steps", name, "foreach")
            if step.foreach is None or isinstance(step.foreach, str):
                continue
            values = expand(step.foreach)
            if not values:
                self.wrong(path, "foreach has nothing to go through.")
            elif len(values) > FOREACH_MOST:
                self.wrong(path, f"foreach has more than {FOREACH_MOST} instances.")
            for param in values[0] if values else ():
                self._check_param(path, param)
        if self.problems:
            return
        for name, step in self.spec.steps.items():
            if isinstance(step.foreach, str) and not self._each(step.foreach):
                self.wrong(
                    ("steps", name, "foreach"), f"Step {step.foreach!r} has no foreach itself."
                )
            self._check_singles(name)

    def _check_singles(self, name: str) -> None:
        """Conditions and indexes that suit the number of instances."""
        path: Path = ("steps", name)
        when = self.when.get(name)
        for one in when.references if when else ():
            many = self._each(one.step) and self._root(one.step) != self._root(name)
            if one.what != OUTCOME and many and not one.pick:
                self.wrong(
                    (*path, "when"),
                    f"Step {one.step!r} has several instances: say min({one}) or max({one}).",
                )
        for index, mount in enumerate(self.mounts[name]):
            if not isinstance(mount, StepMount):
                continue
            here = (*path, "mounts", index)
            if (mount.index is not None or mount.best) and not self._each(mount.step):
                self.wrong(here, f"Step {mount.step!r} has one instance only.")
            elif mount.index is not None and mount.index >= len(self._values(mount.step)):
                count = len(self._values(mount.step))
                self.wrong(here, f"Step {mount.step!r} has the instances 0 to {count - 1}.")

    def _each(self, name: str) -> bool:
        return self.spec.steps[name].foreach is not None

    def _root(self, name: str) -> str:
        foreach = self.spec.steps[name].foreach
        return self._root(foreach) if isinstance(foreach, str) else name

    def _values(self, name: str) -> tuple[Mapping[str, Scalar], ...]:
        foreach = self.spec.steps[self._root(name)].foreach
        if foreach is None or isinstance(foreach, str):
            return ({},)
        return expand(foreach)

    def plan(self) -> Plan:
        """The plan, once nothing is wrong."""
        steps = {
            name: Step(
                name,
                self.spec.steps[name],
                self._values(name),
                self._each(name),
                self._root(name),
                tuple(self.needs[name]),
                tuple(self.watched[name]),
                self.when.get(name),
                tuple(self.mounts[name]),
            )
            for name in self.order()
        }
        nodes: dict[str, Node] = {}
        plan = Plan(steps, nodes)
        for step in steps.values():
            for index, values in enumerate(step.values):
                bare = Node(key_of(step, index), step, index, {}, (), ())
                nodes[bare.key] = Node(
                    bare.key,
                    step,
                    index,
                    self._params(step, values),
                    _keys(plan, bare, step.needs),
                    _keys(plan, bare, step.watched),
                )
        return plan

    def _params(self, step: Step, values: Mapping[str, Scalar]) -> dict[str, Scalar]:
        """Of the file's params only those that the step uses: others do not change what it does."""
        common = {**self.spec.params, **self.given}
        written = step.spec.command
        parts = [written] if isinstance(written, str) else list(written)
        parts += [as_text(value) for value in self.spec.defaults.env.values()]
        parts += [as_text(value) for value in step.spec.env.values()]
        parts += texts(step.spec.mounts)
        parts += [as_text(value) for value in step.spec.params.values()]
        used = {
            name: value
            for name, value in common.items()
            if any(f":{name}:" in part for part in parts)
        }
        own = {
            name: fill(value, used) if isinstance(value, str) else value
            for name, value in step.spec.params.items()
        }
        return {**used, **own, **values}


def _keys(plan: Plan, node: Node, names: Iterable[str]) -> tuple[str, ...]:
    return tuple(one.key for name in names for one in plan.related(node, name))
