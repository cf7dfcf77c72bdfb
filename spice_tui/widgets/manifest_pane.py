"""The pane with the chosen pod's manifest."""
from __future__ import annotations
from textual.widgets import Static
from spice_tui.widgets.pane import Pane
class ManifestPane(Pane):
    def __init__(self, app):
        super().__init__("Manifest", Static("editor"), id="manifest")
    def show(self, world): pass
    async def open(self, pod, path): pass
