"""The page on keys and commands, from the table of actions."""

from __future__ import annotations

from collections.abc import Iterator

from spice_tui.actions import Action, table
from spice_tui.models.key_names import key_name
from spice_tui.screens.help import TITLES

INTRODUCTION = """\
# Keys and commands

<!-- Made by docs/generate.py from the table of actions (spice_tui/actions/). -->

Whatever can be done has one row here. The keys work where the focus is, those of *Everywhere* in
every part of the screen; in the editor letters are text, and orders are keys with ctrl, alt or a
function key. `:` opens the line for commands, `ctrl+p` finds any of them by its name, `?` shows
this list for where one is.

Give actions other keys in `~/.config/spice-tui/keys.toml` (or `$XDG_CONFIG_HOME`); it is read again
when it changes:

```toml
[keys]
"pod.train" = "T"
"app.zoom" = ["z", "f11"]
```

`:clashes` tells which keys have two meanings. No key needs ctrl+a or ctrl+b, which screen and tmux
take for themselves.
"""


def _row(action: Action) -> str:
    keys = ", ".join(f"`{key_name(key)}`" for key in action.keys).replace("|", "\\|")
    command = f"`:{action.command} {action.arguments}`".replace(" `", "`") if action.command else ""
    command = command.replace("|", "\\|")
    undo = " Can be taken back for five seconds." if action.dangerous else ""
    return f"| `{action.id}` | {keys} | {command} | {action.help}{undo} |".replace("|  |", "| |")


def _lines() -> Iterator[str]:
    contexts = dict.fromkeys(action.context for action in table().values())
    for context in contexts:
        yield f"## {TITLES.get(context, context.capitalize())}"
        yield ""
        yield "| Action | Keys | Command | What it does |"
        yield "|---|---|---|---|"
        yield from (_row(action) for action in table().values() if action.context == context)
        yield ""


def page() -> str:
    """The page `keys.md`."""
    return "\n".join([INTRODUCTION, *_lines()])
