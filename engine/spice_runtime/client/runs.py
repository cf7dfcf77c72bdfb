"""Runs, as a script sees them."""

# What crosses the door is plain data.
# pyright: reportUnknownVariableType=false, reportUnknownArgumentType=false
# pyright: reportUnknownMemberType=false, reportUnknownLambdaType=false

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from datetime import datetime, timezone
from typing import Any

from spice_runtime.client.copying import brought
from spice_runtime.client.door import Door
from spice_runtime.client.errors import BadRequest, WaitError
from spice_runtime.client.requests import run_request

_STATUSES = {"requested": "user_requested", "queued": "machine_requested"}
"""Spell's names of our states, where they differ."""
NO_PROJECT = "-"
_UTC = timezone.utc  # noqa: UP017 - of every Python
_FIRST_PAUSE, _LONGEST_PAUSE = 0.02, 0.5


class States:
    """The states of runs, and the conditions on metrics."""

    BUILDING = "building"
    MOUNTING = "mounting"
    RUNNING = "running"
    SAVING = "saving"
    PUSHING = "pushing"
    STOPPING = "stopping"
    KILLING = "killing"
    COMPLETE = "complete"
    FAILED = "failed"
    STOPPED = "stopped"
    KILLED = "killed"
    INTERRUPTED = "interrupted"
    BUILD_FAILED = "build_failed"
    MOUNT_FAILED = "mount_failed"
    FINAL = (
        COMPLETE,
        FAILED,
        STOPPED,
        KILLED,
        INTERRUPTED,
        BUILD_FAILED,
        MOUNT_FAILED,
    )
    EQUALS = "eq"
    GREATER_THAN = "gt"
    GREATER_THAN_EQUALS = "gte"
    LESS_THAN = "lt"
    LESS_THAN_EQUALS = "lte"


class LogEntry:
    """A line of a log; `str()` of it is its text."""

    def __init__(self, log: str) -> None:
        self.log = log
        self.status = States.RUNNING
        self.status_event = False
        self.level: str | None = None
        self.important = False

    def __str__(self) -> str:
        return self.log

    def __repr__(self) -> str:
        return f"LogEntry(log={self.log!r})"


class RunsService(States):
    """`client.runs`."""

    def __init__(self, door: Door, workflow: int | None = None, parent: int | None = None) -> None:
        self._door = door
        self.workflow = workflow
        self._parent = parent

    def new(self, **given: Any) -> Run:
        """Start a run. In a workflow it joins that, and runs on its snapshot of the folder, or on
        the code of `commit_label`.

        Raises:
            ClientException: it cannot be started.
        """
        label = given.pop("commit_label", None) or ""
        workflow = given.pop("workflow_id", None) or self.workflow
        request = run_request(given)
        if self._parent is not None:
            request["parent"] = self._parent
        if workflow is not None:
            found = self._door.create(
                f"workflows/{workflow}/runs", {"run": request, "label": label}
            )
            return Run(self._door, found)
        return Run(self._door, self._door.create("runs", request))

    def template(self, given: dict[str, Any]) -> dict[str, Any]:
        """The request of runs that a search makes.

        Raises:
            BadRequest: an argument is unknown, or none of a search.
        """
        if given.pop("commit_label", None):
            raise BadRequest(
                "A search has no argument 'commit_label': its runs have the folder of the run that "
                "asks for it, or the code of github_url."
            )
        request = run_request(given)
        if self._parent is not None:
            request["parent"] = self._parent
            if self.workflow is not None and not {"git", "in_place"} & request.keys():
                request["code_of"] = self._parent
        return request

    def get(self, id: int) -> Run:  # noqa: A002 - Spell's name
        """The run of that number."""
        return Run(self._door, self._door.get(f"runs/{int(id)}"))

    def list(
        self,
        number: int = 50,
        project: str | None = None,
        show_uncategorized: bool = False,
        labels: Sequence[str] = (),
    ) -> Sequence[Run]:
        """The newest runs, oldest of them first: of a project, of none (`show_uncategorized`), of
        both, or all."""
        projects = [] if project is None else [project]
        projects += [NO_PROJECT] if show_uncategorized else []
        found: dict[int, dict[str, Any]] = {}
        for one in projects or [None]:
            asked = {"number": number, "project": one, "labels": [*labels] or None}
            found.update((run["id"], run) for run in self._door.get("runs", **asked)["runs"])
        return [Run(self._door, found[key]) for key in sorted(found)[-number:]]


