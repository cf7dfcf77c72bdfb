"""What people and machines tell a pod: observations, and interpretations of stretches of them."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

from spice_engine.errors import InvalidRequest, NotFound
from spice_engine.pods import plan
from spice_engine.pods.observations import Body
from spice_engine.pods.service import Pods
from spice_engine.protocol.pods import GetObservations, Observations, Observe, Observed
from spice_engine.store import interpretations
from spice_engine.store.database import Database
from spice_engine.store.interpretations import InterpretationRow


class PodData:
    """The service behind observations, interpretations and reward tests."""

    def __init__(self, pods: Pods, database: Database) -> None:
        self._pods = pods
        self._database = database

    async def observe(self, request: Observe) -> Observed:
        """Take in observations of a pod: they are on disk when this returns.

        Raises:
            NotFound: no such pod or dataspace.
            InvalidData: the data cannot be read; nothing of them is kept.
        """
        manifest = self._pods.manifest_of(request.pod)
        mode, form, params = "observations", request.format, dict[str, str]()
        if request.dataspace:
            mode = "dataspace"
            space = next((s for s in manifest.dataspaces if s.path == request.dataspace), None)
            if space is None:
                known = ", ".join(s.path for s in manifest.dataspaces)
                raise NotFound(
                    f"pod {request.pod!r} has no dataspace {request.dataspace[:200]!r}.",
                    hint=f"Dataspaces: {known}.",
                )
            form = "csv"
            if space.data is not None:
                form, params = space.data.processor.name, dict(space.data.processor.params)
        elif form not in {"csv", "json"}:
            raise InvalidRequest(f"format is csv or json, not {form[:40]!r}.")
        return await self._pods.observations.accept(
            request.pod,
            Body(
                data=request.data,
                format=form,
                params=params,
                mode=mode,
                dataspaces=plan.dataspaces(manifest),
                only=request.dataspace,
                key=request.key,
            ),
        )

    async def observations(self, request: GetObservations) -> Observations:
        """The raw rows of a pod.

        Raises:
            NotFound: no such pod.
        """
        manifest = self._pods.manifest_of(request.pod)
        return await self._pods.upkeep.observations(request, manifest)

    async def interpretations(
        self, name: str, start: int | None, end: int | None
    ) -> list[InterpretationRow]:
        """Those of a pod that overlap [start, end).

        Raises:
            NotFound: no such pod.
            InvalidRequest: the bounds lie outside of the pod's period.
        """
        self._pods.get(name)
        if start is not None or end is not None:
            first, last = self._period(name)
            if start is not None and start < first:
                raise InvalidRequest(f"start '{start}' cannot be before pod epoch '{first}'")
            if end is not None and end > last:
                raise InvalidRequest(f"end '{end}' cannot be after pod period '{last}'")
        return await self._database.read(
            lambda connection: interpretations.find(connection, name, start, end)
        )

    def _period(self, name: str) -> tuple[int, int]:
        """The pod's period now, in Unix seconds, both ends included."""
        params = self._pods.manifest_of(name).params
        first = params.epoch_time
        if first is None:
            first = int(time.time()) - params.period
        return first, first + params.period

    async def add_interpretations(self, name: str, rows: Sequence[InterpretationRow]) -> None:
        """Add interpretations to a pod, all or none; one whose rewards read them is trained.

        Raises:
            NotFound: no such pod.
            InvalidRequest: one that ends before it starts, or lies outside of the period.
        """
        manifest = self._pods.manifest_of(name)
        first, last = self._period(name)
        for row in rows:
            check_interpretation(row, first, last)
        await self._database.write(lambda connection: interpretations.add(connection, name, rows))
        if plan.reads_interpretations(manifest):
            self._pods.refresh(name)

    async def reward_tests(self, name: str) -> list[dict[str, Any]]:
        """Run the reward tests of a pod's manifest, in a trainer.

        Raises:
            NotFound: no such pod.
            Conflict: the code is that of a file, and the folder is not trusted.
        """
        return await self._pods.upkeep.reward_tests(
            self._pods.get(name), self._pods.manifest_of(name)
        )


def check_interpretation(row: InterpretationRow, first: int, last: int) -> None:
    """Raise InvalidRequest where it does not lie within [first, last], in the original's words."""
    if row.start > row.end:
        raise InvalidRequest("start must be same or before end")
    if row.start < first:
        raise InvalidRequest(
            f"interpretation start '{row.start}' must be same or later than pod epoch '{first}'"
        )
    if row.end > last:
        raise InvalidRequest(
            f"interpretation end '{row.end}' must be same or before pod end '{last}'"
        )
