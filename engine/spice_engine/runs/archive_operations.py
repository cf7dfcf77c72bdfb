"""The operations on runs in files."""

from __future__ import annotations

from spice_engine.errors import InvalidRequest
from spice_engine.operations import operation
from spice_engine.protocol.run_archives import (
    ExportArchive,
    ExportedRunMetrics,
    ExportedRuns,
    ExportRun,
    ExportRunMetrics,
    ExportRuns,
    ImportedRun,
    ImportedRunMetrics,
    ImportedRunTable,
    ImportRun,
    ImportRunMetrics,
    ImportRunTable,
)
from spice_engine.runs.run_archives import RunArchives


@operation("runs.export", http="POST /api/v1/runs/export")
async def export_runs(archives: RunArchives, request: ExportRuns) -> ExportedRuns:
    """Write a table of runs to a file of the engine's machine: CSV, JSON or Parquet."""
    return await archives.export_table(request)


@operation("runs.export_run", http="POST /api/v1/runs/{id}/export")
async def export_run(archives: RunArchives, request: ExportRun) -> ExportedRuns:
    """Write a run with its log, metrics and outputs to a file of the engine's machine."""
    if not 0 < request.id < 2**63:
        raise InvalidRequest(f"{request.id} is no run's number.")
    wanted = ExportArchive(request.path, runs=[request.id], replace=request.replace)
    return await archives.export(wanted)


@operation("runs.export_archive", http="POST /api/v1/runs/export-archive")
async def export_archive(archives: RunArchives, request: ExportArchive) -> ExportedRuns:
    """Write runs, with all that they left and belong to, to a file of the engine's machine."""
    return await archives.export(request)


@operation("runs.import", http="POST /api/v1/runs/import")
async def import_run(archives: RunArchives, request: ImportRun) -> ImportedRun:
    """Take the runs in that another engine wrote to an archive; those that are here stay."""
    return await archives.take(request.path)


@operation("runs.import_table", http="POST /api/v1/runs/import-table")
async def import_table(archives: RunArchives, request: ImportRunTable) -> ImportedRunTable:
    """Take the runs of a table in: CSV, JSON or Parquet; those that are here already stay."""
    return await archives.take_table(request.path)


@operation("runs.export_all_metrics", http="POST /api/v1/runs/export-metrics")
async def export_metrics(archives: RunArchives, request: ExportRunMetrics) -> ExportedRunMetrics:
    """Write all points of runs' metrics to a file of the engine's machine."""
    return await archives.export_metrics(request)


@operation("runs.import_metrics", http="POST /api/v1/runs/import-metrics")
async def import_metrics(archives: RunArchives, request: ImportRunMetrics) -> ImportedRunMetrics:
    """Take the metrics of runs that came from elsewhere in: CSV, JSON or Parquet."""
    return await archives.take_metrics(request.path)
