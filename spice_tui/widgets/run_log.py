"""A log of the engine's that is followed while it grows."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from spice_tui.models import clock
from spice_tui.models.coalesce import Coalescer
from spice_tui.models.log_door import EngineLog
from spice_tui.widgets.log_pane import LogPane

if TYPE_CHECKING:
    from spice_tui.app import SpiceApp


class RunLog(LogPane):
    """`follow` names the log: `engine`, `run/12`, `child/trainer-1`; an empty name: none."""

    def __init__(self, app: SpiceApp, *, id: str | None = None) -> None:  # noqa: A002
        super().__init__(clock=clock.now, id=id)
        self._app = app
        self._length = -1
        self._drawing = Coalescer(app.settings.tick, self._grown)
        self.source = ""

    def follow(self, source: str) -> None:
        """Show this log from its end, and what is added."""
        if source == self.source:
            return
        self.stop()
        self.source = source
        self._length = -1
        self.show(None)
        if source:
            self._app.link.follow(topic_of(source), self._told)
            self._app.begin(self._open(source))

    async def _open(self, source: str) -> None:
        await self._app.link.attached.wait()
        if source == self.source and self.is_attached:
            self.show(EngineLog(self._app.link, source))

    def stop(self) -> None:
        """Follow it no longer; what is shown stays."""
        if self.source:
            self._app.link.unfollow(topic_of(self.source), self._told)
        self.source = ""

    def _told(self, data: Mapping[str, Any]) -> None:
        size = data.get("size")
        if isinstance(size, int) and size != self._length:
            self._length = size
            self._drawing.touch()

    def _grown(self) -> None:
        if self.is_attached:
            self.call_later(self.grew, self._length)

    def on_unmount(self) -> None:
        self.stop()
        self._drawing.close()


def topic_of(source: str) -> str:
    """The topic that tells how long a log is."""
    return f"log/{source.removeprefix('run/')}"
