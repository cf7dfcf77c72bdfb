"""Things that are done a little later, so that they can still be taken back."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from spice_engine.records import record

GRACE_SECONDS = 5.0

Do = Callable[[], Awaitable[None]]


@record
class Deed:
    """Something that will be done at `due` (monotonic seconds) unless it is taken back."""

    title: str
    due: float
    do: Do


class Pending:
    """Deeds that wait, oldest first. The caller keeps the time."""

    def __init__(self) -> None:
        self._deeds: list[Deed] = []

    def __len__(self) -> int:
        return len(self._deeds)

    def add(self, deed: Deed) -> None:
        """Let it wait."""
        self._deeds.append(deed)

    def undo(self) -> Deed | None:
        """Take the newest back; it is not done."""
        return self._deeds.pop() if self._deeds else None

    def due(self, now: float) -> list[Deed]:
        """Those whose time has come; they wait no longer."""
        ready = [deed for deed in self._deeds if deed.due <= now]
        self._deeds = [deed for deed in self._deeds if deed.due > now]
        return ready

    def all(self) -> list[Deed]:
        """All that still wait, which then wait no longer: the screen is about to close."""
        deeds, self._deeds = self._deeds, []
        return deeds

    @property
    def newest(self) -> Deed | None:
        """The one that would be taken back."""
        return self._deeds[-1] if self._deeds else None

    @property
    def next_due(self) -> float | None:
        """When the next one is due."""
        return min((deed.due for deed in self._deeds), default=None)