class Run:
    """One run. What it is known to be changes with `refresh`."""

    def __init__(self, door: Door, info: dict[str, Any]) -> None:
        self._door = door
        self._info = info

    @property
    def run(self) -> Run:
        """Itself: some scripts write `run.run.status`."""
        return self

    @property
    def status(self) -> str:
        """Its state, by Spell's name."""
        state = str(self._info["state"])
        return _STATUSES.get(state, state)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(name)
        maker = _ATTRIBUTES.get(name)
        if maker is not None:
            return maker(self._info)
        if name in self._info:
            return self._info[name]
        raise AttributeError(f"a run has no attribute {name!r}")

    @property
    def environment_vars(self) -> dict[str, str]:
        """The variables it was asked with. They may hold secrets, so no list of runs has them."""
        return dict(self._door.get(self._path("/request"))["env"])

    def __repr__(self) -> str:
        shown = ("id", "status", "user_exit_code", "command", "labels", "description")
        parts = [f"{name}={value!r}" for name in shown if (value := getattr(self, name))]
        return f"Run({', '.join(parts)})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Run) and other._info["id"] == self._info["id"]

    def __hash__(self) -> int:
        return hash(self._info["id"])

    def _path(self, rest: str = "") -> str:
        return f"runs/{self._info['id']}{rest}"

    def refresh(self) -> None:
        """Take in what it is now."""
        self._info = self._door.get(self._path())

    def stop(self) -> None:
        """Have it end; what it made is kept."""
        self._info = self._door.changed(self._path(), "stop")

    def kill(self) -> None:
        """End it at once; what it made is lost."""
        self._info = self._door.changed(self._path(), "kill")

    def add_label(self, label: str) -> None:
        """Add a label."""
        self._info = self._door.post(self._path("/labels"), {"add": [label]}, again=True)

    def remove_label(self, label: str) -> None:
        """Take a label away."""
        self._info = self._door.post(self._path("/labels"), {"remove": [label]}, again=True)

    def wait_status(self, *statuses: Any) -> None:
        """Wait until it has one of these, or has gone through it.

        Raises:
            WaitError: it is over and never had any of them.
        """
        wanted = {status for one in statuses for status in ([one] if isinstance(one, str) else one)}
        pause = _FIRST_PAUSE
        while True:
            self.refresh()
            if self.status in wanted or wanted & self._passed():
                return
            if self.status in States.FINAL:
                raise WaitError(
                    f"Run {self._info['id']} is {self.status} and will not be "
                    f"{' or '.join(sorted(wanted))}.",
                    self._info,
                )
            time.sleep(pause)
            pause = min(1.5 * pause, _LONGEST_PAUSE)

    def _passed(self) -> set[str]:
        """The states it has been in for sure."""
        found: set[str] = set()
        if self._info.get("started") is not None:
            found |= {States.RUNNING, States.BUILDING, States.MOUNTING}
        if self.status in {States.COMPLETE, States.STOPPED}:
            found |= {States.SAVING, States.PUSHING}
        return found

    def wait_metric(self, metric_name: str, condition: str, value: float) -> None:
        """Wait until a point of a metric meets a condition.

        Raises:
            WaitError: the run ends first.
        """
        wanted = {"name": metric_name, "condition": condition, "value": value}
        while True:
            found = self._door.post(self._path("/wait-metric"), wanted, again=True)
            if found["reached"]:
                return
            if found["over"]:
                raise WaitError(found["error"], found)

    def metrics(
        self, metric_name: str, follow: bool = False, start: int | None = None
    ) -> Iterator[tuple[datetime, int, Any]]:
        """Time, index and value of a metric's points, after `start`; with `follow` to its end."""
        after, moment, pause = start, 0.0, _FIRST_PAUSE
        while True:
            over = not follow or self._is_over()
            found = self._door.get(
                self._path("/metric-points"),
                name=metric_name,
                after_index=after,
                after_time=moment if after is not None else None,
            )
            for index, when, value in zip(  # noqa: B905 - strict is of 3.10
                found["indexes"], found["times"], found["values"]
            ):
                after, moment = index, when
                number = float("nan") if value is None else value
                yield datetime.fromtimestamp(when, _UTC), index, number
            if found["indexes"]:
                pause = _FIRST_PAUSE
            elif over:
                return
            else:
                time.sleep(pause)
                pause = min(1.5 * pause, _LONGEST_PAUSE)

    def logs(self, follow: bool = False, offset: int = 0) -> Iterator[LogEntry]:
        """The lines of its log, from line `offset` on; a negative one counts from the end."""
        place, rest, pause, left = 0, "", _FIRST_PAUSE, max(0, offset)
        if offset < 0:
            chunk = self._door.get(self._path("/log"), tail=-offset)
            place, rest = chunk["next"], chunk["text"]
        while True:
            over = not follow or self._is_over()
            chunk = self._door.get(self._path("/log"), offset=place)
            text = rest + chunk["text"]
            *lines, rest = text.split("\n")
            for line in lines:
                if left:
                    left -= 1
                else:
                    yield LogEntry(line)
            if chunk["next"] > place:
                place, pause = chunk["next"], _FIRST_PAUSE
            elif over:
                if rest and not left:
                    yield LogEntry(rest)
                return
            else:
                time.sleep(pause)
                pause = min(1.5 * pause, _LONGEST_PAUSE)

    def _is_over(self) -> bool:
        self.refresh()
        return self.status in States.FINAL

    def cp(self, source_path: str = "", destination_directory: str | None = None) -> None:
        """Copy what it left, or one path of it, to a folder of this machine; default: here."""
        inner = f"/{source_path.strip('/')}" if source_path.strip("/") else ""
        request = {"path": f"runs/{self._info['id']}{inner}"}
        brought(self._door, "resources/copy", request, destination_directory)


