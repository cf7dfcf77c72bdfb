"""What the tests of shims share: a small environment, waiting, and whether a process is gone."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from spice_runtime import process

ENV = {"PATH": "/usr/bin:/bin"}


async def until(condition: Callable[[], bool], seconds: float = 10.0) -> None:
    async with asyncio.timeout(seconds):
        while not condition():  # noqa: ASYNC110 - a process has no event to wait for
            await asyncio.sleep(0.01)


def gone(pid: int) -> bool:
    return process.identity(pid) == ""
