"""A line that is there only while something is wrong with the engine."""

from __future__ import annotations

from typing import TYPE_CHECKING

from textual.widgets import Static

from spice_tui.theme.symbols import symbols

if TYPE_CHECKING:
    from spice_tui.models.world import World


class Banner(Static):
    """Tells that the engine is gone, and that it is tried again."""

    DEFAULT_CSS = """
    Banner { height: auto; max-height: 2; display: none; padding: 0 1; background: $warning;
             color: $background; text-style: bold; }
    Banner.-shown { display: block; }
    """

    def __init__(self) -> None:
        super().__init__("", id="banner", markup=False)
        self._text = ""

    def show(self, world: World) -> None:
        """Appear or go, as the connection does."""
        connection = world.connection
        text = ""
        if connection.state == "refused":
            text = f"{symbols().failed} {connection.message}"
        elif connection.state == "lost":
            tries = f" ({connection.attempts} tries so far)" if connection.attempts else ""
            why = connection.message or "No engine answers."
            text = (
                f"{symbols().warning} What is shown is as it was: {why.rstrip('.')}; "
                f"trying again{tries}. E starts an engine."
            )
        if text != self._text:
            self._text = text
            self.update(text)
            self.set_class(bool(text), "-shown")
