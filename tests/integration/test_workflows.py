"""Declared workflows carried out for real: failures, conditions, the cache, going on, crashes."""

from __future__ import annotations

import asyncio
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from spice_engine.errors import Conflict, InvalidWorkflow, NotFound
from spice_engine.events import Bus
from spice_engine.protocol.runs import StartRun
from spice_engine.protocol.workflows import (
    CreateWorkflow,
    FinishWorkflow,
    StartWorkflowRun,
    WorkflowInfo,
)
from spice_engine.runs.client_variables import ClientVariables
from spice_engine.runs.service import Runs
from spice_engine.runs.workflows.service import Workflows
from spice_engine.runs.workflows.terminals import GONE, Terminals
from spice_engine.store import workflows as table
from spice_engine.store.series import Point
from tests.integration.run_services import runs_of


@asynccontextmanager
async def workflows_of(root: Path, *, stop: bool = True) -> AsyncIterator[Workflows]:
    async with runs_of(root, stop=stop) as runs:
        objects = runs.preparation.files._objects

        async def resolve(path: str) -> str:
            number, _, inner = path.removeprefix("runs/").partition("/")
            folder = runs.folder(int(number)) / "outputs"
            if not inner:
                return await asyncio.to_thread(lambda: objects.put_tree(folder).hash)
            return await asyncio.to_thread(objects.put_file, folder / inner)

        runs.preparation.resolve = resolve
        client = ClientVariables(runs.location, "token", lambda: "http://127.0.0.1:1")
        workflows = Workflows(runs, objects, Bus(), client)
        await runs.adopt_all()
        await workflows.open()
        try:
            yield workflows
        finally:
            await workflows.close()


@pytest.fixture
async def workflows(tmp_path: Path) -> AsyncIterator[Workflows]:
    (tmp_path / "app" / "workflows").mkdir(parents=True)
    async with workflows_of(tmp_path / "app") as found:
        yield found


def write(workflows: Workflows, text: str, name: str = "w") -> None:
    (workflows.runs.location.root / "workflows" / f"{name}.yaml").write_text(text)


async def over(workflows: Workflows, number: int) -> WorkflowInfo:
    """A workflow once it is over."""
    info = workflows.known.over(number)
    return await asyncio.wait_for(info, 60)


async def carried_out(workflows: Workflows, name: str = "w", **params: Any) -> WorkflowInfo:
    begun = await workflows.declared.begin(name, params, fresh=False)
    return await over(workflows, begun.id)


def states(info: WorkflowInfo) -> dict[str, str]:
    return {step.key: step.state for step in info.steps}


def log_of(runs: Runs, number: int | None) -> str:
    return (runs.folder(number or 0) / "logs.txt").read_text()


FLOW = """
params: {n: 2}
steps:
  prepare: {command: "seq :n: > data.txt"}
  train:
    command: "cat data/data.txt; echo :lr: > model.txt; test :lr: != $BAD"
    foreach: {lr: [0.1, 0.5]}
    mounts: [steps.prepare:data]
    env: {BAD: 0.5}
  report: {command: "true", needs: train}
  clean: {command: "echo $SPICE_STEP", when: train.outcome == failed}
"""


