"""The evaluation pane: what a policy is worth, in sample and held out, in bars and sentences."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from spice_tui.models.evaluation_view import evaluation_view, lines
from spice_tui.widgets.scroll_picture import ScrollPicture

if TYPE_CHECKING:
    from spice_tui.models.styled import Line


class EvaluationPane(ScrollPicture):
    """Give it an evaluation's dict by `show`."""

    def __init__(
        self,
        *,
        id: str | None = None,  # noqa: A002
        classes: str | None = None,
    ) -> None:
        super().__init__(id=id, classes=classes)
        self._view = evaluation_view(None)

    def show(self, evaluation: Mapping[str, Any] | None) -> None:
        """Show this evaluation; None: there is none yet."""
        view = evaluation_view(evaluation)
        if view != self._view:
            self._view = view
            self.renew()

    def lines(self, width: int) -> list[Line]:
        """The pane's rows."""
        return lines(self._view, width)
