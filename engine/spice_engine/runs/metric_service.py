"""Metrics of runs: what they send and what is measured of them, stored, judged and given out."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import logging
from collections.abc import Callable
from pathlib import Path
from urllib.parse import urlsplit

from spice_engine.errors import StorageError
from spice_engine.runs.hardware import Hardware
from spice_engine.runs.metric_feeds import MetricFeeds, metric_file
from spice_engine.runs.metric_watch import MetricWatches
from spice_engine.runs.requests import PYTHON_PATH, SPELL_METRICS
from spice_engine.runs.service import Runs
from spice_engine.store.runs import RunRow
from spice_engine.workers.pool import ChildPool
from spice_engine.workers.runtime_copy import runtime_copy
from spice_runtime.run_metrics import VARIABLE

log = logging.getLogger(__name__)

SPELL_RUN = "SPELL_RUN"
_TOKEN_CHARACTERS = 32
EXPORT_SECONDS = 600.0


class RunMetrics:
    """The service behind the operations on runs' metrics. `open` first, before runs are taken up;
    `close` at the end."""

    def __init__(
        self,
        runs: Runs,
        secret: str,
        base_url: Callable[[], str],
        children: ChildPool | None = None,
    ) -> None:
        """`secret` makes the tokens by which runs may send over HTTP; `base_url` is where to;
        `children` write files."""
        self.runs = runs
        self.feeds = MetricFeeds(runs)
        self.watches = MetricWatches(runs, self.feeds.catch_up)
        self.hardware = Hardware(runs)
        self._secret = secret
        self._base_url = base_url
        self._children = children
        self._runtime: Path | None = None
        runs.variables.append(self._variables)

    async def open(self) -> None:
        """Make what runs import, and begin to look and to measure."""
        try:
            self._runtime = await asyncio.to_thread(runtime_copy, self.runs.location.state)
        except StorageError as error:
            # Runs go on without our module on their path; the disk may be full for now.
            log.warning("runs cannot import spice_runtime: %s", error)
        self.feeds.start()
        self.hardware.start()

    async def close(self) -> None:
        """End it; what runs go on to send is taken in by the next engine."""
        await self.watches.close()
        await self.hardware.close()
        await self.feeds.close()

    async def export(self, number: int, name: str, path: str, form: str) -> int:
        """Write a run's points, or those of one metric, to a file; gives how many.

        Raises:
            StorageError: it cannot be written.
        """
        assert self._children is not None, "nobody is there to write files"
        params = {
            "state": str(self.runs.location.state),
            "run": number,
            "name": name,
            "path": path,
            "format": form,
        }
        answer = await self._children.call("export_metrics", params, deadline=EXPORT_SECONDS)
        return int(answer["points"])

    def _variables(self, row: RunRow) -> dict[str, str]:
        """What a run's processes send their metrics by."""
        found = {
            VARIABLE: str(metric_file(self.runs.folder(row.id), row.attempt)),
            SPELL_RUN: str(row.id),
        }
        address = urlsplit(self._base_url())
        if address.scheme == "http":  # Spell's own module speaks nothing else
            token = run_token(self._secret, row.id)
            found[SPELL_METRICS] = f"{address.netloc}/spell/{token}"
        if self._runtime is not None:
            # At the end of the path: what the user has under these names comes first.
            folders = (self._runtime, self._runtime / "spice_runtime" / "compat")
            found[PYTHON_PATH] = ":".join(map(str, folders))
        return found


def run_token(secret: str, number: int) -> str:
    """What a run shows to send metrics over HTTP."""
    digest = hmac.new(secret.encode(), f"metrics of run {number}".encode(), hashlib.sha256)
    return f"{number}-{digest.hexdigest()[:_TOKEN_CHARACTERS]}"


def run_of_token(secret: str, token: str) -> int | None:
    """The run whose token this is; None if it is nobody's."""
    digits = token.partition("-")[0]
    if not digits.isascii() or not digits.isdecimal() or len(digits) > 18:
        return None
    number = int(digits)
    good = hmac.compare_digest(run_token(secret, number).encode(), token.encode("utf-8", "replace"))
    return number if good else None
