"""One live feed's ties to the engine: fetching, handing over, its status, and how it waits."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal, Protocol

from spice_engine.data.connectors.remote import Request
from spice_engine.errors import Overloaded, Place, SpiceError, StorageError
from spice_engine.pods.observation_body import Body
from spice_engine.protocol.pods import Observed
from spice_engine.records import record

_FETCH_SLACK_SECONDS = 120.0


class Accepting(Protocol):
    """Where data go: the store of observations."""

    async def accept(self, pod: str, body: Body) -> Observed:
        """Takes in a payload."""
        ...


class Fetching(Protocol):
    """Who asks: a `ChildPool` of fetchers."""

    async def call(
        self, method: str, params: Mapping[str, Any], *, deadline: float | None = None
    ) -> Any:
        """Has one of them call a method."""
        ...


@record
class Pace:
    """Seconds: after failures a feed waits `first`, then twice as long each time, up to `longest`.

    Each wait is shortened by chance, by up to half, so that feeds do not come back all at once.
    """

    first: float = 1.0
    longest: float = 60.0
    batch: float = 0.25

    def wait(self, failures: int) -> float:
        """How long to wait after so many failures in a row."""
        longest = min(self.longest, self.first * 2.0 ** min(failures - 1, 30))
        return longest * random.uniform(0.5, 1.0)


@dataclass(slots=True)
class FeedStatus:
    """How one feed of a dataspace does. Times in unix seconds, None where there was none yet.

    `failures` counts those in a row; `rows` and `bytes` what came since the engine began.
    `last_error` stays after it was overcome; `failures` says whether it was.
    """

    dataspace: str
    role: Literal["data", "seed"]
    connector: str
    place: Place
    state: Literal["starting", "running", "failing", "done", "invalid"] = "starting"
    last_ok: float | None = None
    last_error: str = ""
    last_error_at: float | None = None
    failures: int = 0
    rows: int = 0
    bad_rows: int = 0
    bytes: int = 0


class Link:
    """What a feed's task works with. `template` is the body of its payloads, without data."""

    def __init__(
        self,
        pod: str,
        template: Body,
        status: FeedStatus,
        *,
        store: Accepting,
        fetchers: Fetching,
        folder: Path,
        pace: Pace,
        on_change: Callable[[str], object],
    ) -> None:
        self.pod = pod
        self.template = template
        self.status = status
        self.pace = pace
        self._store = store
        self._fetchers = fetchers
        self._folder = folder
        self._on_change = on_change

    async def fetch(self, request: Request, digest: bytes, etag: str) -> Mapping[str, Any]:
        """What a request is answered; see `spice_engine.data.fetcher.fetch`.

        Raises:
            FeedFailed: nobody answers, or not with data.
            SpiceError: there is no fetcher.
        """
        return await self._fetchers.call(
            "fetch",
            {
                "request": request.as_dict(),
                "folder": str(self._folder),
                "digest": digest,
                "etag": etag,
            },
            # The fetcher keeps to the timeout itself; this is for the wait for a free one.
            deadline=request.timeout + _FETCH_SLACK_SECONDS,
        )

    async def deliver(
        self, data: bytes | None, *, path: str = "", over: tuple[int, int] | None = None
    ) -> Observed:
        """Hands a payload over, as often as it takes while the store is full or overloaded.

        Raises:
            SpiceError: the payload cannot be read.
        """
        body = replace(self.template, data=data, path=path, replace=over)
        while True:
            try:
                observed = await self._store.accept(self.pod, body)
            except (Overloaded, StorageError) as error:
                self.failed(error)
                await self.back_off()
            else:
                self.status.rows += observed.rows
                self.status.bad_rows += observed.bad_rows
                return observed

    def worked(self, size: int = 0) -> None:
        """Data came, or there were none to come."""
        status = self.status
        news = status.state != "running"
        status.state, status.failures = "running", 0
        status.last_ok = time.time()
        status.bytes += size
        if news:
            self._on_change(self.pod)

    def connected(self) -> None:
        """There is a connection. The failures count on until data come over it."""
        self.status.state = "running"
        self._on_change(self.pod)

    def failed(self, error: SpiceError) -> None:
        """Something went wrong; the feed goes on after `back_off`."""
        self.status.failures += 1
        self.status.state = "failing"
        self.complain(str(error))

    def complain(self, text: str) -> None:
        """Notes an error over which the feed does not stop."""
        news = text != self.status.last_error
        self.status.last_error = text
        self.status.last_error_at = time.time()
        if news or self.status.failures == 1:
            self._on_change(self.pod)

    def done(self) -> None:
        """The feed has had what it was to have."""
        self.status.state = "done"
        self._on_change(self.pod)

    async def back_off(self) -> None:
        """Waits as long as the failures so far call for."""
        await asyncio.sleep(self.pace.wait(max(1, self.status.failures)))
