"""The page on tapes: an example, the commands, the settings and what playing one promises."""

from __future__ import annotations

from spice_tui.tape.commands import FORMS, KEYS, SETTINGS

INTRODUCTION = """\
# Tapes

<!-- Made by docs/generate.py from the table of commands (spice_tui/tape/commands.py). -->

A tape is a script of keys for the terminal app. `spice-tui play tour.tape` plays it without a
terminal and compares the screens it takes with those stored in `snapshots/tour/`, beside the
tape; `--update` stores them. Tapes test the app, and make the pictures of these pages. The format
is a subset of [VHS](https://github.com/charmbracelet/vhs)'s, with a few commands of our own.

```
# spice-tui tape 1
Set Engine sample serverops
Set Clock 2026-01-01T00:00:00Z
Mask /[0-9]+ ms/ "N ms"

Wait /serverops/
Type ":train"
Enter
Wait@30s /trained/
Screenshot trained
```

- One command a line; `#` begins a comment. A first line `# spice-tui tape 1` tells the version
  of the format; a newer one is refused.
- Texts stand between `"`, `'` or backquotes, without escapes; patterns between slashes are
  regular expressions of Python, in which `^` and `$` are the ends of lines.
- Times are `500ms`, `2s`, `1m`; a bare number is seconds.
- What stands before the first key prepares the stage: settings, variables, command lines.

## Commands

| Command | What it does |
|---|---|
"""

RULES = """\

## What is the same each time

- All but `live` plays in a folder and with user files of its own: session, keymap and trust are
  as on a new machine. An engine started for a tape gets a free port and is stopped at the end.
- `NO_COLOR`, `COLORTERM`, `TEXTUAL*`, `SPICE_*`, `SSH_*`, `TMUX`, `COLUMNS` and `LINES` are
  cleared, the time zone is UTC, nothing is animated, no cursor blinks, and `Set Clock` stops the
  time that the screen shows. The engine's own times go on: in pictures moments of these days
  become 2026-01-01 12:00:00, and the folder's path `~/` and its name. Mask what else differs.
- After each key all parts of the screen finish what they have to do. What comes from the engine
  later is awaited with `Wait`, not with `Sleep`.
- A screenshot is taken when the screen has not changed for a moment, without notifications; to
  see those, `Wait` for them.
- A masked text takes as many cells as what it covers.

## Snapshots

`NAME.txt` holds the characters, without blanks at the ends of lines; `NAME.svg` is the picture,
and needs no font from elsewhere. When only pictures differ, that is told as such.

## Results

Exit code 0: all went as the tapes say. 1: a screen differs, or a command did not come true; the
difference is shown with its rows and columns, a failed command with its place and the screen
then. 2: a tape cannot be read. Others: `docs/cli.md`.

`--format json` prints a list with one object a tape:
`{"tape", "ok", "steps", "screenshots": [{"name", "status"}], "failed"}`. A status is `same`,
`differs`, `colours` (only the picture differs), `missing`, `left over`, `new` or `updated`;
`failed` is null or `{"file", "line", "column", "message", "screen"}`.
"""


def cell(text: str) -> str:
    """Text for a cell of a Markdown table."""
    return text.replace("|", "\\|")


def page() -> str:
    """The page `tapes.md`."""
    lines = [
        f"| `{cell(form.usage)}` | {cell(form.help)} |"
        for name, form in FORMS.items()
        if name not in KEYS
    ]
    names = ", ".join(f"`{name}`" for name in KEYS)
    lines.insert(1, f"| {names} | Presses the key; `[@PAUSE] [TIMES]` may follow. |")
    lines += ["", "## Settings", "", "| Setting | What it is |", "|---|---|"]
    lines += [f"| `{cell(form.usage)}` | {cell(form.help)} |" for form in SETTINGS.values()]
    return INTRODUCTION + "\n".join(lines) + "\n" + RULES
