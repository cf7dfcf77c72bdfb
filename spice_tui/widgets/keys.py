"""Bindings of a widget, made from the table of actions."""

from __future__ import annotations

from textual.binding import Binding, BindingType

from spice_tui.actions import OF_APP, of_context


def bindings(context: str) -> list[BindingType]:
    """Textual's bindings of a context, for a class's `BINDINGS`; ids serve the keymap file."""
    return [
        Binding(
            ",".join(action.keys),
            f"app.do('{action.id}')" if context in OF_APP else action.name,
            action.title,
            show=action.footer,
            priority=action.priority,
            id=action.id,
            tooltip=action.help,
        )
        for action in of_context(context)
        if action.keys
    ]
