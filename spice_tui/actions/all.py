"""All actions, section by section."""

from __future__ import annotations

from spice_tui.actions import Action
from spice_tui.actions.app_actions import APP, VIEW
from spice_tui.actions.chart_actions import (
    CHART,
    COMPARISON,
    LINEAGE,
    POLICY,
    STEPPER,
    TIMELINE,
)
from spice_tui.actions.dialog_actions import DIALOG, SEARCH, WORKFLOW, WORKSPACE
from spice_tui.actions.editor_actions import EDITOR
from spice_tui.actions.log_actions import LOG
from spice_tui.actions.pod_actions import POD, RUN
from spice_tui.actions.server_actions import COMPOSER, MODEL, RESOURCE, SERVER
from spice_tui.actions.table_actions import ABOUT, TABLE

ACTIONS: dict[str, Action] = {
    action.id: action
    for section in (
        APP,
        VIEW,
        POD,
        RUN,
        SERVER,
        MODEL,
        RESOURCE,
        TABLE,
        ABOUT,
        EDITOR,
        COMPOSER,
        CHART,
        TIMELINE,
        STEPPER,
        POLICY,
        COMPARISON,
        LINEAGE,
        LOG,
        SEARCH,
        WORKFLOW,
        WORKSPACE,
        DIALOG,
    )
    for action in section
}