def _moment(name: str) -> Any:
    def make(info: dict[str, Any]) -> datetime | None:
        value = info.get(name)
        return None if value is None else datetime.fromtimestamp(value, _UTC)

    return make


def _need(name: str) -> Any:
    return lambda info: list((info.get("dependencies") or {}).get(name) or [])


def _attached(info: dict[str, Any]) -> dict[str, str]:
    return dict(text.rpartition(":")[::2] for text in info.get("mounts", []))


_ATTRIBUTES = {
    "user_exit_code": lambda info: info.get("exit_code"),
    "command": lambda info: " ".join(info["command"]),
    "gpu": lambda info: info.get("machine_type"),
    "git_commit_hash": lambda info: info.get("source", "").rpartition("@")[2] or None,
    "github_url": lambda info: info.get("source", "").rpartition("@")[0] or None,
    "docker_image": lambda info: (info.get("dependencies") or {}).get("image") or None,
    "created_at": _moment("created"),
    "started_at": _moment("started"),
    "ended_at": _moment("ended"),
    "workspace": lambda _: None,
    "pip_packages": _need("pip"),
    "apt_packages": _need("apt"),
    "attached_resources": _attached,
    "already_existed": lambda info: bool(info.get("existed")),
    "hyper_params": lambda info: info.get("params"),
    "resumed_as_run": lambda info: info.get("resumed_as"),
    "resumed_from_run": lambda info: info.get("resumed_from"),
}
