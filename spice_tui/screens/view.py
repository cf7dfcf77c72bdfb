"""What the views 1 to 9 have in common: panes, zoom, sizes, and small terminals."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from textual import events
from textual.binding import BindingType
from textual.containers import Container
from textual.widget import Widget

from spice_tui.widgets.keys import bindings
from spice_tui.widgets.pane import Deck, Pane
from spice_tui.widgets.table_pane import TablePane

if TYPE_CHECKING:
    from spice_tui.models.session import SavedSession
    from spice_tui.models.world import World

NARROW_WIDTH = 100
NARROW_HEIGHT = 28
STEP = 4
"""Cells a pane grows or shrinks by."""


class View(Container):
    """One view. On a terminal too small for all panes it shows the one with the focus."""

    DEFAULT_CSS = """
    View { height: 1fr; width: 1fr; }
    View .-behind { display: none; }
    View .-alone { width: 1fr !important; height: 1fr !important; }
    """

    CONTEXT = "view"
    BINDINGS: ClassVar[list[BindingType]] = bindings("view")

    CONTEXTS: ClassVar[tuple[str, ...]] = ()
    """Contexts of actions that matter in the whole view; `contexts` may give fewer of them."""

    def __init__(self, name: str) -> None:
        super().__init__(id=f"view-{name}", name=name)
        self.zoomed = False
        self.narrow = False
        self._sizes: dict[str, int] = {}

    @property
    def contexts(self) -> tuple[str, ...]:
        """Contexts of actions that matter now, the nearest first."""
        return self.CONTEXTS

    @property
    def has_panes(self) -> bool:
        """Whether its panes are there: made and mounted, and not yet taken away."""
        return self.is_mounted and self.is_attached

    def show(self, world: World) -> None:
        """Show what is new; called for the view on show only, once its panes are there."""

    def opened(self) -> None:
        """The view came on show."""

    # -- panes

    @property
    def panes(self) -> list[Pane]:
        """All panes, in the order of the focus."""
        return list(self.query(Pane))

    @property
    def pane(self) -> Pane | None:
        """The pane with the focus, else the first."""
        panes = self.panes
        return next((p for p in panes if p.has_focus_within), panes[0] if panes else None)

    def go_to(self, pane: Pane) -> None:
        """Give a pane the focus; on a small terminal it takes the others' place."""
        self._show_all()
        pane.focus_inside()
        self._hide_others(pane)

    def step_pane(self, step: int) -> None:
        """Go to the next pane, or the one before."""
        panes = self.panes
        if panes:
            now = self.pane
            self.go_to(panes[(panes.index(now) + step) % len(panes) if now else 0])

    def action_next_pane(self) -> None:
        """Go to the next pane."""
        self.step_pane(1)

    def action_previous_pane(self) -> None:
        """Go to the pane before."""
        self.step_pane(-1)

    def zoom(self) -> None:
        """Let the pane with the focus fill the view, or not."""
        self.zoomed = not self.zoomed
        pane = self.pane
        self._show_all()
        if pane is not None:
            self._hide_others(pane)

    def _hide_others(self, pane: Pane) -> None:
        if not (self.zoomed or self.narrow):
            return
        self._sizes = self.sizes()
        self.set_sizes({})
        node: Widget = pane
        while node is not self and isinstance(node.parent, Widget):
            node.add_class("-alone")
            for other in node.parent.children:
                if other is not node:
                    other.add_class("-behind")
            node = node.parent

    def _show_all(self) -> None:
        self.query(".-behind").remove_class("-behind")
        if self.query(".-alone"):
            self.query(".-alone").remove_class("-alone")
            self.set_sizes(self._sizes)

    def on_resize(self, event: events.Resize) -> None:
        narrow = event.size.width < NARROW_WIDTH or event.size.height < NARROW_HEIGHT
        if narrow != self.narrow:
            self.narrow = narrow
            pane = self.pane
            self._show_all()
            if pane is not None:
                self._hide_others(pane)

    # -- sizes

    def grow(self, by: int) -> None:
        """Make the pane with the focus larger: wider, or in a lower row higher."""
        pane = self.pane
        if pane is None or self.zoomed or self.narrow:
            return
        row = pane.parent
        if isinstance(row, Widget) and row.has_class("lower"):
            height = max(4, min(self.size.height - 8, row.size.height + by // 2))
            row.styles.height = height
        else:
            width = max(12, min(self.size.width - 24, pane.outer_size.width + by))
            pane.styles.width = width

    def pages(self) -> dict[str, str]:
        """The page on top of each deck, by its id."""
        return {deck.id: deck.page for deck in self.query(Deck) if deck.id}

    def tables(self) -> dict[str, TablePane]:
        """The view's tables by the id of their pane."""
        return {f"{pane.id}": table for pane in self.panes for table in pane.query(TablePane)}

    def restore(self, session: SavedSession) -> None:
        """Filters, sorts, sizes and pages as they were left."""
        self.set_sizes(session.sizes)
        for name, table in self.tables().items():
            if text := session.filters.get(name):
                table.table.set_filter(text)
            if order := session.sorts.get(name):
                table.table.sort_by(order.removeprefix("-"), reverse=order.startswith("-"))

    @property
    def sized(self) -> list[Widget]:
        """Parts that may have sizes of their own: panes, and lower rows."""
        return [*self.panes, *self.query(".lower")]

    def sizes(self) -> dict[str, int]:
        """Sizes that differ from those of the style sheet, by id of pane or row."""
        if self.query(".-alone"):
            return self._sizes
        found: dict[str, int] = {}
        for widget in self.sized:
            rules = widget.styles.inline
            rule = rules.height if widget.has_class("lower") else rules.width
            if widget.id and rule is not None and rule.is_cells:
                found[widget.id] = int(rule.value)
        return found

    def set_sizes(self, sizes: dict[str, int]) -> None:
        """Use these sizes; what is not named gets its own again."""
        for widget in self.sized:
            name = "height" if widget.has_class("lower") else "width"
            size = sizes.get(widget.id or "")
            if size is not None:
                setattr(widget.styles, name, size)
            elif widget.styles.inline.has_rule(name):
                widget.styles.inline.clear_rule(name)
                widget.refresh(layout=True)
