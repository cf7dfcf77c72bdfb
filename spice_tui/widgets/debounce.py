"""Something that is done once, a while after the last time it was asked for."""

from __future__ import annotations

from collections.abc import Callable

from textual.message_pump import MessagePump
from textual.timer import Timer


class Debounce:
    """Calls `act` `seconds` after the last `again()`; no timer runs while nothing is asked for."""

    def __init__(self, owner: MessagePump, seconds: float, act: Callable[[], None]) -> None:
        self._owner = owner
        self._seconds = seconds
        self._act = act
        self._timer: Timer | None = None

    def again(self) -> None:
        """Ask (again): the wait begins anew."""
        self.stop()
        self._timer = self._owner.set_timer(self._seconds, self._fire)

    def now(self) -> None:
        """Do it at once if it is waiting."""
        if self._timer is not None:
            self.stop()
            self._act()

    def stop(self) -> None:
        """Ask no longer."""
        if self._timer is not None:
            self._timer.stop()
            self._timer = None

    def _fire(self) -> None:
        self._timer = None
        self._act()
