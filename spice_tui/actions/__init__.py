"""The one table of actions: keys, footer, help, palette, `:` line, keymap file and docs page.

An action is data. Its id is `context.name`: the context is where it works (`app`, `table`,
`chart` …), the name is the method `action_<name>` of the app or of the widget whose `CONTEXT`
that is. Nothing here imports Textual.
"""

from __future__ import annotations

from spice_engine.records import record

OF_APP = frozenset({"app", "pod", "run", "server", "model", "resource"})
"""Contexts whose actions the app itself does, wherever their keys work."""


@record
class Action:
    """Something a person can do.

    `keys` are Textual's names of keys, the first is the one shown. `command` is its name on the
    `:` line, `arguments` what may follow there. `dangerous` actions can be undone for a while.
    """

    id: str
    title: str
    help: str
    keys: tuple[str, ...] = ()
    command: str = ""
    arguments: str = ""
    footer: bool = False
    palette: bool = True
    dangerous: bool = False
    priority: bool = False

    @property
    def context(self) -> str:
        """Where it works."""
        return self.id.partition(".")[0]

    @property
    def name(self) -> str:
        """The method that does it, without `action_`."""
        return self.id.partition(".")[2]


def table() -> dict[str, Action]:
    """All actions by id, in the order of help and docs."""
    from spice_tui.actions.all import ACTIONS

    return ACTIONS


def of_context(context: str) -> list[Action]:
    """The actions of one context, in order."""
    return [action for action in table().values() if action.context == context]
