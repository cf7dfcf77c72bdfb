"""Packages of all registries and the built-in samples: find one and add it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any, ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Vertical
from textual.widgets import Input, Static

from spice_engine.errors import SpiceError
from spice_engine.protocol.packages import PackageList
from spice_tui.models.rows import PACKAGES, package_rows
from spice_tui.screens.dialog import Dialog
from spice_tui.widgets.table import GridTable
from spice_tui.widgets.table_pane import TablePane

Fetch = Callable[..., Awaitable[Any]]
"""Asks the engine: the class of the answer, the operation, and its parameters."""


class PackagesScreen(Dialog[str]):
    """Answers the name of the package to add."""

    BINDINGS: ClassVar[list[BindingType]] = [("escape", "leave", "Leave")]
    DEFAULT_CSS = """
    PackagesScreen > .frame { width: 90%; max-width: 110; height: 70%; }
    PackagesScreen Input { border: none; height: 1; padding: 0; }
    PackagesScreen Static { height: auto; color: $text-muted; }
    """

    def __init__(self, fetch: Fetch, text: str) -> None:
        super().__init__()
        self._fetch = fetch
        self._input = Input(text, placeholder="words to look for", compact=True)
        self._input.cursor_blink = False
        self._table = TablePane(PACKAGES, empty="No package is called so.")
        self._note = Static("enter searches, then adds the chosen one; esc leaves", markup=False)

    def compose(self) -> ComposeResult:
        with Vertical(classes="frame") as frame:
            frame.border_title = "Packages"
            yield self._input
            yield self._table
            yield self._note

    def on_mount(self) -> None:
        self.run_worker(partial(self._search, self._input.value), exclusive=True)

    async def _search(self, text: str) -> None:
        try:
            found = await self._fetch(PackageList, "packages.search", text=text)
        except SpiceError as error:
            self._note.update(str(error))
            return
        self._table.show(package_rows(found.packages))
        if found.failures:
            self._note.update("\n".join(found.failures))
        if found.packages:
            self._table.table.focus()

    @on(Input.Submitted)
    def _submitted(self, event: Input.Submitted) -> None:
        event.stop()
        self.run_worker(partial(self._search, event.value), exclusive=True)

    @on(GridTable.Chosen)
    def _chosen(self, event: GridTable.Chosen) -> None:
        event.stop()
        self.dismiss(event.key)
