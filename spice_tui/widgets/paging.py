"""Moving by lines and pages with the usual keys, for tables and logs."""

from __future__ import annotations


class Paging:
    """A widget with a cursor; its keys are rows of the table of actions."""

    @property
    def _room(self) -> int:
        """How many lines fit."""
        raise NotImplementedError

    def _move(self, by: int) -> None:
        """Move the cursor down by lines, or up."""
        raise NotImplementedError

    def action_down(self) -> None:
        """To the next line."""
        self._move(1)

    def action_up(self) -> None:
        """To the line before."""
        self._move(-1)

    def action_half_down(self) -> None:
        """Half a page down."""
        self._move(max(1, self._room // 2))

    def action_half_up(self) -> None:
        """Half a page up."""
        self._move(-max(1, self._room // 2))

    def action_next_page(self) -> None:
        """A page down."""
        self._move(self._room)

    def action_last_page(self) -> None:
        """A page up."""
        self._move(-self._room)
