"""The terminal app on a tape's stage."""

from __future__ import annotations

from typing import Any

from textual.app import App

from spice_tui.app import SpiceApp
from spice_tui.models.app_settings import AppSettings
from spice_tui.tape.settings_line import TapeSettings
from spice_tui.tape.stage import Stage


def make_app(stage: Stage, settings: TapeSettings) -> App[Any]:
    """The app as a person would start it there; only a folder of its own is written to."""
    return SpiceApp(
        AppSettings(
            stage.name,
            stage.location.key,
            None if stage.replayed else stage.location.root,
            remember=stage.temporary,
            theme=settings.theme,
            notify=False,
            replayed=stage.replayed,
        ),
        stage.connect,
        start_engine=None if stage.replayed else stage.start_engine,
    )