async def test_steps_are_carried_out_cached_and_gone_on_with(workflows: Workflows) -> None:
    runs = workflows.runs
    write(workflows, FLOW)
    first = await carried_out(workflows)
    assert (first.state, first.message) == ("failed", "train[1] failed; report was skipped.")
    assert states(first) == {
        "prepare": "complete",
        "train[0]": "complete",
        "train[1]": "failed",
        "report": "skipped",
        "clean": "complete",
    }
    by_key = {step.key: step for step in first.steps}
    assert by_key["report"].message == "It needs train[1], which failed."
    assert by_key["train[1]"].message == "Run 3 ended with exit code 1."
    assert log_of(runs, by_key["train[0]"].run) == "1\n2\n"
    assert log_of(runs, by_key["clean"].run) == "clean\n"

    # The same again: what succeeded is taken from there, what changed is not.
    write(workflows, FLOW.replace("BAD: 0.5", "BAD: 9"))
    second = await carried_out(workflows)
    assert second.state == "complete"
    assert states(second) == {
        "prepare": "cached",
        "train[0]": "complete",
        "train[1]": "complete",
        "report": "complete",
        "clean": "skipped",
    }
    prepared = second.steps[0]
    assert (prepared.run, prepared.message) == (by_key["prepare"].run, "The same as run 1.")
    assert second.steps[-1].message == (
        "train.outcome == failed does not hold: train.outcome is success."
    )
    # With another param, and with other code, nothing is the same.
    (runs.location.root / "code.py").write_text("x")
    third = await carried_out(workflows, n=3)
    assert states(third)["prepare"] == "complete"

    # The first goes on from what failed, with the file as it is now.
    resumed = await workflows.declared.resume(first.id)
    assert resumed.resumed == 1
    info = await over(workflows, first.id)
    assert info.state == "complete"
    assert {step.key: step.run for step in info.steps if step.key in {"prepare", "train[0]"}} == {
        "prepare": 1,
        "train[0]": 2,
    }
    with pytest.raises(Conflict, match="nothing is left to do"):
        await workflows.declared.resume(first.id)

    graph = await workflows.known.graph(await workflows.known.row(first.id))
    assert ("step/prepare", "step/train[1]") in {(one.source, one.target) for one in graph.edges}
    assert {one.title: one.state for one in graph.nodes}["report"] == "cached"


async def test_conditions_and_the_best_of_several_go_by_metrics(workflows: Workflows) -> None:
    runs = workflows.runs

    async def measure(row: Any) -> None:
        # What a run sends comes in before its end is recorded.
        if row.params.get("lr") is not None:
            value = float(row.params["lr"])
            points = [Point("loss", value, 1.0, 0), Point("keras/score", value, 1.0, 0)]
            runs.metrics.add(f"runs/{row.id}", points)
            await runs.metrics.flush()

    runs.settling.append(measure)
    write(
        workflows,
        """
steps:
  train: {command: "echo :lr: > model", foreach: {lr: [0.3, 0.2, 0.4]}, code: [code.py]}
  best: {command: "cat best; ls", mounts: ["steps.train@best:loss/model:best"]}
  high: {command: "cat best", mounts: ["steps.train@best:keras/score/model:best"]}
  low: {command: "cat best", mounts: ["steps.train@best:keras/score:min/model:best"]}
  good: {command: "true", when: min(train.loss) < 0.25 && train.outcome == success}
  bad: {command: "true", when: max(train.loss) < 0.25}
""",
    )
    (runs.location.root / "code.py").write_text("code")
    (runs.location.root / "more.py").write_text("more")
    info = await carried_out(workflows)
    assert info.state == "complete"
    assert states(info) | {"train[0]": "", "train[1]": "", "train[2]": ""} == {
        "train[0]": "",
        "train[1]": "",
        "train[2]": "",
        "best": "complete",
        "high": "complete",
        "low": "complete",
        "good": "complete",
        "bad": "skipped",
    }
    by_key = {step.key: step for step in info.steps}
    # It saw the folder without the files of workflows.
    assert log_of(runs, by_key["best"].run).split() == ["0.2", "best", "code.py", "more.py"]
    # The names of metrics may have slashes, as those of paths have.
    assert log_of(runs, by_key["high"].run) == "0.4\n"
    assert log_of(runs, by_key["low"].run) == "0.2\n"
    assert by_key["bad"].message.endswith("max(train.loss) is 0.4.")
    # What a step does not see does not keep it from the cache.
    (runs.location.root / "more.py").write_text("other")
    again = await carried_out(workflows)
    assert states(again)["train[2]"] == "cached"
    assert states(again)["best"] == "complete"


