"""The tutorial's line: what to do next."""

from __future__ import annotations

from typing import TYPE_CHECKING

from textual.widgets import Static

from spice_tui.models import tutorial

if TYPE_CHECKING:
    from spice_tui.models.world import World


class TutorialBar(Static):
    """There while a tutorial goes on."""

    DEFAULT_CSS = """
    TutorialBar { height: auto; max-height: 2; display: none; padding: 0 1;
                  background: $primary; color: $background; text-style: bold; }
    TutorialBar.-shown { display: block; }
    """

    def __init__(self) -> None:
        super().__init__("", id="tutorial-bar", markup=False)
        self._step = -1
        self._seen = tutorial.Seen()

    @property
    def going_on(self) -> bool:
        """Whether a tutorial goes on."""
        return self._step >= 0

    def begin(self) -> None:
        """Start at the first step."""
        self._step, self._seen = 0, tutorial.Seen()
        self.update(tutorial.text(0))
        self.add_class("-shown")

    def end(self) -> None:
        """Go away."""
        self._step = -1
        self.remove_class("-shown")

    def did(self, action: str, world: World) -> None:
        """A person did something."""
        if not self.going_on:
            return
        if self._step >= len(tutorial.STEPS):
            self.end()
            return
        self._seen = tutorial.Seen(self._seen.did | {action})
        self.show(world)

    def show(self, world: World) -> None:
        """Go on when the step is done."""
        if not self.going_on or self._step >= len(tutorial.STEPS):
            return
        step = tutorial.position(world, self._seen, self._step)
        if step != self._step:
            self._step = step
            self.update(tutorial.text(step))
