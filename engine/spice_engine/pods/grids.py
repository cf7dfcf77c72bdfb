"""A pod's raw rows as a grid, read by a loader."""

from __future__ import annotations

import time

from spice_engine.errors import InvalidRequest
from spice_engine.pods import plan
from spice_engine.pods.service import Pods
from spice_engine.pods.upkeep import LOAD_SECONDS
from spice_engine.protocol.views import BadRow, GetGrid, Grid, GridColumn


class Grids:
    """The service behind grids."""

    def __init__(self, pods: Pods) -> None:
        self._pods = pods

    async def grid(self, request: GetGrid) -> Grid:
        """Raw rows with typed columns, what is missing or bad, and where gaps are.

        Raises:
            NotFound: no such pod.
            InvalidRequest: `offset` or `limit` is negative.
            SpiceError: what is wrong with its data.
        """
        if request.offset < 0 or request.limit < 0:
            raise InvalidRequest("limit and offset are 0 or more.")
        pods, location = self._pods, self._pods.location
        manifest = pods.manifest_of(request.pod)
        async with pods.observations.reading(request.pod) as files:
            params = plan.loader_params(
                manifest, location.root, location.state / "tmp", time.time(), files
            )
            params |= {"offset": request.offset, "limit": request.limit}
            answer = await pods.pools.loaders.call("grid", params, deadline=LOAD_SECONDS)
        return Grid(
            pod=request.pod,
            offset=answer["offset"],
            rows=answer["rows"],
            columns=[GridColumn(**column) for column in answer["columns"]],
            cells=answer["cells"],
            gaps=answer["gaps"],
            bad=[BadRow(**one) for one in answer["bad"]],
            bad_rows=answer["bad_rows"],
        )