async def test_stopped_it_begins_nothing_more(workflows: Workflows) -> None:
    write(
        workflows,
        "steps:\n  long: {command: 'echo half > half; sleep 300'}\n"
        "  next: {command: 'true', needs: long}\n",
    )
    begun = await workflows.declared.begin("w", {}, fresh=False)
    await runs_with(workflows, begun.id, 1)
    assert (await workflows.end(begun.id, kill=False)).state == "stopping"
    info = await over(workflows, begun.id)
    assert (info.state, states(info)) == ("stopped", {"long": "stopped", "next": "stopped"})
    with pytest.raises(Conflict, match="is over already"):
        await workflows.end(begun.id, kill=True)
    await workflows.archive(begun.id)
    assert await workflows.known.listed(10, archived=False) == []
    assert [one.id for one in await workflows.known.listed(10, archived=True)] == [begun.id]
    made = await workflows.runs.database.read(lambda c: table.runs_of(c, begun.id))
    assert all(workflows.runs.known[one].archived for one in made)


async def runs_with(workflows: Workflows, number: int, count: int) -> None:
    """Wait until a workflow has so many runs under way."""
    heard = asyncio.Event()
    end = workflows.runs.listen(lambda _: heard.set())
    try:
        while True:
            heard.clear()
            made = await workflows.runs.database.read(
                lambda connection: table.active_runs_of(connection, number)
            )
            known = [workflows.runs.known[one].state for one in made]
            if known.count("running") == count:
                return
            await asyncio.wait_for(heard.wait(), 60)
    finally:
        end()


async def test_another_engine_goes_on_where_one_died(workflows: Workflows) -> None:
    root = workflows.runs.location.root
    write(
        workflows,
        f"""
steps:
  first: {{command: "echo x > x"}}
  second: {{command: "until test -e {root}/go; do sleep 0.05; done", needs: first}}
  third: {{command: "true", needs: second}}
""",
    )
    begun = await workflows.declared.begin("w", {}, fresh=False)
    await runs_with(workflows, begun.id, 1)
    # It dies as it has started the second, and before it noted so.
    await workflows.close()
    await workflows.runs.database.write(
        lambda c: c.execute(
            "UPDATE workflow_steps SET state = 'starting', run = NULL WHERE key = 'second'"
        )
    )
    await workflows.runs.close(stop=False)
    async with workflows_of(root) as later:
        (root / "go").touch()
        info = await over(later, begun.id)
        assert (info.state, info.counts) == ("complete", {"complete": 3})
        made = await later.runs.database.read(lambda c: table.runs_of(c, begun.id))
        assert len(made) == 3


async def test_bad_workflows_begin_nothing(workflows: Workflows) -> None:
    with pytest.raises(NotFound, match="no workflow 'w'"):
        await workflows.declared.begin("w", {}, fresh=False)
    write(workflows, "steps:\n  a: {command: x, needs: b}\n  b: {command: x, needs: a}\n")
    with pytest.raises(InvalidWorkflow, match="a → b → a") as caught:
        await workflows.declared.begin("w", {}, fresh=False)
    assert str(caught.value.place) == "workflows/w.yaml:2:3"
    write(workflows, "steps:\n  a: {command: x, machine_type: huge}\n")
    with pytest.raises(NotFound, match="huge"):
        await workflows.declared.begin("w", {}, fresh=False)
    write(workflows, "project: none\nsteps:\n  a: {command: x}\n")
    with pytest.raises(NotFound, match="Unknown project 'none'"):
        await workflows.declared.begin("w", {}, fresh=False)
    assert await workflows.known.listed(10, archived=True) == []
    # What shows only when its turn is fails the step.
    write(workflows, "steps:\n  a: {command: x, cwd: nowhere}\n  b: {command: x, needs: a}\n")
    info = await carried_out(workflows)
    assert states(info) == {"a": "failed", "b": "skipped"}
    assert "cwd: 'nowhere' is no folder" in info.steps[0].message


