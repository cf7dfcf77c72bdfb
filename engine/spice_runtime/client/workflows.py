"""Workflows, as a script sees them: the one it is part of, and declared ones."""

# What crosses the door is plain data.
# pyright: reportUnknownVariableType=false, reportUnknownArgumentType=false
# pyright: reportUnknownMemberType=false, reportUnknownLambdaType=false

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from spice_runtime.client.door import Door
from spice_runtime.client.errors import WaitError
from spice_runtime.client.runs import Run


class WorkflowsService:
    """`client.workflows`."""

    def __init__(self, door: Door, within: int | None = None) -> None:
        self._door = door
        self._within = within

    def run(
        self, file: str, params: Mapping[str, Any] | None = None, fresh: bool = False
    ) -> Workflow:
        """Carry out the workflow in a file of the app folder, or of that name in `workflows/`."""
        request = {"file": file, "params": dict(params or {}), "fresh": fresh}
        return self._begun("workflows/run", request)

    def new(self, command: str, **given: Any) -> Workflow:
        """Begin a workflow that a script drives."""
        return self._begun("workflows", {"command": command, **given})

    def _begun(self, path: str, request: dict[str, Any]) -> Workflow:
        """One that is begun; it is a part of the workflow that this process belongs to."""
        return Workflow(self._door, self._door.create(path, {**request, "within": self._within}))

    def get(self, id: int) -> Workflow:  # noqa: A002 - as the other services have it
        """The workflow of that number."""
        return Workflow(self._door, self._door.get(f"workflows/{int(id)}"))

    def list(self, number: int = 50) -> Sequence[Workflow]:
        """The newest workflows, oldest of them first."""
        found = self._door.get("workflows", number=number)["workflows"]
        return [Workflow(self._door, one) for one in found]


class Workflow:
    """One workflow."""

    def __init__(self, door: Door, info: dict[str, Any]) -> None:
        self._door = door
        self._info = info

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_") or name not in self._info:
            raise AttributeError(f"a workflow has no attribute {name!r}")
        return self._info[name]

    def __repr__(self) -> str:
        return f"Workflow(id={self._info['id']}, state={self._info['state']!r})"

    @property
    def managing_run(self) -> Run | None:
        """The run of its script."""
        number = self._info["run"]
        return None if number is None else Run(self._door, self._door.get(f"runs/{number}"))

    @property
    def runs(self) -> list[Run]:
        """The runs it has made so far, but the one of its script."""
        made = f"workflow:{self._info['id']}"
        found = self._door.get("runs", made_by=made, number=1000)["runs"]
        return [Run(self._door, one) for one in found if one["id"] != self._info["run"]]

    def refresh(self) -> None:
        """Take in what it is now."""
        self._info = self._door.get(f"workflows/{self._info['id']}")

    def stop(self) -> None:
        """Stop it and the runs it made."""
        self._change("stop")

    def kill(self) -> None:
        """End it and the runs it made at once."""
        self._change("kill")

    def resume(self) -> None:
        """Go on with what failed, was skipped or stopped."""
        self._change("resume")

    def _change(self, how: str) -> None:
        self._info = self._door.changed(f"workflows/{self._info['id']}", how)

    def wait(self) -> str:
        """The state it ends in.

        Raises:
            WaitError: it did not end well.
        """
        self._info = self._door.post(f"workflows/{self._info['id']}/wait", again=True)
        if self._info["state"] != "complete":
            raise WaitError(
                f"Workflow {self._info['id']} is {self._info['state']}. {self._info['message']}",
                self._info,
            )
        return self._info["state"]
