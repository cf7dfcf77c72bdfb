"""The operations behind the screens that look into a pod's data, and where things came from."""

from __future__ import annotations

from spice_engine.operations import operation
from spice_engine.pods.advisor import Advisor
from spice_engine.pods.exports import Exports
from spice_engine.pods.grids import Grids
from spice_engine.pods.lineage import Ancestry
from spice_engine.pods.look_back import LookBack
from spice_engine.pods.service import Pods
from spice_engine.pods.step_views import Steps
from spice_engine.pods.timelines import Timelines
from spice_engine.protocol.views import (
    Exported,
    ExportTable,
    GetGrid,
    GetLineage,
    GetStep,
    GetTimeline,
    Grid,
    Lineage,
    Step,
    Timeline,
)


def view_services(pods: Pods, advisor: Advisor, ancestry: Ancestry) -> list[object]:
    """The services of the operations here."""
    look_back = LookBack(pods)
    return [
        Timelines(pods, advisor, look_back),
        Steps(pods, advisor, look_back),
        Grids(pods),
        ancestry,
        Exports(pods.location, pods.pools.loaders),
    ]


@operation("pods.timeline", http="GET /api/v1/pods/{pod}/timeline")
async def timeline(timelines: Timelines, request: GetTimeline) -> Timeline:
    """Give a pod's data in stretches, with what its policy does there and hindsight would."""
    return await timelines.timeline(request)


@operation("pods.step", http="POST /api/v1/pods/{pod}/step")
async def step(steps: Steps, request: GetStep) -> Step:
    """Show one step of a pod: both states, and what every action gets by which line of code."""
    return await steps.step(request)


@operation("pods.grid", http="GET /api/v1/pods/{pod}/grid")
async def grid(grids: Grids, request: GetGrid) -> Grid:
    """Give a pod's raw rows as a grid: typed columns, gaps, and what was left out and why."""
    return await grids.grid(request)


@operation("store.lineage", http="GET /api/v1/lineage")
async def lineage(ancestry: Ancestry, request: GetLineage) -> Lineage:
    """Tell what came from what: data, pods, trainings, policies, runs, models and servers."""
    return await ancestry.lineage(request)


@operation("store.export", http="POST /api/v1/export")
async def export(exports: Exports, request: ExportTable) -> Exported:
    """Write a table into a file of the app folder: csv, json or parquet."""
    return await exports.export(request)
