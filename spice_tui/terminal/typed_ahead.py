"""Keys typed faster than the program answers wait their turn, so that none goes to the wrong place.

Textual gives a key to the widget that has the focus when the key comes. A key before it that
moves the focus (`:` opens a line, a digit another view) may not have been handled by then, and
what was meant for the line would be done as commands. Here a key is handed on when the one before
it is handled, with all that it caused.
"""

from __future__ import annotations

import asyncio
from collections import deque
from typing import Any

from textual import events
from textual.app import App
from textual.message_pump import MessagePump

_ROUNDS = 3
"""A key may cause a message, which causes another: `enter` in a line, its command, the deed."""

_PATIENCE = 0.25
"""Seconds that a deed of a key, such as opening a view, may hold the keys after it."""

_LOST = 1.0
"""Seconds after which a key counts as handled though nobody said so: its widget is gone."""


class TypedAhead(App[int]):
    """An app that hands on keys and pastes one at a time, in order."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._key_queue = _KeyQueue(self)

    def hold_keys(self, deed: asyncio.Task[Any]) -> None:
        """Keys typed after the one that began this wait for it, if it does not take long."""
        self._key_queue.hold(deed)

    def let_keys_go(self) -> None:
        """What waits now waits for a person: keys are for whatever has the focus."""
        self._key_queue.let_go()

    async def on_event(self, event: events.Event) -> None:
        if isinstance(event, (events.Key, events.Paste)) and not event.is_forwarded:
            await self._key_queue.take(event)
        else:
            await super().on_event(event)

    async def hand_on(self, event: events.Event) -> None:
        """Give a key to whatever has the focus."""
        await super().on_event(event)


class _KeyQueue:
    """Of one app: the key that is being handled, and those behind it."""

    def __init__(self, app: TypedAhead) -> None:
        self._app = app
        self._typed: deque[events.Event] = deque()
        self._turn = 0
        self._in_hand = False
        self._deeds: set[asyncio.Task[Any]] = set()
        self._free = asyncio.Event()
        self._waiting: asyncio.Task[None] | None = None
        self._lost: asyncio.TimerHandle | None = None

    def hold(self, deed: asyncio.Task[Any]) -> None:
        """The key in hand began this."""
        if self._in_hand:
            self._deeds.add(deed)
            deed.add_done_callback(self._deeds.discard)

    def let_go(self) -> None:
        """Wait for no deed of the key in hand."""
        self._deeds.clear()
        self._free.set()

    async def take(self, event: events.Event) -> None:
        """Hand a key on, now or after those before it."""
        if self._in_hand or self._typed:
            self._typed.append(event)
        else:
            await self._hand_on(event)

    async def _hand_on(self, event: events.Event) -> None:
        self._in_hand = True
        self._turn += 1
        self._free.clear()
        first = self._app.focused or self._app.screen
        pumps: list[MessagePump] = list(first.ancestors_with_self)
        await self._app.hand_on(event)
        self._lost = asyncio.get_running_loop().call_later(_LOST, self._handled, self._turn)
        self._follow(self._turn, pumps * _ROUNDS)

    def _follow(self, turn: int, pumps: list[MessagePump]) -> None:
        """Go the way of the event: behind it in the queue of each that it may have reached."""
        for place, pump in enumerate(pumps, 1):
            if pump.call_later(self._follow, turn, pumps[place:]):
                return
        self._handled(turn)

    def _handled(self, turn: int) -> None:
        if turn != self._turn or not self._in_hand:
            return
        self._turn += 1
        if self._lost is not None:
            self._lost.cancel()
        if self._deeds and not self._free.is_set():
            self._waiting = asyncio.ensure_future(self._wait())
        else:
            self._next()

    async def _wait(self) -> None:
        free = asyncio.ensure_future(self._free.wait())
        done = asyncio.gather(*self._deeds, return_exceptions=True)
        await asyncio.wait({free, done}, timeout=_PATIENCE, return_when="FIRST_COMPLETED")
        free.cancel()
        self._next()

    def _next(self) -> None:
        self._deeds.clear()
        self._in_hand = False
        # Behind the changes of focus that are on their way.
        if self._typed and not self._app.call_later(self._go_on):
            self._typed.clear()

    async def _go_on(self) -> None:
        if self._typed and not self._in_hand:
            await self._hand_on(self._typed.popleft())
