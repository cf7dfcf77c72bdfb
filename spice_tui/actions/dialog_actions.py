"""What can be done in the dialogs that follow searches, workflows and workspaces."""

from __future__ import annotations

from spice_tui.actions import Action

DIALOG: tuple[Action, ...] = (
    Action(
        "dialog.next_part",
        "Next part",
        "Go to the next part of the dialog.",
        ("tab",),
        footer=True,
        palette=False,
    ),
    Action("dialog.undo", "Undo", "Take back what was just asked for.", ("u",), palette=False),
    Action(
        "dialog.help",
        "Help",
        "Show the keys that work here.",
        ("question_mark", "f1"),
        footer=True,
        palette=False,
    ),
    Action(
        "dialog.leave", "Leave", "Leave the dialog.", ("escape", "q"), footer=True, palette=False
    ),
)


def _ends(context: str, what: str) -> tuple[Action, ...]:
    return (
        Action(
            f"{context}.stop",
            "Stop",
            f"Stop the {what}; its runs keep their outputs.",
            ("X",),
            footer=True,
            palette=False,
            dangerous=True,
        ),
        Action(
            f"{context}.kill",
            "Kill",
            f"End the {what} and its runs at once.",
            ("K",),
            footer=True,
            palette=False,
            dangerous=True,
        ),
        Action(
            f"{context}.archive",
            "Put away",
            f"Put the {what}, which must be over, out of sight.",
            ("A", "D"),
            footer=True,
            palette=False,
        ),
    )


SEARCH: tuple[Action, ...] = _ends("search", "search")

WORKFLOW: tuple[Action, ...] = (
    Action(
        "workflow.resume",
        "Go on",
        "Carry out what did not succeed, with the folder as it is now.",
        ("R",),
        footer=True,
        palette=False,
    ),
    *_ends("workflow", "workflow"),
)

WORKSPACE: tuple[Action, ...] = (
    Action("workspace.start", "Start", "Start the workspace.", ("a",), footer=True, palette=False),
    Action(
        "workspace.stop",
        "Stop",
        "Stop the workspace; its files stay.",
        ("X",),
        footer=True,
        palette=False,
        dangerous=True,
    ),
    Action(
        "workspace.remove",
        "Remove",
        "Forget the workspace, which must not run.",
        ("D",),
        footer=True,
        palette=False,
        dangerous=True,
    ),
)
