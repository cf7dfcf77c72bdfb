"""What can be done with the engine, and leaving."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from spice_engine.errors import SpiceError
from spice_tui.base import Base, Refused


class EngineDeeds(Base):
    """Actions on the engine itself."""

    start_engine: Callable[[], None] | None

    async def action_engine_start(self) -> None:
        """Start the folder's engine."""
        if self.world.attached:
            raise Refused("an engine runs already.")
        if self.start_engine is None:
            raise Refused("the engine is not of this machine; it cannot be started from here.")
        await asyncio.to_thread(self.start_engine)
        self.link.retry()

    async def action_engine_restart(self) -> None:
        """Put a new engine in the old one's place."""
        await self.ask("engine.restart")
        self.say("The engine is replaced; the screen attaches to the new one by itself.")

    def action_engine_stop(self) -> None:
        """Stop the engine, after a while in which that can be taken back."""

        async def do() -> None:
            await self.ask("engine.stop")

        self.later("the engine stops", do)

    def action_undo(self) -> None:
        """Take back what waits to be done."""
        deed = self.pending.undo()
        self.pending_changed()
        self.say(f"Taken back: {deed.title}." if deed else "Nothing waits to be done.")

    # -- leaving

    def action_detach(self) -> None:
        """Leave; the engine goes on."""
        self.begin(self._leave(stop=False))

    async def action_quit(self) -> None:
        """Leave; ask first when something runs."""
        self.begin(self._quit())

    async def _quit(self) -> None:
        from spice_tui.screens.quit_dialog import QuitDialog

        busy = self.world.busy if self.world.attached and not self.settings.replayed else []
        if not busy:
            await self._leave(stop=False)
            return
        choice = await self.ask_person(QuitDialog(busy))
        if choice in ("leave", "stop"):
            await self._leave(stop=choice == "stop")

    async def _leave(self, *, stop: bool) -> None:
        for deed in self.pending.all():
            try:
                await deed.do()
            except SpiceError as error:  # an engine that is gone must not hold a person here
                self.complain(error)
        if stop:
            await self.ask("engine.stop", runs="stop")
        self.remember()
        self.exit(0)

    def remember(self) -> None:
        """Keep the session for the next start."""
        raise NotImplementedError
