"""The operation on what tracking clients left elsewhere."""

from __future__ import annotations

from spice_engine.operations import operation
from spice_engine.protocol.tracking import ImportedRuns, ImportTracking
from spice_engine.runs.tracking_import import TrackingImport


@operation("tracking.import", http="POST /api/v1/tracking/import")
async def take(imports: TrackingImport, request: ImportTracking) -> ImportedRuns:
    """Take in experiments and runs of MLflow's folder or database; those that are here stay."""
    return await imports.take(request.folder)
