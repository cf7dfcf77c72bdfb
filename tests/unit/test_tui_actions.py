"""The table of actions: each can be done, has a name of its own, and says what it does."""

from __future__ import annotations

import inspect
from collections import Counter

import pytest

from spice_tui.actions import OF_APP, Action, table
from spice_tui.app import SpiceApp
from spice_tui.models.command_line import RAW
from spice_tui.screens.following_dialog import FollowingDialog
from spice_tui.screens.help import TITLES
from spice_tui.screens.searches_screen import SearchesScreen
from spice_tui.screens.view import View
from spice_tui.screens.workflows_screen import WorkflowsScreen
from spice_tui.screens.workspaces_screen import WorkspacesScreen
from spice_tui.widgets.about import About
from spice_tui.widgets.asked import ComparisonPane, PolicyPane
from spice_tui.widgets.chart import Chart
from spice_tui.widgets.composer import Composer
from spice_tui.widgets.editor_pane import EditorPane
from spice_tui.widgets.lineage import LineageGraph
from spice_tui.widgets.log_view import LogView
from spice_tui.widgets.manifest_area import ManifestArea
from spice_tui.widgets.manifest_editor import ManifestEditor
from spice_tui.widgets.stepper import RewardStepper
from spice_tui.widgets.table import GridTable
from spice_tui.widgets.timeline import DecisionTimeline

WIDGETS = (
    View,
    GridTable,
    About,
    ManifestEditor,
    EditorPane,
    ManifestArea,
    Chart,
    Composer,
    DecisionTimeline,
    RewardStepper,
    PolicyPane,
    ComparisonPane,
    LineageGraph,
    LogView,
    SearchesScreen,
    WorkflowsScreen,
    WorkspacesScreen,
)
every = pytest.mark.parametrize("action", table().values(), ids=table().keys())


def holders(context: str) -> list[type]:
    if context in OF_APP:
        return [SpiceApp]
    if context == "dialog":
        return [FollowingDialog]
    return [widget for widget in WIDGETS if getattr(widget, "CONTEXT", "") == context]


@every
def test_it_can_be_done(action: Action) -> None:
    found = holders(action.context)
    assert found, f"nothing has the context {action.context}"
    assert any(callable(getattr(one, f"action_{action.name}", None)) for one in found)


@every
def test_it_says_what_it_does(action: Action) -> None:
    assert action.title
    assert action.help.endswith(".")
    assert action.help[0].isupper()
    assert action.context in TITLES


@every
def test_what_it_takes_is_what_its_method_takes(action: Action) -> None:
    """Arguments in brackets may be left out, others are needed."""
    method = next(
        found
        for one in holders(action.context)
        if (found := getattr(one, f"action_{action.name}", None))
    )
    parameters = list(inspect.signature(method).parameters.values())[1:]
    needed = [p for p in parameters if p.default is p.empty and p.kind is not p.VAR_POSITIONAL]
    told = action.arguments.replace(" …]", "]").split() if action.command not in RAW else []
    if action.command in RAW:
        assert len(needed) <= 1
        assert parameters, "the rest of the line goes somewhere"
        return
    if not action.command:
        assert not needed, "a key gives no arguments"
        return
    if not told:
        assert not needed
    wanted = [word for word in told if not word.startswith("[")]
    assert len(needed) <= len(wanted) or "or" in told


def test_each_command_and_title_is_there_once() -> None:
    commands = Counter(action.command for action in table().values() if action.command)
    assert [name for name, count in commands.items() if count > 1] == []
    assert all(" " not in name and name == name.lower() for name in commands)


def test_ids_are_the_keys_of_the_table() -> None:
    assert all(name == action.id for name, action in table().items())
    assert all(name.count(".") == 1 for name in table())
