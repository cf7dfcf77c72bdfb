"""The Python client: makes runs, searches, models and servers from a script or another run.

    from spice_runtime import client

    spice = client.from_environment()
    run = spice.runs.new(command="python train.py", params={"lr": 0.1})
    run.wait_status(*spice.runs.FINAL)

The names are those of Spell's client, so that scripts written for it work. In a run of ours all
it needs is in the environment; elsewhere it is the engine of the folder around, or the one that
`Client(url, token)` is given. Standard library only.
"""

from __future__ import annotations

import os
from pathlib import Path

from spice_runtime.client.door import PATIENCE, PATIENCE_OF_RUNS, Door
from spice_runtime.client.errors import ClientException, WaitError
from spice_runtime.client.here import engine_around
from spice_runtime.client.models import ModelsService
from spice_runtime.client.resources import ResourcesService
from spice_runtime.client.runs import Run, RunsService
from spice_runtime.client.searches import HyperService
from spice_runtime.client.servers import ServersService
from spice_runtime.client.specs import RangeSpec, ValueSpec
from spice_runtime.client.workflows import Workflow, WorkflowsService

__all__ = [
    "Client",
    "ClientException",
    "RangeSpec",
    "Run",
    "ValueSpec",
    "WaitError",
    "from_environment",
]


class Client:
    """One engine's things. `workflow` is the number of the workflow that runs join, `run` that of
    the run this process is; `state` is the engine's folder, where its address is read again when
    it has moved."""

    def __init__(
        self,
        url: str,
        token: str,
        *,
        owner: str = "local",
        workflow: int | None = None,
        run: int | None = None,
        state: str = "",
    ) -> None:
        ours = workflow is not None or run is not None
        self.api = Door(url, token, state, patience=PATIENCE_OF_RUNS if ours else PATIENCE)
        self.owner = owner
        self.workflow_id = workflow
        self.run_id = run
        self.runs = RunsService(self.api, workflow, run)
        self.hyper = HyperService(self.api, self.runs)
        self.models = ModelsService(self.api)
        self.servers = ServersService(self.api)
        self.resources = ResourcesService(self.api)
        self.workflows = WorkflowsService(self.api, workflow)

    @property
    def active_workflow(self) -> Workflow | None:
        """The workflow that this process belongs to."""
        return None if self.workflow_id is None else self.workflows.get(self.workflow_id)


def from_environment() -> Client:
    """The client of the engine that runs this process, else of the one whose folder it is in.

    Raises:
        ClientException: there is neither.
    """
    url = os.environ.get("SPICE_URL") or os.environ.get("SPELL_BASE_URL", "")
    token = os.environ.get("SPICE_TOKEN") or os.environ.get("SPELL_TOKEN", "")
    state = os.environ.get("SPICE_STATE", "")
    if not url or not token:
        found = engine_around(Path.cwd())
        if found is None:
            raise ClientException(
                "Spell configuration not found: SPICE_URL and SPICE_TOKEN are not set, nor is "
                "this a folder whose engine runs. They are in a run, and in a script that "
                "`spice-tui workflow create --local` starts."
            )
        url, token, state = found
    workflow = os.environ.get("SPICE_WORKFLOW_ID") or os.environ.get("SPELL_WORKFLOW_ID", "")
    return Client(
        url,
        token,
        owner=os.environ.get("SPELL_OWNER", "local"),
        workflow=_number(workflow),
        run=_number(os.environ.get("SPICE_RUN_ID", "")),
        state=state,
    )


def _number(text: str) -> int | None:
    return int(text) if text.isdecimal() else None
