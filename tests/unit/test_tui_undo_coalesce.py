"""Deeds that can be taken back for a while, and many changes that make few drawings."""

from __future__ import annotations

import asyncio
import gc

from spice_tui.models.coalesce import Coalescer
from spice_tui.models.undo import Deed, Pending


async def nothing() -> None:
    """A deed without effect."""


def deed(title: str, due: float) -> Deed:
    return Deed(title, due, nothing)


def test_a_deed_is_due_when_its_time_has_come() -> None:
    pending = Pending()
    pending.add(deed("first", 5.0))
    pending.add(deed("second", 6.0))
    assert pending.next_due == 5.0
    assert pending.due(4.9) == []
    assert [one.title for one in pending.due(5.0)] == ["first"]
    assert pending.due(5.0) == [], "it is done once"
    assert len(pending) == 1


def test_the_newest_is_taken_back_first() -> None:
    pending = Pending()
    pending.add(deed("first", 5.0))
    pending.add(deed("second", 6.0))
    assert [one.title for one in (pending.undo(), pending.undo()) if one] == ["second", "first"]
    assert pending.undo() is None
    assert pending.due(100.0) == []
    assert pending.next_due is None


def test_all_are_done_when_the_screen_closes() -> None:
    pending = Pending()
    pending.add(deed("first", 5.0))
    pending.add(deed("second", 6.0))
    assert [one.title for one in pending.all()] == ["first", "second"]
    assert not pending


class Drawn:
    """Counts drawings, and waits for them."""

    def __init__(self) -> None:
        self.times: list[float] = []
        self.again = asyncio.Event()

    def __call__(self) -> None:
        self.times.append(asyncio.get_running_loop().time())
        self.again.set()

    async def next(self) -> None:
        await asyncio.wait_for(self.again.wait(), 5)
        self.again.clear()


async def test_many_changes_make_two_drawings() -> None:
    drawn = Drawn()
    coalescer = Coalescer(0.05, drawn)
    for _ in range(100):
        coalescer.touch()
    await drawn.next()
    for _ in range(100):
        coalescer.touch()
    await drawn.next()
    first, second = drawn.times
    assert second - first >= 0.05 - 1e-3, "never more often than asked for"


async def test_the_first_change_after_quiet_is_drawn_at_once() -> None:
    drawn = Drawn()
    loop = asyncio.get_running_loop()
    coalescer = Coalescer(60.0, drawn)
    coalescer._last = loop.time() - 61.0
    coalescer.touch()
    await drawn.next()
    assert len(drawn.times) == 1


async def test_nothing_is_drawn_after_the_end() -> None:
    drawn = Drawn()
    coalescer = Coalescer(0.0, drawn)
    coalescer.touch()
    coalescer.close()
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    gc.collect()
    assert drawn.times == []
