"""The data of unsaved manifests: loaded beside those of the pods, and kept while they fit."""

from __future__ import annotations

import asyncio
import hashlib
import json
import shutil
import tempfile
import time
from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from spice_engine.pods import plan
from spice_engine.pods.model import Manifest
from spice_engine.pods.observations import ObservationStore
from spice_engine.pods.upkeep import LOAD_SECONDS, stamps
from spice_engine.protocol.location import Location
from spice_engine.store.disk import storage_error
from spice_engine.workers.pool import ChildPool

KEEP_SECONDS = 60.0
"""A table is of use again if the next text comes soon, and changes no data."""


@dataclass(slots=True, eq=False)
class _Table:
    """What a loader gave, whose arrays lie in `folder`; `key` tells its input from others."""

    pod: str
    key: str
    folder: str
    loaded: dict[str, Any]
    made: float
    users: int = 0
    forgotten: bool = False


class PreviewTables:
    """Loads data for previews; of the newest preview they are kept for a while."""

    def __init__(
        self, location: Location, observations: ObservationStore, loader: ChildPool
    ) -> None:
        self._location = location
        self._observations = observations
        self._loader = loader
        self._kept: _Table | None = None
        self._timer: asyncio.TimerHandle | None = None

    @asynccontextmanager
    async def reading(
        self, pod: str, manifest: Manifest, *, observed: bool
    ) -> AsyncGenerator[dict[str, Any]]:
        """What the loader says of a manifest's data, whose files stay until the block's end.

        `observed` says that the pod exists, so that what was posted to it belongs to its data.

        Raises:
            SpiceError: the data cannot be read.
        """
        table = await self._table(pod, manifest, observed=observed)
        table.users += 1
        try:
            yield table.loaded
        finally:
            table.users -= 1
            if table.forgotten and not table.users:
                _remove(table.folder)

    def forget(self, pod: str) -> None:
        """The pod is previewed no more."""
        if self._kept is not None and self._kept.pod == pod:
            self._drop()

    def close(self) -> None:
        """Remove what is kept."""
        self._drop()

    async def _table(self, pod: str, manifest: Manifest, *, observed: bool) -> _Table:
        root, now = self._location.root, time.time()
        scratch = self._location.state / "tmp"
        seen = await asyncio.to_thread(stamps, plan.files(manifest, root))
        async with AsyncExitStack() as stack:
            files: list[dict[str, Any]] = []
            if observed:
                files = await stack.enter_async_context(self._observations.reading(pod))
            params = plan.loader_params(manifest, root, scratch, 0.0, files)
            key = _key(params, seen)
            kept = self._kept
            if kept and (kept.pod, kept.key) == (pod, key) and now - kept.made < KEEP_SECONDS:
                return kept
            try:
                folder = tempfile.mkdtemp(prefix="preview-", dir=scratch)
            except OSError as error:
                raise storage_error(error, "hand the data over", scratch) from error
            params |= {"out_folder": folder, "now": now}
            try:
                loaded = await self._loader.call("load", params, deadline=LOAD_SECONDS)
            except BaseException:
                await asyncio.to_thread(_remove, folder)
                raise
        table = _Table(pod, key, folder, loaded, now)
        self._keep(table)
        return table

    def _keep(self, table: _Table) -> None:
        self._drop()
        self._kept = table
        self._timer = asyncio.get_running_loop().call_later(KEEP_SECONDS, self._drop)

    def _drop(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        table, self._kept = self._kept, None
        if table is not None:
            table.forgotten = True
            if not table.users:
                _remove(table.folder)


def _key(params: dict[str, Any], seen: tuple[Any, ...]) -> str:
    """Tells data from others: places in the manifest and the clock don't count."""
    content = plan.without_places(params), [list(one) if one else None for one in seen]
    text = json.dumps(content, sort_keys=True, default=str)
    return hashlib.sha256(text.encode(errors="replace")).hexdigest()


def _remove(folder: str) -> None:
    """Two or three files of the scratch folder; an engine's start removes what stays."""
    shutil.rmtree(Path(folder), ignore_errors=True)
