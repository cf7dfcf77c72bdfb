"""Checks a predictor before it is served: loads it once, in its environment, in a child."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import uuid
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

from spice_engine.errors import ChildFailed
from spice_engine.protocol.servers import CheckedServer, ServerDefinition
from spice_engine.serving import server_code
from spice_engine.serving.making import Made, Making
from spice_engine.serving.replica_ends import last_words, why
from spice_engine.serving.replica_files import ReplicaSpec, ServedModel, job_of, write_files
from spice_engine.workers.placement import Placement, Resources
from spice_engine.workers.runtime_copy import runtime_copy
from spice_engine.workers.shims import Exit, JobLost

RESULT = "check.json"


class Validation:
    """The service behind `servers.validate`. What it makes lies in `tmp`, and goes at once."""

    def __init__(self, making: Making, placement: Placement) -> None:
        self._making = making
        self._placement = placement

    async def check(self, definition: ServerDefinition) -> CheckedServer:
        """Load the definition's predictor as a replica would, and tell what came of it.

        Raises:
            InvalidRequest, NotFound: the definition cannot be used.
            EnvironmentFailed: its environment cannot be made.
            ChildFailed: the check was ended from outside.
        """
        made = await self._making.find(definition, code=True)
        if definition.type == "pod":
            return CheckedServer("", {"class": "pod"})
        folder = self._making.workshop.state / "tmp" / f"check-{uuid.uuid4().hex[:12]}"
        try:
            spec = await self._prepare(made, folder)
            ended = await self._run(spec)
            return await asyncio.to_thread(_read, spec, ended)
        finally:
            await asyncio.to_thread(shutil.rmtree, folder, ignore_errors=True)

    async def _prepare(self, made: Made, folder: Path) -> ReplicaSpec:
        workshop, definition = self._making.workshop, made.definition
        environment = await workshop.environments.ensure(definition.dependencies)
        runtime = await asyncio.to_thread(runtime_copy, workshop.state)
        models = [(name, await workshop.materialized(tree)) for name, _, _, tree in made.models]
        await asyncio.to_thread(
            server_code.materialize,
            workshop.objects,
            folder / "version",
            code=made.code,
            models=models,
            mounts=made.mounts,
        )
        return ReplicaSpec(
            server=definition.name,
            version=0,
            definition=definition,
            models=tuple(ServedModel(name, number, v) for name, number, v, _ in made.models),
            mounted=bool(made.mounts),
            folder=folder / "version",
            replicas=folder / "replicas",
            python=environment.python,
            runtime=runtime,
            environment=environment.key,
            system=environment.system,
            state=workshop.state,
            activation=environment.activation,
        )

    async def _run(self, spec: ReplicaSpec) -> Exit:
        definition, limits = spec.definition, spec.definition.limits
        note = await asyncio.to_thread(write_files, spec, 1)
        # It takes no room of the node group: it is short, and nothing is served by it.
        job = job_of(spec, 1, (), os.environ)
        job = replace(
            job,
            argv=(*job.argv[:-1], "--check", str(note)),
            timeout_s=definition.start_timeout,
            grace_s=1.0,
        )
        part = Resources(limits.cpu_limit or 0.0, limits.memory_limit or 0, slots=0)
        reservation = self._placement.reserve([part])
        try:
            placed = await self._placement.start(reservation, 0, note.parent, job)
            try:
                return await self._placement.wait(placed)
            except asyncio.CancelledError:
                await self._placement.kill(placed)
                raise
        except JobLost as lost:
            raise ChildFailed(f"the check was ended from outside: {lost.message}") from lost
        finally:
            self._placement.release(reservation)


def _read(spec: ReplicaSpec, ended: Exit) -> CheckedServer:
    """What the child left. Blocks."""
    folder = spec.replicas / "1"
    said = last_words(folder).partition("\n")[2]
    found: dict[str, Any] = {}
    try:
        found = cast("dict[str, Any]", json.loads((folder / RESULT).read_bytes()))
    except (OSError, ValueError):
        if ended.reason == "timeout":
            limit = spec.definition.start_timeout
            message = f"it was not loaded in {limit:g} s (--start-timeout)"
        else:
            message = why(ended, folder, spec.definition.limits)
        return CheckedServer(message, output=said)
    return CheckedServer(
        message=str(found.get("message", "")),
        predictor=dict(found.get("predictor") or {}),
        warnings=[str(one) for one in found.get("warnings") or ()],
        output=said,
    )
