"""A command that is typed by a run: it means the folder of that run, and what it makes is its."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any


def outer_folder() -> Path | None:
    """The app folder of the run this process belongs to, where it is in that run's files."""
    root, files = os.environ.get("SPICE_APP_FOLDER"), _files()
    return Path(root) if root and files is not None else None


def joined(request: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    """The operation that starts a run, and its request: what a run starts is told its parent, and
    joins the workflow that the run is part of."""
    number = os.environ.get("SPICE_RUN_ID", "")
    workflow = os.environ.get("SPICE_WORKFLOW_ID", "")
    files = _files()
    request = {**request, "cwd": folder(request.get("cwd", ""))}
    if number.isdecimal() and files is not None:
        request = {**request, "parent": int(number)}
    if workflow.isdecimal() and not request.get("in_place"):
        return "workflows.start_run", {"id": int(workflow), "run": request}
    return "runs.start", request


def searched(request: dict[str, Any]) -> dict[str, Any]:
    """A search that a run's command begins: its trials are told their parent, and those of a
    workflow get the folder that it has."""
    run, number = request.get("run"), os.environ.get("SPICE_RUN_ID", "")
    request = {**request, **workflow()}
    if run is None or _files() is None:
        return request
    run = {**run, "cwd": folder(run.get("cwd", "")), "parent": int(number)}
    if "within" in request and not run.get("in_place") and not run.get("git"):
        run["code_of"] = int(number)
    return {**request, "run": run}


def folder(cwd: str) -> str:
    """Where a command that a run types is to begin: a folder of the run's copy of the app folder is
    that of the app folder."""
    files = _files()
    if files is None:
        return cwd
    path = Path.cwd() if cwd == os.environ.get("SPICE_APP_FOLDER") else Path(cwd)
    return str(path.relative_to(files)) if path.is_relative_to(files) else cwd


def workflow() -> dict[str, Any]:
    """What a workflow is begun with: the one whose script or step this process is."""
    number = os.environ.get("SPICE_WORKFLOW_ID", "")
    return {"within": int(number)} if number.isdecimal() else {}


def _files() -> Path | None:
    """The copy of the app folder that the run of this process has, where it is in that."""
    state, number = os.environ.get("SPICE_STATE"), os.environ.get("SPICE_RUN_ID", "")
    if not state or not number.isdecimal():
        return None
    files = Path(state) / "runs" / number / "work"
    return files if Path.cwd().is_relative_to(files) else None
