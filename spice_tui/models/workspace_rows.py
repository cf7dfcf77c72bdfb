"""Workspaces as rows of a table."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from spice_tui.models.columns import Column, Row

if TYPE_CHECKING:
    from spice_engine.protocol.workspaces import WorkspaceInfo

WORKSPACES = (
    Column("state", "state", "state", least=8, most=10, importance=8),
    Column("name", "workspace", least=9, most=24, importance=9),
    Column("address", "address", least=12, most=40, importance=7),
    Column("kernels", "kernels", "number", least=7, most=7, importance=5),
    Column("used", "last used", "time", least=9, most=12, importance=6),
    Column("run", "run", "number", least=4, most=8, importance=4),
    Column("message", "message", weight=1, least=8, most=80, importance=3, optional=True),
)
RUNNING = frozenset({"starting", "ready", "silent"})
"""States of one whose server runs."""


def workspace_rows(found: Iterable[WorkspaceInfo]) -> list[Row]:
    """One row a workspace, in their order."""
    return [
        Row(
            one.name,
            {
                "state": one.state,
                "name": one.name,
                "address": one.address if one.state in RUNNING else "",
                "kernels": one.kernels if one.state in RUNNING else None,
                "used": one.last_activity or one.ended,
                "run": one.run,
                "message": one.message,
            },
        )
        for one in found
    ]