async def test_a_scripts_runs_join_it_see_its_code_and_end_with_it(workflows: Workflows) -> None:
    runs, root = workflows.runs, workflows.runs.location.root
    (root / "code.txt").write_text("as it was")
    other = root.parent / "other"
    (other / "inner").mkdir(parents=True)
    (other / "inner" / "file").write_text("labelled")
    begun = await workflows.scripts.create(
        CreateWorkflow("sleep 300", repos={"lib": str(other)}, name="flow")
    )
    (root / "code.txt").write_text("changed since")
    made = await workflows.scripts.start_run(
        StartWorkflowRun(begun.id, StartRun("cat code.txt; echo $SPICE_WORKFLOW_ID"))
    )
    assert (made.parent, made.made_by) == (begun.run, f"workflow:{begun.id}")
    await runs.wait_over(made.id)
    assert log_of(runs, made.id) == f"as it was{begun.id}\n"
    labelled = await workflows.scripts.start_run(
        StartWorkflowRun(begun.id, StartRun("cat file", cwd="inner"), label="lib")
    )
    await runs.wait_over(labelled.id)
    assert log_of(runs, labelled.id) == "labelled"
    with pytest.raises(NotFound, match="It has: lib"):
        await workflows.scripts.start_run(
            StartWorkflowRun(begun.id, StartRun("true"), label="nothing")
        )
    long = await workflows.scripts.start_run(StartWorkflowRun(begun.id, StartRun("sleep 300")))
    graph = await workflows.known.graph(await workflows.known.row(begun.id))
    assert {(one.source, one.target) for one in graph.edges} >= {
        (f"run/{begun.run}", f"run/{made.id}"),
        (f"run/{begun.run}", f"run/{labelled.id}"),
    }
    await workflows.end(begun.id, kill=True)
    assert (await over(workflows, begun.id)).state == "killed"
    assert (await runs.wait_over(long.id)).state == "killed"
    states = await runs.database.read(lambda c: table.states_of(c, [long.id, made.id]))
    assert states == ["complete", "killed"]
    with pytest.raises(Conflict, match="is over or ends"):
        await workflows.scripts.start_run(StartWorkflowRun(begun.id, StartRun("true")))


async def test_a_workflow_ends_as_its_script_does(workflows: Workflows) -> None:
    for command, state, message in (
        ("true", "complete", ""),
        ("exit 3", "failed", "Its script ended with exit code 3."),
    ):
        begun = await workflows.scripts.create(CreateWorkflow(command))
        info = await over(workflows, begun.id)
        assert (info.state, info.message) == (state, message)


async def test_what_a_workflow_began_ends_with_it(workflows: Workflows) -> None:
    write(workflows, "steps:\n  long: {command: 'sleep 300'}\n")
    outer = await workflows.scripts.create(CreateWorkflow("sleep 300"))
    inner = await workflows.scripts.create(CreateWorkflow("sleep 300", within=outer.id))
    steps = await workflows.declared.begin("w", {}, fresh=False, within=inner.id)
    alone = await workflows.scripts.create(CreateWorkflow("sleep 300"))
    assert (outer.within, inner.within, steps.within) == (None, outer.id, inner.id)
    graph = await workflows.known.graph(await workflows.known.row(outer.id))
    assert [(one.source, one.target) for one in graph.edges] == [
        (f"run/{outer.run}", f"workflow/{inner.id}")
    ]
    await runs_with(workflows, steps.id, 1)
    await workflows.end(outer.id, kill=True)
    for one in (outer, inner, steps):
        assert (await over(workflows, one.id)).state == "killed"
    assert (await workflows.known.row(alone.id)).state == "running"
    with pytest.raises(Conflict, match="is over or ends"):
        await workflows.declared.begin("w", {}, fresh=False, within=outer.id)


