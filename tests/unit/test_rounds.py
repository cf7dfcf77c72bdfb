"""Rounds: none while nobody needs one, and an end in the middle of one."""

from __future__ import annotations

import asyncio

from spice_engine.runs.rounds import Rounds


async def test_rounds_are_gone_while_they_are_needed_and_end_at_once() -> None:
    left, gone, ended = 0, 0, False
    twice, waits = asyncio.Event(), asyncio.Event()

    async def work() -> None:
        nonlocal left, gone, ended
        left, gone = left - 1, gone + 1
        if gone == 2:
            twice.set()
        if gone == 3:
            try:
                waits.set()
                await asyncio.Event().wait()
            finally:
                ended = True

    rounds = Rounds("a test", work, seconds=lambda: 0.0, needed=lambda: left > 0)
    await rounds.close()  # it had not begun
    rounds.start()
    for _ in range(10):
        await asyncio.sleep(0)
    assert gone == 0
    left = 2
    rounds.wake()
    await twice.wait()
    for _ in range(10):
        await asyncio.sleep(0)
    assert gone == 2
    left = 1
    rounds.wake()
    await waits.wait()
    await rounds.close()
    assert ended
