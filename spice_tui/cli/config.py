"""`config`: the settings in force."""

from __future__ import annotations

import typer

from spice_tui.cli import output
from spice_tui.cli.output import Json
from spice_tui.cli.session import session_of


def config(ctx: typer.Context, json: Json = False) -> None:
    """Show all settings: value, where it comes from, and what it means."""
    with session_of(ctx).connect() as client:
        settings = client.call("engine.settings")["settings"]
    if json:
        output.as_json(settings)
        return
    output.table(
        ["NAME", "VALUE", "SOURCE", "MEANING"],
        [
            [item["name"], _text(item["value"]), item["source"], item["meaning"]]
            for item in settings
        ],
    )


def _text(value: object) -> str:
    match value:
        case None:
            return "(not set)"
        case bool():
            return "true" if value else "false"
        case list():
            return ", ".join(str(item) for item in value) or "(none)"
        case "":
            return "(none)"
        case _:
            return str(value)