async def test_a_key_is_good_for_one_workflow_whose_script_has_begun(workflows: Workflows) -> None:
    asked = CreateWorkflow("true", request_key="k")
    first = await workflows.scripts.create(asked)
    assert (await workflows.scripts.create(asked)).id == first.id
    await over(workflows, first.id)
    assert (await workflows.scripts.create(asked)).id == first.id
    with pytest.raises(Conflict, match="has made workflow 1 already"):
        await workflows.runs.start(StartRun("true", request_key="k"))
    # An engine that died before the script was there has begun nothing.
    await workflows.runs.database.write(
        lambda c: c.execute("UPDATE workflows SET run = NULL, state = 'failed' WHERE id = 1")
    )
    second = await workflows.scripts.create(asked)
    assert second.id == first.id + 1
    assert (await over(workflows, second.id)).state == "complete"
    await workflows.runs.database.write(lambda c: c.execute("UPDATE request_keys SET made = 0"))
    run = await workflows.runs.start(StartRun("true", request_key="other"))
    assert (await workflows.runs.start(StartRun("true", request_key="other"))).id == run.id
    third = await workflows.scripts.create(asked)  # what is long past is forgotten
    assert third.id == second.id + 1
    await over(workflows, third.id)


async def attended(terminals: Terminals, number: int, count: int) -> None:
    """Wait until so many attend a workflow."""
    for _ in range(60_000):
        if terminals._here[number] == count:
            return
        await asyncio.sleep(0.001)
    raise AssertionError("nobody attends it")


async def test_a_script_whose_terminal_went_away_has_failed(workflows: Workflows) -> None:
    begun = await workflows.scripts.create(CreateWorkflow("x", local=True))
    terminals = Terminals(workflows.known, grace=0)
    waiting = [asyncio.create_task(terminals.attend(begun.id)) for _ in range(2)]
    await attended(terminals, begun.id, 2)
    for task in waiting:
        assert (await workflows.known.row(begun.id)).state == "running"
        task.cancel()
        await asyncio.wait([task])
    info = await over(workflows, begun.id)
    assert (info.state, info.message) == ("failed", GONE)
    assert await terminals.attend(begun.id) == info
    # One that comes back in time goes on.
    other = await workflows.scripts.create(CreateWorkflow("x", local=True))
    patient = Terminals(workflows.known, grace=300)
    first = asyncio.create_task(patient.attend(other.id))
    await attended(patient, other.id, 1)
    first.cancel()
    await asyncio.wait([first])
    again = asyncio.create_task(patient.attend(other.id))
    await attended(patient, other.id, 1)
    await workflows.scripts.finish(FinishWorkflow(other.id, 0))
    assert (await again).state == "complete"
    await patient.close()
    managed = await workflows.scripts.create(CreateWorkflow("true"))
    with pytest.raises(Conflict, match="the engine runs the script"):
        await terminals.attend(managed.id)
    await over(workflows, managed.id)


def committed(repository: Path, text: str) -> None:
    """A repository with a file of that text."""
    repository.mkdir()
    (repository / "file").write_text(text)
    who = ["-c", "user.name=a", "-c", "user.email=a@example.com"]
    for words in (["init", "-q"], ["add", "file"], [*who, "commit", "-q", "-m", "one"]):
        subprocess.run(["git", *words], cwd=repository, check=True)


async def test_a_script_and_what_it_starts_are_on_one_commit(workflows: Workflows) -> None:
    root = workflows.runs.location.root
    repository = root.parent / "repository"
    committed(repository, "committed")
    (repository / "file").write_text("changed")
    script = f"until test -e {root}/go; do sleep 0.05; done; cat file"
    begun = await workflows.scripts.create(CreateWorkflow(script, git=str(repository)))
    made = await workflows.scripts.start_run(StartWorkflowRun(begun.id, StartRun("cat file")))
    (root / "go").touch()
    assert (await over(workflows, begun.id)).state == "complete"
    await workflows.runs.wait_over(made.id)
    for run in (begun.run, made.id):
        assert log_of(workflows.runs, run) == "committed"
