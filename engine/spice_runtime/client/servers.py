"""Model servers, as a script sees them."""

# What crosses the door is plain data.
# pyright: reportUnknownVariableType=false, reportUnknownArgumentType=false
# pyright: reportUnknownMemberType=false, reportUnknownLambdaType=false

from __future__ import annotations

import base64
import json
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from spice_runtime.client.door import Door
from spice_runtime.client.errors import BadRequest, WaitError
from spice_runtime.client.requests import FILES, text_of
from spice_runtime.client.runs import LogEntry
from spice_runtime.client.server_logs import lines, pod_number

_PLAIN = ("classname", "config", "env", "node_group", "debug", "description", "name")
_RENAMED = {"github_url": "git", "github_ref": "git_ref", "commit_ref": "git_ref"}
_SCALING = {
    "min_pods": "min_pods",
    "max_pods": "max_pods",
    "target_cpu_utilization": "cpu_utilization",
    "target_requests_per_second": "requests_per_second",
}
_LIMITS = {"cpu_request": "cpu_request", "cpu_limit": "cpu_limit", "gpu_limit": "gpus"}
_BATCHING = {
    "enable_batching": "enabled",
    "max_batch_size": "max_size",
    "request_timeout": "wait_ms",
}
_NEEDS = {"pip_packages": "pip", "apt_packages": "apt", "python": "python", "setup": "setup"}


class ServersService:
    """`client.servers`."""

    RUNNING = "running"
    STOPPED = "stopped"
    FAILED = "failed"

    def __init__(self, door: Door) -> None:
        self._door = door

    def serve(
        self,
        entrypoint: str,
        github_url: str | None = None,
        models: Sequence[str] = (),
        **given: Any,
    ) -> ModelServer:
        """Stand a server up; without a `name` it has that of its model. Its code is that of
        `github_url`, or of the app folder as it is."""
        found = [str(model) for model in models]
        given["github_url"] = github_url
        given.setdefault("name", found[0].partition(":")[0] if found else "")
        definition = {**definition_of(given), "entrypoint": entrypoint, "models": found}
        return ModelServer(self._door, self._door.create("servers", {"definition": definition}))

    def get(self, name: str) -> ModelServer:
        """The server of that name."""
        return ModelServer(self._door, self._door.get(f"servers/{name}")["info"])

    def list(self) -> Sequence[ModelServer]:
        """All servers."""
        return [ModelServer(self._door, one) for one in self._door.get("servers")["servers"]]

    def rm(self, name: str, force: bool = False) -> None:
        """Remove a server that is stopped; `force` stops it first."""
        self._door.delete(f"servers/{name}", force=str(force).lower())


def definition_of(given: Mapping[str, Any]) -> dict[str, Any]:
    """The fields of a server's definition that arguments name.

    Raises:
        BadRequest: one is unknown, or a file cannot be read.
    """
    found: dict[str, Any] = {}
    for name, value in given.items():
        if value is None:
            continue
        for group, names in (
            ("scaling", _SCALING),
            ("limits", _LIMITS),
            ("batching", _BATCHING),
            ("dependencies", _NEEDS),
        ):
            if name in names:
                found.setdefault(group, {})[names[name]] = value
                break
        else:
            _plain(found, name, value)
    if {"max_size", "wait_ms"} & found.get("batching", {}).keys():
        found["batching"].setdefault("enabled", True)
    return found


def _plain(found: dict[str, Any], name: str, value: Any) -> None:
    if name in _PLAIN:
        found[name] = value
    elif name in {"envvars", "environment_vars"}:
        found["env"] = value
    elif name == "attached_resources":
        found["mounts"] = dict(value)
    elif name == "num_processes":
        found["num_processes"] = int(value)
    elif name in {"ram_request", "ram_limit"}:
        field = name.replace("ram", "memory")
        found.setdefault("limits", {})[field] = int(value) * 2**20
    elif name in _RENAMED:
        found[_RENAMED[name]] = value
    elif name in FILES:
        found.setdefault("dependencies", {})[FILES[name]] = text_of(name, value)
    else:
        raise BadRequest(f"A server has no argument {name!r}.")


