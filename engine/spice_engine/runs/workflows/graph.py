"""A workflow as a graph: its steps or runs, and what each got from which."""

from __future__ import annotations

import sqlite3
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

from spice_engine.protocol.runs import RunInfo
from spice_engine.protocol.views import Lineage, LineageEdge, LineageNode
from spice_engine.protocol.workflows import StepInfo, WorkflowInfo
from spice_engine.records import record
from spice_engine.runs.states import info_of
from spice_engine.runs.workflows.mounts import StepMount
from spice_engine.runs.workflows.plan import Plan
from spice_engine.store import runs as run_table
from spice_engine.store import workflows as table
from spice_engine.store.workflows import WorkflowRow

MOST_INSTANCES = 12
"""Of one step that are drawn each for itself; more are one node."""
MOST_RUNS = 300
_FIRST = ("failed", "killed", "stopped", "running", "starting", "queued", "waiting", "skipped")


def of_plan(plan: Plan, steps: Iterable[StepInfo]) -> Lineage:
    """The graph of a declared workflow: what each step waits for, and what it is given."""
    found = {step.key: step for step in steps}
    names: dict[str, str] = {}
    nodes: dict[str, LineageNode] = {}
    for step in plan.steps.values():
        own = [found[key] for key, node in plan.nodes.items() if node.step is step and key in found]
        if len(own) > MOST_INSTANCES:
            ident = f"step/{step.name}"
            names |= {one.key: ident for one in own}
            title = f"{len(own)} of {step.name}"
            nodes[ident] = _crowd(ident, "step", title, [one.state for one in own])
            continue
        for one in own:
            names[one.key] = ident = f"step/{one.key}"
            nodes[ident] = _step(ident, one)
    edges: dict[tuple[str, str], LineageEdge] = {}
    for key, node in plan.nodes.items():
        for other in (*node.needs, *node.watched):
            _join(edges, names[other], names[key])
        for mount in node.step.mounts:
            if not isinstance(mount, StepMount):
                _join(edges, _data(nodes, mount.partition(":")[0]), names[key])
    return Lineage(list(nodes.values()), list(edges.values()))


def _step(ident: str, step: StepInfo) -> LineageNode:
    lines = [f"{name} = {value}" for name, value in step.params.items()]
    if step.run is not None:
        lines.insert(0, f"run {step.run}")
    if step.message:
        lines.append(step.message)
    return LineageNode(ident, "step", step.key, step.state, "\n".join(lines))


def _crowd(ident: str, kind: str, title: str, states: list[str]) -> LineageNode:
    """One node of many; its state is the one to look at first."""
    counts = Counter(states)
    state = next((one for one in _FIRST if counts[one]), states[0])
    detail = ", ".join(f"{count} {one}" for one, count in counts.items())
    return LineageNode(ident, kind, title, state, detail)


@record
class Made:
    """What a script's workflow has made: the runs that are drawn, the states of those that are not,
    and the workflows it began."""

    runs: Sequence[RunInfo]
    rest: Sequence[str] = ()
    begun: Sequence[WorkflowRow] = ()


def made_by(connection: sqlite3.Connection, info: WorkflowInfo) -> Made:
    """The runs of a script's workflow: of the script, those it made, and those that they made."""
    numbers = list(table.runs_of(connection, info.id))
    if info.run is not None and info.run not in numbers:
        numbers.insert(0, info.run)
    numbers += [one for one in table.children_of(connection, numbers) if one not in numbers]
    return Made(
        [info_of(run_table.get(connection, one)) for one in numbers[:MOST_RUNS]],
        table.states_of(connection, numbers[MOST_RUNS:]),
        table.within(connection, info.id),
    )


def of_runs(info: WorkflowInfo, made: Made) -> Lineage:
    """The graph of a script's workflow: what its runs mounted of each other, who made them, and
    the workflows it began. Many trials of one search are one node, and so are runs that are too
    many to be drawn."""
    found = {run.id: run for run in made.runs}
    nodes: dict[str, LineageNode] = {}
    top = f"workflow/{info.id}"
    if info.run is None:
        nodes[top] = LineageNode(
            top, "workflow", info.name or " ".join(info.command), info.state, info.message
        )
    names = _names(nodes, found.values())
    edges: dict[tuple[str, str], LineageEdge] = {}
    given: set[str] = set()
    for run in found.values():
        for source in _sources(nodes, names, run):
            _join(edges, source, names[run.id])
            if source in names.values():
                given.add(names[run.id])
    for run in found.values():
        if names[run.id] not in given and run.id != info.run:
            maker = run.parent if run.parent in found else info.run
            _join(edges, top if maker is None else names[maker], names[run.id])
    maker = top if info.run is None else names.get(info.run, top)
    for row in made.begun:
        ident = f"workflow/{row.id}"
        title = f"workflow {row.id}: {row.name or ' '.join(row.command)}"
        nodes[ident] = LineageNode(ident, "workflow", title, row.state, row.message)
        _join(edges, maker, ident)
    if made.rest:
        title = f"{len(made.rest)} more runs"
        nodes["more"] = _crowd("more", "run", title, list(made.rest))
        _join(edges, maker, "more")
    return Lineage(list(nodes.values()), list(edges.values()))


def _names(nodes: dict[str, LineageNode], runs: Iterable[RunInfo]) -> dict[int, str]:
    """The node of each run."""
    trials: dict[str, list[RunInfo]] = {}
    for run in runs:
        if run.made_by.startswith("search:"):
            trials.setdefault(run.made_by, []).append(run)
    names: dict[int, str] = {}
    for made_by, some in trials.items():
        if len(some) > MOST_INSTANCES:
            ident = made_by.replace(":", "/")
            names |= {run.id: ident for run in some}
            title = f"{len(some)} trials of search {made_by.partition(':')[2]}"
            nodes[ident] = _crowd(ident, "run", title, [_state(run) for run in some])
    for run in runs:
        if run.id not in names:
            names[run.id] = f"run/{run.id}"
            nodes[names[run.id]] = _run(run)
    return names


def _sources(
    nodes: dict[str, LineageNode], names: Mapping[int, str], run: RunInfo
) -> Iterable[str]:
    for number in run.came_from:
        yield names[number] if number in names else _data(nodes, f"runs/{number}")
    for text in run.mounts:
        resource = text.rpartition(":")[0]
        if not resource.startswith("runs/"):
            yield _data(nodes, resource)
    for number in run.after:
        if number in names:
            yield names[number]


def _state(run: RunInfo) -> str:
    return "failed" if run.state == "complete" and run.outcome != "success" else run.state


def _run(run: RunInfo) -> LineageNode:
    title = run.name or " ".join(run.command)
    lines = [f"{name} = {value}" for name, value in run.params.items()]
    if run.message:
        lines.append(run.message)
    kind = "workflow" if run.kind == "workflow" else "run"
    return LineageNode(f"run/{run.id}", kind, f"{run.id}: {title}", _state(run), "\n".join(lines))


def _data(nodes: dict[str, LineageNode], resource: str) -> str:
    ident = f"data/{resource}"
    nodes.setdefault(ident, LineageNode(ident, "data", resource))
    return ident


def _join(edges: dict[tuple[str, str], LineageEdge], source: str, target: str) -> None:
    if source != target:
        edges[source, target] = LineageEdge(source, target)
