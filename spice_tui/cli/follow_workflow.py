"""Follows a declared workflow to its end, also over a restart of the engine."""

from __future__ import annotations

import time
from typing import Any

from spice_tui.cli import output
from spice_tui.cli.following import FollowingClient, Patience, followed
from spice_tui.cli.session import Session
from spice_tui.cli.workflow_text import OVER, step_line

MANY_STEPS = 20
LOOK_SECONDS = 0.1


class WorkflowFollower:
    """Prints each step's new state; `quiet`: only waits."""

    def __init__(self, session: Session, number: int, *, quiet: bool = False) -> None:
        self._session = session
        self._number = number
        self._quiet = quiet
        self._patience = Patience()
        self._told: dict[str, tuple[str, Any]] = {}

    def follow(self, client: FollowingClient | None) -> dict[str, Any]:
        """The workflow as it ended.

        Raises:
            SpiceError: there is no such workflow, or the engine stays away.
        """
        return followed(
            self._session,
            client,
            self._patience,
            self._until_end,
            what=f"workflow {self._number}",
            hint=f"See how far it is: spice-tui workflow describe {self._number}.",
        )

    def _until_end(self, client: FollowingClient) -> dict[str, Any]:
        client.subscribe("workflows")
        while True:
            found = client.call("workflows.get", {"id": self._number})
            self._patience.renewed()
            self._tell(found["steps"])
            if found["state"] in OVER:
                return found
            client.next_event()
            self._patience.renewed()
            if len(found["steps"]) > MANY_STEPS:
                # Each look gets all of them, and many change at once.
                time.sleep(LOOK_SECONDS)
            client.forget()

    def _tell(self, steps: list[dict[str, Any]]) -> None:
        for step in steps:
            now = (step["state"], step["run"])
            if self._told.get(step["key"]) == now or step["state"] in {"waiting", "starting"}:
                continue
            self._told[step["key"]] = now
            if not self._quiet:
                output.line(step_line(step))
                output.flush()
