"""From a step whose turn it is to the run that carries it out: command, code, mounts, key."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Mapping
from pathlib import Path, PurePosixPath

from spice_engine.errors import InvalidRequest, NotFound
from spice_engine.protocol.machine_types import DEFAULT_MACHINE_TYPE
from spice_engine.protocol.runs import StartRun
from spice_engine.protocol.servers import Dependencies
from spice_engine.records import record
from spice_engine.runs import sameness
from spice_engine.runs.preparation import Taken
from spice_engine.runs.requests import command_of
from spice_engine.runs.resource_paths import is_lowest_best
from spice_engine.runs.service import Runs
from spice_engine.runs.workflows import selection
from spice_engine.runs.workflows.conditions import OUTCOME, Reference
from spice_engine.runs.workflows.model import EnvironmentSpec, WorkflowSpec, as_text, texts
from spice_engine.runs.workflows.mounts import StepMount
from spice_engine.runs.workflows.plan import Node, Plan
from spice_engine.runs.workflows.progress import GOOD, outcome_of
from spice_engine.runs.workflows.values import fill, seconds_of
from spice_engine.store.objects import ObjectStore
from spice_engine.store.workflows import StepRow, WorkflowRow


@record
class Prepared:
    """All that a step's run is started with, and a hash of what decides what it does; empty for
    one that is not to be taken from earlier runs."""

    request: StartRun
    taken: Taken
    fingerprint: str


class StepMaker:
    """Prepares the steps of one workflow. `states` are read as they are when a step's turn is."""

    def __init__(
        self,
        runs: Runs,
        objects: ObjectStore,
        row: WorkflowRow,
        spec: WorkflowSpec,
        plan: Plan,
        states: Mapping[str, StepRow],
    ) -> None:
        self._runs = runs
        self._objects = objects
        self._row = row
        self._spec = spec
        self._plan = plan
        self._states = states
        self._code: dict[tuple[str, ...], str] = {}

    async def prepare(self, node: Node) -> Prepared:
        """What a step's run is to be.

        Raises:
            InvalidRequest, NotFound, StorageError: it cannot be started, and why.
        """
        spec, defaults = node.step.spec, self._spec.defaults
        timeout = defaults.timeout if spec.timeout is None else spec.timeout
        retries = defaults.retries if spec.retries is None else spec.retries
        env = {
            name: fill(as_text(value), node.params)
            for name, value in {**defaults.env, **spec.env}.items()
        }
        request = StartRun(
            command=spec.command,
            name=node.key,
            cwd=spec.cwd,
            env=env,
            labels=texts(spec.labels),
            project=self._spec.project,
            timeout=None if timeout is None else seconds_of(timeout),
            machine_type=spec.machine_type or defaults.machine_type or DEFAULT_MACHINE_TYPE,
            description=spec.description,
            dependencies=await self._dependencies(spec.environment or defaults.environment),
            mounts=await self._mounts(node),
            params=dict(node.params),
            made_by=f"workflow:{self._row.id}",
            priority=spec.priority,
            retries=retries or 0,
            auto_resume=spec.auto_resume,
            distributed=spec.distributed,
        )
        command = command_of(request)
        root = self._runs.location.root
        cwd = Path(os.path.normpath(root / spec.cwd))
        code = await self._code_of(texts(defaults.code if spec.code is None else spec.code))
        inner = PurePosixPath(cwd.relative_to(root)) if cwd.is_relative_to(root) else None
        if inner is None or not await asyncio.to_thread(self._objects.has_folder, code, inner):
            raise InvalidRequest(
                f"cwd: {spec.cwd[:200]!r} is no folder of what the step sees.",
                hint="A path in the app folder; `code` must name something in it.",
            )
        taken = await self._runs.preparation.take(request, cwd, code)
        cache = defaults.cache if spec.cache is None else spec.cache
        key = ""
        if cache is not False:
            key = sameness.key_of(command, request.params, env, str(cwd), taken)
        return Prepared(request, taken, key)

    async def _code_of(self, patterns: list[str]) -> str:
        wanted = tuple(patterns)
        if wanted not in self._code:
            self._code[wanted] = self._row.code
            if patterns:
                self._code[wanted] = await asyncio.to_thread(
                    selection.chosen, self._objects, self._row.code, patterns
                )
        return self._code[wanted]

    async def _dependencies(self, spec: EnvironmentSpec | None) -> Dependencies | None:
        if spec is None:
            return None
        files = {"pip_req": "", "conda_file": ""}
        for key in files:
            if path := getattr(spec, key):
                files[key] = await asyncio.to_thread(self._text_of, key, path)
        return Dependencies(
            pip=texts(spec.pip),
            requirements=files["pip_req"],
            python=spec.python or "",
            setup=texts(spec.setup),
            conda=texts(spec.conda),
            conda_file=files["conda_file"],
            channels=texts(spec.channels),
            apt=texts(spec.apt),
            image=spec.image or "",
        )

    def _text_of(self, key: str, path: str) -> str:
        root = self._runs.location.root
        place = (root / path).resolve()
        if not place.is_relative_to(root.resolve()):
            raise InvalidRequest(f"{key}: {path[:200]!r} lies outside of the app folder.")
        try:
            return place.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError, ValueError) as error:
            raise NotFound(f"{key}: {path[:200]!r} cannot be read: {error}.") from error

    # -- what earlier steps left

    async def _mounts(self, node: Node) -> list[str]:
        found: list[str] = []
        for mount in node.step.mounts:
            if isinstance(mount, str):
                found.append(fill(mount, node.params))
            else:
                found += await self._step_mounts(node, mount)
        return found

    async def _step_mounts(self, node: Node, mount: StepMount) -> list[str]:
        path = fill(mount.path, node.params)
        related = self._plan.related(node, mount.step)
        if mount.index is not None:
            related = [one for one in related if one.index == mount.index]
        inner = mount.inner
        if mount.best:
            best, inner = await self._best(related, mount)
            related = [best]
        each = len(related) > 1
        return [
            f"runs/{self._run_of(one)}{inner}:{path}{f'/{one.index}' if each else ''}"
            for one in related
        ]

    def _run_of(self, node: Node) -> int:
        row = self._states[node.key]
        if row.run is None:
            raise NotFound(f"step {node.key} left nothing: it is {row.state}.")
        return row.run

    async def _best(self, nodes: list[Node], mount: StepMount) -> tuple[Node, str]:
        """The best instance, and the path in what it left."""
        parts = [] if mount.way else mount.inner.split("/")[1:]
        for count in range(len(parts), -1, -1):
            metric = "/".join([mount.best, *parts[:count]])
            values = await self._runs.metrics.last_numbers(metric)
            scores = {
                node.key: values[owner]
                for node in nodes
                if (owner := f"runs/{self._states[node.key].run}") in values
            }
            if scores:
                least = mount.way == "min" or (not mount.way and is_lowest_best(metric))
                best = (min if least else max)(scores, key=scores.__getitem__)
                inner = "".join(f"/{part}" for part in parts[count:]) if parts else mount.inner
                return self._plan.nodes[best], inner
        raise NotFound(
            f"no instance of step {mount.step} sent a metric {mount.best[:100]!r}.",
            hint="send_metric(name, value) sends one.",
        )

    # -- conditions

    async def judge(self, node: Node) -> tuple[bool, str]:
        """Whether a step's condition holds, and what was seen; true where it has none."""
        condition = node.step.when
        if condition is None:
            return True, ""
        found: dict[Reference, float | str | None] = {}
        for reference in condition.references:
            found[reference] = await self._value_of(node, reference)
        return condition.judge(found.__getitem__)

    async def _value_of(self, node: Node, reference: Reference) -> float | str | None:
        related = self._plan.related(node, reference.step)
        if reference.what == OUTCOME:
            return outcome_of(self._states[one.key].state for one in related)
        values = await self._runs.metrics.last_numbers(reference.what)
        numbers = [
            values[owner]
            for one in related
            if self._states[one.key].state in GOOD
            and (owner := f"runs/{self._states[one.key].run}") in values
        ]
        if not numbers:
            return None
        return min(numbers) if reference.pick == "min" else max(numbers)
