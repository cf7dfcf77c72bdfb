"""What can be done anywhere: views, panes, the `:` line, help, leaving."""

from __future__ import annotations

from spice_tui.actions import Action

VIEWS = (
    ("pods", "Pods", "pods, their manifests, reward graphs and data"),
    ("runs", "Runs", "commands that ran and run"),
    ("trials", "Trials", "training runs, one by one"),
    ("models", "Models", "versions of policies, and their names"),
    ("servers", "Servers", "what answers over HTTP, and live feeds"),
    ("resources", "Resources", "data files, code and packages"),
    ("logs", "Logs", "any log: follow, filter, search"),
    ("metrics", "Metrics", "any series as a chart"),
)
"""Name, title and meaning of the views 1 to 8."""

VIEW: tuple[Action, ...] = (
    Action(
        "view.next_pane",
        "Next pane",
        "Go to the next pane.",
        ("tab", "f6"),
        "next-pane",
        palette=False,
    ),
    Action(
        "view.previous_pane",
        "Previous pane",
        "Go to the pane before.",
        ("shift+tab", "f7"),
        "previous-pane",
        palette=False,
    ),
)

APP: tuple[Action, ...] = (
    Action(
        "app.help",
        "Help",
        "Show the keys that work here.",
        ("question_mark", "f1"),
        "help",
        footer=True,
    ),
    Action(
        "app.palette",
        "Palette",
        "Find any command by its name.",
        ("ctrl+p", "f2"),
        "palette",
        footer=True,
        palette=False,
        priority=True,
    ),
    Action("app.prompt", "Command", "Type a command.", ("colon",), footer=True, palette=False),
    *(
        Action(f"app.view_{name}", title, f"Show {meaning}.", (str(number),), name)
        for number, (name, title, meaning) in enumerate(VIEWS, 1)
    ),
    Action(
        "app.sql",
        "SQL",
        "Ask the store a question; the answer is a table and a chart.",
        ("9",),
        "sql",
        "[SELECT …]",
    ),
    Action(
        "app.lineage", "Lineage", "Show what came from what.", ("x",), "lineage", "[POD or RUN]"
    ),
    Action(
        "app.write",
        "Write to file",
        "Write the table or chart with the focus into a file: CSV, JSON or Parquet.",
        (),
        "write",
        "FILE.csv|json|parquet",
    ),
    Action("app.last_view", "Last view", "Go back to the view before.", ("minus",), "back"),
    Action("app.zoom", "Zoom", "Let the pane fill the screen, or not.", ("z",), "zoom"),
    Action(
        "app.next_page", "Next page", "Turn to the pane's next page.", ("full_stop",), "next-page"
    ),
    Action(
        "app.previous_page",
        "Previous page",
        "Turn to the pane's page before.",
        ("comma",),
        "previous-page",
    ),
    Action("app.wider", "Wider", "Make the pane larger.", ("greater_than_sign",), "wider"),
    Action("app.narrower", "Narrower", "Make the pane smaller.", ("less_than_sign",), "narrower"),
    Action("app.even", "Reset sizes", "Give all panes their own sizes.", (), "reset-sizes"),
    Action(
        "app.jump",
        "Jump",
        "Show a letter on every pane; it takes you there.",
        ("apostrophe", "ctrl+o"),
        "jump",
    ),
    Action("app.undo", "Undo", "Take back what was just asked for.", ("u",), "undo"),
    Action(
        "app.copy_selection",
        "Copy",
        "Copy the text selected with the mouse.",
        ("ctrl+c",),
        palette=False,
    ),
    Action("app.redraw", "Redraw", "Draw the whole screen again.", ("ctrl+l",), "redraw"),
    Action(
        "app.theme", "Theme", "Use another theme; without a name, the next.", (), "theme", "NAME"
    ),
    Action(
        "app.tutorial",
        "Tutorial",
        "Begin with a sample pod, step by step.",
        (),
        "tutorial",
        "[off]",
    ),
    Action(
        "app.report",
        "Bug report",
        "Write a report to send: recording, versions, findings; no secrets.",
        ("f12",),
        "report",
    ),
    Action("app.clashes", "Key clashes", "Tell which keys have two meanings.", (), "clashes"),
    Action("app.log", "Engine log", "Follow the engine's own log.", (), "log", "[RUN]"),
    Action(
        "app.engine_start",
        "Start engine",
        "Start the folder's engine when it is gone.",
        ("E",),
        "start-engine",
    ),
    Action(
        "app.engine_restart",
        "Restart engine",
        "Put a new engine in the old one's place; runs go on.",
        (),
        "restart-engine",
    ),
    Action(
        "app.engine_stop",
        "Stop engine",
        "Stop the engine; runs go on unless you stop them.",
        (),
        "stop-engine",
        dangerous=True,
    ),
    Action("app.detach", "Detach", "Leave; the engine and all it does go on.", (), "detach"),
    Action(
        "app.quit",
        "Quit",
        "Leave; asks first when something runs.",
        ("q", "ctrl+q"),
        "quit",
        footer=True,
        priority=False,
    ),
)
