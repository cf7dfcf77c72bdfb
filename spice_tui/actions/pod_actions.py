"""What can be done with the chosen pod; `POD` may name another on the `:` line."""

from __future__ import annotations

from spice_tui.actions import Action

POD: tuple[Action, ...] = (
    Action("pod.edit", "Edit", "Edit the pod's manifest.", ("e",), "edit", "[POD]", footer=True),
    Action(
        "pod.train", "Train", "Train the pod.", ("t",), "train", "[POD] [EPISODES]", footer=True
    ),
    Action(
        "pod.recommend",
        "Recommend",
        "Ask the pod what to do now, and why.",
        ("r",),
        "recommend",
        "[POD] [TIME]",
        footer=True,
    ),
    Action("pod.new", "New pod", "Write a pod from nothing.", ("n",), "new", "NAME"),
    Action("pod.graph", "Reward graph", "Show how its trainings went.", (), "graph", "[POD]"),
    Action(
        "pod.timeline",
        "Timeline",
        "Show its data with the actions it takes.",
        ("T",),
        "timeline",
        "[POD]",
    ),
    Action(
        "pod.stepper",
        "Stepper",
        "Walk through time: states, rewards, and the line that gave them.",
        ("W",),
        "stepper",
        "[POD] [ROW]",
    ),
    Action("pod.evaluation", "Evaluation", "Show how good it is.", ("v",), "evaluation", "[POD]"),
    Action(
        "pod.explain_policy",
        "Explain policy",
        "Explain what its policy does when, and what it looks at.",
        ("P",),
        "explain-policy",
        "[POD] [VERSION]",
    ),
    Action(
        "pod.compare_policies",
        "Compare policies",
        "Tell which of some versions or algorithms is better.",
        ("B",),
        "compare-policies",
        "[POLICY …]",
    ),
    Action("pod.observations", "Data", "Show its rows.", ("o",), "observations", "[POD]"),
    Action(
        "pod.interpretations",
        "Interpretations",
        "Show what was said about its data.",
        ("i",),
        "interpretations",
        "[POD]",
    ),
    Action(
        "pod.interpret",
        "Interpret",
        "Say something about a stretch of its data.",
        (),
        "interpret",
        "START END NAME [TAGS …]",
    ),
    Action("pod.observe", "Observe", "Give it rows from a file.", (), "observe", "FILE"),
    Action("pod.test", "Test rewards", "Run its reward tests.", (), "test", "[POD]"),
    Action(
        "pod.rollback",
        "Roll back",
        "Serve an earlier version.",
        (),
        "rollback",
        "VERSION",
        dangerous=True,
    ),
    Action("pod.alias", "Alias", "Name a version.", (), "alias", "NAME VERSION"),
    Action("pod.export", "Export", "Write it into a file.", (), "export", "[FILE]"),
    Action("pod.import_pod", "Import", "Take a pod in from a file.", (), "import", "FILE"),
    Action("pod.packages", "Packages", "Find packages and add them.", ("p",), "packages", "[TEXT]"),
    Action("pod.add", "Add", "Add a package or a sample.", (), "add", "REFERENCE"),
    Action("pod.trust", "Trust", "Let code of this folder run.", (), "trust"),
    Action("pod.serve_pod", "Serve", "Stand up a server of its policy.", ("V",)),
    Action("pod.curl", "Copy curl", "Copy the command that asks it.", ("y",), "curl", "[POD]"),
    Action("pod.goto", "Go to pod", "Choose a pod by its name.", (), "goto", "POD"),
)

RUN: tuple[Action, ...] = (
    Action("run.start", "Run", "Run a command.", (), "run", "COMMAND"),
    Action("run.rerun", "Run again", "Run the chosen run's command again.", ("a",), "rerun"),
    Action("run.show_log", "Log", "Show its log.", ("L",), footer=True),
    Action("run.show_metrics", "Metrics", "Show its metrics.", ("m",), footer=True),
    Action(
        "run.stop", "Stop", "Ask it to end.", ("X",), "stop", "[RUN]", footer=True, dangerous=True
    ),
    Action("run.kill", "Kill", "End it at once.", ("K",), "kill", "[RUN]", dangerous=True),
    Action("run.label", "Label", "Add a label to it.", (), "label", "LABEL"),
    Action(
        "run.workspaces",
        "Workspaces",
        "Show the notebook servers, to start, stop and open them; with a name, start that one.",
        ("W",),
        "workspaces",
        "[NAME]",
    ),
    Action(
        "run.workflows",
        "Workflows",
        "Show the workflows and their graphs; with a file, carry its steps out.",
        ("F",),
        "workflows",
        "[FILE]",
    ),
    Action(
        "run.searches",
        "Searches",
        "Show the searches over parameters, their trials and what matters.",
        ("H",),
        "searches",
        "[SEARCH]",
    ),
    Action("run.model_of_run", "Create model", "Make a model of its outputs.", ("M",)),
    Action("run.serve_run", "Serve", "Make a model of its outputs and serve that.", ("V",)),
)
