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
        self._typed: deque[events.Event] = deque()
        self._turn = 0
        self._in_hand = False
        self._holding: set[asyncio.Task[Any]] = set()
        self._let_go = asyncio.Event()
        self._waiting: asyncio.Task[None] | None = None
        self._lost: asyncio.TimerHandle | None = None

    def hold_keys(self, deed: asyncio.Task[Any]) -> None:
        """Keys typed after the one that began this wait for it, if it does not take long."""
        if self._in_hand:
            self._holding.add(deed)
            deed.add_done_callback(self._holding.discard)

    def let_keys_go(self) -> None:
        """What waits now waits for a person: keys are for whatever has the focus."""
        self._holding.clear()
        self._let_go.set()

    async def on_event(self, event: events.Event) -> None:
        if not isinstance(event, (events.Key, events.Paste)) or event.is_forwarded:
            await super().on_event(event)
        elif self._in_hand or self._typed:
            self._typed.append(event)
        else:
            await self._hand_on(event)

    async def _hand_on(self, event: events.Event) -> None:
        self._in_hand = True
        self._turn += 1
        self._let_go.clear()
        pumps: list[MessagePump] = list((self.focused or self.screen).ancestors_with_self)
        await super().on_event(event)
        loop = asyncio.get_running_loop()
        self._lost = loop.call_later(_LOST, self._handled, self._turn)
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
        if self._holding and not self._let_go.is_set():
            self._waiting = asyncio.ensure_future(self._wait())
        else:
            self._next()

    async def _wait(self) -> None:
        gone = asyncio.ensure_future(self._let_go.wait())
        done = asyncio.gather(*self._holding, return_exceptions=True)
        await asyncio.wait({gone, done}, timeout=_PATIENCE, return_when="FIRST_COMPLETED")
        gone.cancel()
        self._next()

    def _next(self) -> None:
        self._holding.clear()
        self._in_hand = False
        # Behind the changes of focus that are on their way.
        if self._typed and not self.call_later(self._go_on):
            self._typed.clear()

    async def _go_on(self) -> None:
        if self._typed and not self._in_hand:
            await self._hand_on(self._typed.popleft())
