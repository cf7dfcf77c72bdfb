"""A workflow as a graph: its steps or runs, and what each got from which."""

from __future__ import annotations

import sqlite3
from collections import Counter
from collections.abc import Iterable, Mapping

from spice_engine.protocol.runs import RunInfo
from spice_engine.protocol.views import Lineage, LineageEdge, LineageNode
from spice_engine.protocol.workflows import StepInfo, WorkflowInfo
from spice_engine.runs.states import info_of
from spice_engine.runs.workflows.mounts import StepMount
from spice_engine.runs.workflows.plan import Plan
from spice_engine.store import runs as run_table
from spice_engine.store import workflows as table

MOST_INSTANCES = 12
"""Of one step that are drawn each for itself; more are one node."""
MOST_RUNS = 300


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
            nodes[ident] = _crowd(ident, step.name, own)
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


def _crowd(ident: str, name: str, steps: list[StepInfo]) -> LineageNode:
    counts = Counter(step.state for step in steps)
    order = ("failed", "stopped", "running", "starting", "waiting", "skipped", "complete", "cached")
    state = next((one for one in order if counts[one]), "")
    detail = ", ".join(f"{count} {one}" for one, count in counts.items())
    return LineageNode(ident, "step", f"{len(steps)} of {name}", state, detail)


def runs_of(connection: sqlite3.Connection, info: WorkflowInfo) -> list[RunInfo]:
    """The runs of a script's workflow: of the script, those it made, and those that they made."""
    numbers = list(table.runs_of(connection, info.id))
    if info.run is not None and info.run not in numbers:
        numbers.insert(0, info.run)
    numbers += [one for one in table.children_of(connection, numbers) if one not in numbers]
    return [info_of(run_table.get(connection, one)) for one in numbers[:MOST_RUNS]]


def of_runs(info: WorkflowInfo, runs: Iterable[RunInfo]) -> Lineage:
    """The graph of a script's workflow: what its runs mounted of each other, and who made them."""
    found = {run.id: run for run in runs}
    nodes: dict[str, LineageNode] = {}
    top = f"workflow/{info.id}"
    if info.run is None:
        nodes[top] = LineageNode(
            top, "workflow", info.name or " ".join(info.command), info.state, info.message
        )
    for run in found.values():
        nodes[f"run/{run.id}"] = _run(run)
    edges: dict[tuple[str, str], LineageEdge] = {}
    for run in found.values():
        here = f"run/{run.id}"
        for source in _sources(nodes, found, run):
            _join(edges, source, here)
        given = any(
            edge.target == here and edge.source.startswith("run/") for edge in edges.values()
        )
        if not given and run.id != info.run:
            maker = run.parent if run.parent in found else info.run
            _join(edges, top if maker is None else f"run/{maker}", here)
    return Lineage(list(nodes.values()), list(edges.values()))


def _sources(
    nodes: dict[str, LineageNode], runs: Mapping[int, RunInfo], run: RunInfo
) -> Iterable[str]:
    for text in run.mounts:
        resource = text.rpartition(":")[0]
        kind, _, rest = resource.partition("/")
        number = rest.partition("/")[0]
        if kind == "runs" and number.isdecimal() and int(number) in runs:
            yield f"run/{number}"
        else:
            yield _data(nodes, resource)
    for number in run.after:
        if number in runs:
            yield f"run/{number}"


def _run(run: RunInfo) -> LineageNode:
    state = "failed" if run.state == "complete" and run.outcome != "success" else run.state
    title = run.name or " ".join(run.command)
    lines = [f"{name} = {value}" for name, value in run.params.items()]
    if run.message:
        lines.append(run.message)
    kind = "workflow" if run.kind == "workflow" else "run"
    return LineageNode(f"run/{run.id}", kind, f"{run.id}: {title}", state, "\n".join(lines))


def _data(nodes: dict[str, LineageNode], resource: str) -> str:
    ident = f"data/{resource}"
    nodes.setdefault(ident, LineageNode(ident, "data", resource))
    return ident


def _join(edges: dict[tuple[str, str], LineageEdge], source: str, target: str) -> None:
    if source != target:
        edges[source, target] = LineageEdge(source, target)
