"""Makes the pages of a pod by name; each is imported when it is first wanted."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from spice_tui.app import SpiceApp
    from spice_tui.widgets.pane import Page

PAGES = (
    ("graph", "Rewards"),
    ("timeline", "Timeline"),
    ("stepper", "Steps"),
    ("evaluation", "Evaluation"),
    ("policy", "Policy"),
    ("comparison", "Compare"),
    ("data", "Data"),
    ("notes", "Notes"),
)


def make_page(name: str, app: SpiceApp) -> Page:
    """The page of that name; of a name there is not, the reward graph."""
    match name:
        case "timeline":
            from spice_tui.screens.pages.timeline_page import TimelinePage

            return TimelinePage(app)
        case "stepper":
            from spice_tui.screens.pages.stepper_page import StepperPage

            return StepperPage(app)
        case "evaluation":
            from spice_tui.screens.pages.evaluation_page import EvaluationPage

            return EvaluationPage(app)
        case "policy":
            from spice_tui.screens.pages.policy_page import PolicyPage

            return PolicyPage(app)
        case "comparison":
            from spice_tui.screens.pages.comparison_page import ComparisonPage

            return ComparisonPage(app)
        case "data":
            from spice_tui.screens.pages.data_page import DataPage

            return DataPage(app)
        case "notes":
            from spice_tui.screens.pages.notes_page import NotesPage

            return NotesPage(app)
        case _:
            from spice_tui.screens.pages.graph_page import GraphPage

            return GraphPage(app)
