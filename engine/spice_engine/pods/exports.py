"""Tables written into the app folder for other programs."""

from __future__ import annotations

import asyncio
from pathlib import Path

from spice_engine.data import table_files
from spice_engine.errors import InvalidRequest
from spice_engine.protocol.location import Location
from spice_engine.protocol.views import Exported, ExportTable
from spice_engine.workers.pool import ChildPool

EXPORT_SECONDS = 60.0
FORMATS = ("csv", "json", "parquet")


class Exports:
    """The service behind exports. Parquet is written by a loader, which has the library for it."""

    def __init__(self, location: Location, loaders: ChildPool) -> None:
        self._location = location
        self._loaders = loaders

    async def export(self, request: ExportTable) -> Exported:
        """Write a table into a new file of the app folder.

        Raises:
            InvalidRequest: the path, the format or the table's shape cannot be used.
            Conflict: there is such a file, and `replace` is not set.
            StorageError: it cannot be written.
        """
        _check(request)
        path = await asyncio.to_thread(self._path, request)
        if request.format == "parquet":
            params = {
                "out": str(path),
                "columns": request.columns,
                "rows": request.rows,
                "replace": request.replace,
            }
            size = await self._loaders.call("write_parquet", params, deadline=EXPORT_SECONDS)
        else:
            size = await asyncio.to_thread(_write, path, request)
        shown = str(path.relative_to(self._location.root))
        return Exported(shown, len(request.rows), size)

    def _path(self, request: ExportTable) -> Path:
        root = self._location.root.resolve()
        try:
            path = (root / request.path).resolve()
            inside = path.is_relative_to(root) and path != root
            state = path.is_relative_to(self._location.state.resolve())
        except (OSError, RuntimeError, ValueError) as error:  # a loop of links, a null byte
            raise InvalidRequest(f"{request.path[:200]!r} is no path: {error}.") from error
        if not inside or state:
            raise InvalidRequest(
                f"{request.path[:200]!r} is no place for a table.",
                hint="Name a file inside the app folder.",
            )
        if path.suffix != f".{request.format}":
            raise InvalidRequest(
                f"{request.path[:200]!r} does not end with .{request.format}.",
                hint="So that no other file is replaced by mistake.",
            )
        if path.is_dir():
            raise InvalidRequest(f"{request.path[:200]!r} is a folder.")
        return path


def _check(request: ExportTable) -> None:
    if request.format not in FORMATS:
        raise InvalidRequest(f"format is one of {', '.join(FORMATS)}.")
    if not request.columns or len(set(request.columns)) < len(request.columns):
        raise InvalidRequest("columns: at least one, each with a name of its own.")
    wrong = next(
        (i for i, row in enumerate(request.rows) if len(row) != len(request.columns)), None
    )
    if wrong is not None:
        raise InvalidRequest(f"row {wrong} has not as many cells as there are columns.")


def _write(path: Path, request: ExportTable) -> int:
    write = table_files.write_csv if request.format == "csv" else table_files.write_json
    return table_files.put(
        path, lambda beside: write(beside, request.columns, request.rows), replace=request.replace
    )
