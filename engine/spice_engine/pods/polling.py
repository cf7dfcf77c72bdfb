"""Feeds that ask and are answered, once or again and again: `http` and `influxdb`."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

from spice_engine.data.connectors.http import HttpSource
from spice_engine.data.connectors.influxdb import InfluxSource
from spice_engine.data.connectors.remote import Request
from spice_engine.errors import SpiceError
from spice_engine.pods.feed_link import Link
from spice_engine.records import record
from spice_engine.units import MAX_TIME, MIN_TIME


@record
class Question:
    """A request, the times [a, b] that its answer is all of, and when to ask again.

    `again` is in seconds; None: not again.
    """

    request: Request
    over: tuple[int, int]
    again: float | None


class Asking(Protocol):
    """What a feed asks, one question after another."""

    def next(self) -> Question:
        """The next question."""
        ...

    def answered(self, question: Question) -> None:
        """The question was answered, and the answer is on disk."""
        ...


class AskingHttp:
    """The same request each time; its answer replaces all that came before."""

    def __init__(self, source: HttpSource) -> None:
        self._question = Question(source.request, (MIN_TIME, MAX_TIME), source.every or None)

    def next(self) -> Question:
        return self._question

    def answered(self, question: Question) -> None:
        """It makes no difference."""


class AskingInflux:
    """A fixed period until it is over; a sliding one from an interval before the last answer.

    `epoch` in unix seconds, or None for a period that slides; `period` and `interval` in seconds.
    """

    def __init__(
        self,
        source: InfluxSource,
        *,
        epoch: int | None,
        period: int,
        interval: int,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._source = source
        self._epoch = epoch
        self._period = period
        self._window = max(1, interval)
        self._clock = clock
        self._last_stop: int | None = None

    def next(self) -> Question:
        now = int(self._clock())
        first = now - self._period if self._epoch is None else self._epoch
        stop = now if self._epoch is None else self._epoch + self._period
        over = self._epoch is not None and stop <= now
        start = first
        if self._last_stop is not None:
            start = max(first, min(self._last_stop, now) - self._window)
        # Begin where a window does: the mean of a part of one would replace that of the whole.
        start -= start % self._window
        stop = max(stop, start + 1)
        # A row bears the end of its window, so the one at `start` belongs to what came before.
        again = None if over or not self._source.every else self._source.every
        return Question(self._source.request(start, stop, self._window), (start + 1, stop), again)

    def answered(self, question: Question) -> None:
        self._last_stop = question.over[1]


async def poll(asking: Asking, link: Link) -> None:
    """Asks until there is nothing more to ask; after failures with growing waits."""
    digest, etag = b"", ""
    while True:
        question = asking.next()
        try:
            answer = await link.fetch(question.request, digest, etag)
            size = 0
            if not answer["unchanged"]:
                size = answer["bytes"]
                await _deliver(link, question, answer["data"], answer["path"])
                # Only now: what could not be kept is to be fetched again.
                digest, etag = answer["digest"], answer["etag"]
        except SpiceError as error:
            link.failed(error)
            await link.back_off()
            continue
        asking.answered(question)
        link.worked(size)
        if question.again is None:
            link.done()
            return
        await asyncio.sleep(question.again)


async def _deliver(link: Link, question: Question, data: bytes | None, path: str) -> None:
    try:
        # No rows at all: InfluxDB answers with a line end then.
        if data is None or data.strip():
            await link.deliver(data, path=path, over=question.over)
    finally:
        if path:
            Path(path).unlink(missing_ok=True)
