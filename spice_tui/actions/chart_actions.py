"""What can be done in a chart, a timeline, a reward stepper, an answer and the lineage."""

from __future__ import annotations

from spice_tui.actions import Action


def _walk(context: str, place: str) -> tuple[Action, ...]:
    """Crosshair and zoom, the same wherever there is an axis."""
    return (
        Action(
            f"{context}.left",
            "Crosshair left",
            f"Move the crosshair to the {place} before.",
            ("h", "left"),
            palette=False,
        ),
        Action(
            f"{context}.right",
            "Crosshair right",
            f"Move the crosshair to the next {place}.",
            ("l", "right"),
            footer=True,
            palette=False,
        ),
        Action(
            f"{context}.jump_left",
            "Jump left",
            "Move the crosshair ten cells to the left.",
            ("H", "shift+left"),
            palette=False,
        ),
        Action(
            f"{context}.jump_right",
            "Jump right",
            "Move the crosshair ten cells to the right.",
            ("L", "shift+right"),
            palette=False,
        ),
        Action(
            f"{context}.zoom_in",
            "Zoom in",
            "See half as much, around the crosshair.",
            ("plus", "equals_sign"),
            footer=True,
        ),
        Action(f"{context}.zoom_out", "Zoom out", "See twice as much.", ("minus",)),
        Action(f"{context}.show_all", "Show all", "See everything, without a crosshair.", ("0",)),
        Action(f"{context}.pick", "Open", f"Open the {place} at the crosshair.", ("enter",)),
    )


CHART: tuple[Action, ...] = (
    *_walk("chart", "point"),
    Action(
        "chart.follow_tail",
        "Follow",
        "Keep new points in sight, or stop doing so.",
        ("f",),
        footer=True,
    ),
    Action("chart.log_scale", "Log scale", "Switch the scale to logarithms and back.", ("g",)),
    Action(
        "chart.next_series",
        "Next series",
        "Choose the next series; it is drawn over the others.",
        ("right_square_bracket",),
        palette=False,
    ),
    Action(
        "chart.previous_series",
        "Previous series",
        "Choose the series before.",
        ("left_square_bracket",),
        palette=False,
    ),
    Action(
        "chart.hide",
        "Hide series",
        "Hide the chosen series or show it again; without a chosen one show all.",
        ("space",),
    ),
    Action(
        "chart.compare",
        "Compare",
        "Show earlier ones beside the current one, or no longer.",
        ("c",),
        footer=True,
    ),
    Action("chart.export", "Export", "Write the chart's points to a file.", ("w",)),
)

TIMELINE: tuple[Action, ...] = (
    *_walk("timeline", "step"),
    Action(
        "timeline.up", "Fields before", "See charts of fields before.", ("k", "up"), palette=False
    ),
    Action(
        "timeline.down",
        "Fields after",
        "See charts of fields after.",
        ("j", "down"),
        palette=False,
    ),
)

STEPPER: tuple[Action, ...] = (
    Action("stepper.before", "Step before", "See the step before.", ("h", "left"), palette=False),
    Action(
        "stepper.next",
        "Next step",
        "See the next step.",
        ("l", "right"),
        footer=True,
        palette=False,
    ),
    Action(
        "stepper.far_before",
        "Ten back",
        "Go ten steps back.",
        ("H", "shift+left"),
        palette=False,
    ),
    Action("stepper.far_next", "Ten on", "Go ten steps on.", ("L", "shift+right"), palette=False),
    Action("stepper.first", "First step", "See the first step.", ("g", "home"), palette=False),
    Action("stepper.last", "Last step", "See the last step.", ("G", "end"), palette=False),
)

POLICY: tuple[Action, ...] = (
    Action(
        "policy.ask",
        "Explain",
        "Have the policy that serves explained, again if it was.",
        ("enter",),
        footer=True,
        palette=False,
    ),
    Action("policy.give_up", "Leave it", "Give the question up.", ("escape",), palette=False),
)

COMPARISON: tuple[Action, ...] = (
    Action(
        "comparison.ask",
        "Compare",
        "Choose versions and algorithms, and compare them.",
        ("enter",),
        footer=True,
        palette=False,
    ),
    Action("comparison.give_up", "Leave it", "Give the question up.", ("escape",), palette=False),
)

LINEAGE: tuple[Action, ...] = (
    Action("lineage.up", "Up", "Move up in the column.", ("k", "up"), palette=False),
    Action("lineage.down", "Down", "Move down in the column.", ("j", "down"), palette=False),
    Action(
        "lineage.left", "To its source", "Move to what it came from.", ("h", "left"), palette=False
    ),
    Action(
        "lineage.right",
        "To what came of it",
        "Move to what came from it.",
        ("l", "right"),
        palette=False,
    ),
    Action("lineage.open", "Open", "Open it in its own view.", ("enter",), footer=True),
)