class Answer:
    """What a server answered."""

    def __init__(self, found: Mapping[str, Any]) -> None:
        self.status_code: int = found["status"]
        self.content_type: str = found["content_type"]
        body: str = found["body"]
        self.content = base64.b64decode(body) if found["binary"] else body.encode()

    @property
    def ok(self) -> bool:
        """Whether it is no error."""
        return self.status_code < 400

    @property
    def text(self) -> str:
        """The body as text."""
        return self.content.decode("utf-8", "replace")

    def json(self) -> Any:
        """The body's JSON."""
        return json.loads(self.content)


class ModelServer:
    """One server."""

    def __init__(self, door: Door, info: dict[str, Any]) -> None:
        self._door = door
        self._info = info

    def __getattr__(self, name: str) -> Any:
        if name == "id":
            raise AttributeError("a server has no id: `server_name` is its own alone")
        if name.startswith("_") or name not in self._info:
            raise AttributeError(f"a server has no attribute {name!r}")
        return self._info[name]

    def __repr__(self) -> str:
        return f"ModelServer(server_name={self.server_name!r}, status={self.status!r})"

    @property
    def server_name(self) -> str:
        """Its name."""
        return self._info["name"]

    @property
    def status(self) -> str:
        """Its state."""
        return self._info["state"]

    @property
    def pods(self) -> list[dict[str, Any]]:
        """Its replicas."""
        return self._info["replicas"]

    def _path(self, rest: str = "") -> str:
        return f"servers/{self._info['name']}{rest}"

    def refresh(self) -> None:
        """Take in what it is now."""
        self._info = self._door.get(self._path())["info"]

    def stop(self) -> None:
        """Stop it; requests under way end first."""
        self._change("stop")

    def start(self) -> None:
        """Start it again."""
        self._change("start")

    def _change(self, how: str) -> None:
        changed = self._door.change(self._path(f"/{how}"))
        if changed is None:
            self.refresh()
        else:
            self._info = changed

    def update(self, **given: Any) -> None:
        """Roll out a new version with changed fields; no request fails meanwhile."""
        models = given.pop("models", None)
        entrypoint = given.pop("entrypoint", None)
        changes = definition_of(given)
        if models is not None:
            changes["models"] = list(models)
        if entrypoint is not None:
            changes["entrypoint"] = entrypoint
        self._info = self._door.post(self._path("/update"), {"changes": changes})

    def predict(self, payload: Any, **_: Any) -> Answer:
        """Send a payload."""
        return Answer(self._door.post(self._path("/predict"), {"payload": payload}))

    def healthcheck(self, **_: Any) -> Answer:
        """Ask for its health."""
        return Answer(self._door.post(self._path("/predict"), {"path": "health"}))

    def logs(self, pod: Any = None, follow: bool = False, offset: int = 0) -> Iterator[LogEntry]:
        """The lines of a pod's log, from line `offset` on, with `follow` as long as the pod is
        there; a negative offset counts from the end. Without a pod that of the only one."""
        number = pod_number(self.pods, pod, self.server_name)

        def goes_on() -> bool:
            if follow:
                self.refresh()
            return follow and any(one["number"] == number for one in self.pods)

        source = f"server/{self.server_name}/{number}"
        for text in lines(self._door, source, offset, goes_on):
            yield LogEntry(text)

    def list_metrics(self) -> list[str]:
        """The names of its series."""
        found = self._door.get(self._path("/metrics"), points=2)["series"]
        return sorted({one["name"] for one in found})

    def metrics(self, metric_name: str) -> list[dict[str, Any]]:
        """A series for each tag: its name, tag, times and values."""
        return self._door.get(self._path("/metrics"), name=metric_name)["series"]

    def wait_status(self, *statuses: str) -> None:
        """Wait until it has one of these states.

        Raises:
            WaitError: it has settled in another.
        """
        pause = 0.05
        while self.status not in statuses:
            if self.status == "failed":
                raise WaitError(f"Server {self.server_name} failed: {self._info['message']}")
            time.sleep(pause)
            pause = min(1.5 * pause, 0.5)
            self.refresh()
