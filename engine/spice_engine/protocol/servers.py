"""Requests and answers about model servers."""

from __future__ import annotations

from dataclasses import field
from typing import Any

from spice_engine.records import record


@record
class Dependencies:
    """What an environment holds. `requirements` and `conda_file` are texts of files, not names.

    `conda` and the file's packages come from `channels`, those of the file, or those that are set.
    `apt` are packages of the system, `NAME` or `NAME=VERSION`; `image` is a root file system: a
    folder, a tar file, or an image of podman's. `lock` is the text of a lock, which names all.
    """

    pip: list[str] = field(default_factory=list[str])
    requirements: str = ""
    conda_file: str = ""
    apt: list[str] = field(default_factory=list[str])
    python: str = ""
    """A version (`3.12`), or the path of an interpreter that is used as it is."""
    setup: list[str] = field(default_factory=list[str])
    conda: list[str] = field(default_factory=list[str])
    channels: list[str] = field(default_factory=list[str])
    image: str = ""
    lock: str = ""


@record
class Batching:
    """`wait_ms` is how long an item may wait for its batch (Spell's `--request-timeout`)."""

    enabled: bool = False
    max_size: int = 100
    wait_ms: float = 500.0


@record
class Scaling:
    """Bounds and targets per replica; a target of None does not count."""

    min_pods: int = 1
    max_pods: int = 5
    cpu_utilization: float | None = None
    requests_per_second: float | None = None
    queue_ms: float = 100.0
    down_after: float = 20.0


@record
class Limits:
    """Of one replica: cores, bytes, devices. Requests are what is reserved in the node group."""

    cpu_request: float = 0.9
    cpu_limit: float | None = None
    memory_request: int | None = None
    memory_limit: int | None = None
    gpus: int = 0


@record
class Door:
    """Who may call. `auth`: none, or token (the server's own, shown by `describe --token`)."""

    auth: str = "none"
    cors: list[str] = field(default_factory=list[str])
    deadline: float = 60.0
    max_queue: int = 1024
    max_body: int = 32 * 2**20
    retry: str = "once"


@record
class ServerDefinition:
    """All of a server that a version fixes, and what `render` writes and `apply` reads.

    `type`: script, onnx, sklearn, torchscript, or pod. `models` are `NAME:VERSION`; `entrypoint`
    is relative to the app folder; `mounts` are resource → destination below /mounts.
    `config` are the keyword arguments of the predictor's `__init__`. With `git` the code is not the
    app folder's as it is but that of a repository, an address or a path (`.`: the app folder's), at
    `git_ref`, a branch, tag or commit; HEAD if empty.
    """

    name: str
    type: str = "script"
    entrypoint: str = ""
    classname: str = ""
    models: list[str] = field(default_factory=list[str])
    config: dict[str, Any] = field(default_factory=dict[str, Any])
    mounts: dict[str, str] = field(default_factory=dict[str, str])
    env: dict[str, str] = field(default_factory=dict[str, str])
    dependencies: Dependencies = field(default_factory=Dependencies)
    description: str = ""
    node_group: str = "default"
    num_processes: int = 1
    threads: int = 1
    max_concurrency: int = 256
    batching: Batching = field(default_factory=Batching)
    scaling: Scaling = field(default_factory=Scaling)
    limits: Limits = field(default_factory=Limits)
    door: Door = field(default_factory=Door)
    debug: bool = False
    start_timeout: float = 300.0
    request_log: bool = False
    """Keep a line of JSON for each request."""
    git: str = ""
    git_ref: str = ""


@record
class ServeRequest:
    """Stand a server up; with `wait` the answer comes when it runs, or has failed. Of all requests
    with the same `request_key` the first stands it up."""

    definition: ServerDefinition
    wait: bool = False
    request_key: str = ""


@record
class UpdateServer:
    """Roll out a new version: `changes` are fields of the definition, nested ones as maps.

    `code`: take the app folder's files anew, too.
    """

    server: str
    changes: dict[str, Any] = field(default_factory=dict[str, Any])
    code: bool = False
    wait: bool = False


@record
class PlanServers:
    """What `apply` would do with these definitions; `delete`: servers not named go.

    `files` are those that hold the definitions, relative to the app folder: a change in them
    alone is no change of a server's code.
    """

    definitions: list[ServerDefinition]
    delete: bool = False
    files: list[str] = field(default_factory=list[str])


@record
class PlannedChange:
    """One server's part of a plan. `action`: create, update, delete or nothing; `differences`
    are [field, old, new] as text."""

    server: str
    action: str
    differences: list[list[str]] = field(default_factory=list[list[str]])


@record
class ServerPlan:
    """A plan, in the order in which it would be carried out."""

    changes: list[PlannedChange]


@record
class ServerName:
    """One server, by its name."""

    server: str


@record
class EndServer:
    """Stop a server, or remove one; `force`: requests under way are not waited for when it is
    stopped, and one that runs is stopped before it is removed."""

    server: str
    force: bool = False
    wait: bool = False


@record
class RollBack:
    """Roll out an earlier version again; 0: the one before."""

    server: str
    version: int = 0
    wait: bool = False


@record
class ReplicaInfo:
    """One replica. Rates are per second, latencies milliseconds of the last half minute,
    `cpu` cores, `memory` bytes."""

    number: int
    version: int
    state: str
    created: float
    ready: float | None
    pid: int
    message: str = ""
    restarts: int = 0
    in_flight: int = 0
    rate: float = 0.0
    p50: float | None = None
    p99: float | None = None
    cpu: float = 0.0
    memory: int = 0
    model_path: str = ""


@record
class RolloutInfo:
    """A rollout under way, or the last one. `state`: running, done, rolled back, failed."""

    from_version: int | None
    to_version: int
    state: str
    ready: int
    wanted: int
    started: float
    ended: float | None = None
    message: str = ""


@record
class ScaleDecision:
    """One change of the number of replicas, with what it was taken from."""

    time: float
    before: int
    after: int
    reason: str
    inputs: dict[str, float] = field(default_factory=dict[str, float])


@record
class ServerInfo:
    """One server. `url` is the path form `…/{owner}/{server}/predict`."""

    name: str
    state: str
    message: str
    version: int
    models: list[str]
    type: str
    entrypoint: str
    url: str
    pods_ready: int
    pods_wanted: int
    created: float
    updated: float
    running_since: float | None
    rate: float = 0.0
    errors: float = 0.0
    p50: float | None = None
    p99: float | None = None
    queued: int = 0
    replicas: list[ReplicaInfo] = field(default_factory=list[ReplicaInfo])
    rollout: RolloutInfo | None = None
    scaling: ScaleDecision | None = None


@record
class ServerList:
    """Servers by name."""

    servers: list[ServerInfo]


@record
class ServerVersionInfo:
    """One version of a server's definition; `code` is the snapshot's hash."""

    number: int
    created: float
    code: str
    state: str
    message: str
    definition: ServerDefinition


@record
class ServerDetails:
    """All about one server. `predictor` is what its replicas said they found."""

    info: ServerInfo
    definition: ServerDefinition
    versions: list[ServerVersionInfo]
    decisions: list[ScaleDecision]
    predictor: dict[str, Any] = field(default_factory=dict[str, Any])
    environment: str = ""
    token: str = ""


@record
class PredictRequest:
    """Send a payload to a server through the engine: for the screen and the command line."""

    server: str
    payload: Any = None
    path: str = "predict"


@record
class PredictAnswer:
    """The answer; `body` is text (or base64 where `binary`), `ms` the time it took."""

    status: int
    content_type: str
    body: str
    ms: float
    binary: bool = False


@record
class ServerMetrics:
    """Read a server's series (`name` empty: all of them), thinned to about `points` each."""

    server: str
    name: str = ""
    points: int = 500


@record
class ServerSeries:
    """One series: `rate`, `errors`, `p50`, `p99`, `queue`, `replicas`, `cpu`, `memory`, `batch`,
    or a user's own with its tag."""

    name: str
    tag: str
    times: list[float]
    values: list[Any]


@record
class ServerSeriesList:
    """Series of one server."""

    series: list[ServerSeries]


@record
class NodeGroupInfo:
    """A named pool of this machine: cores, bytes and devices, and what is taken of them."""

    name: str
    cpu: float
    memory: int
    gpus: int
    cpu_used: float = 0.0
    memory_used: int = 0
    gpus_used: int = 0
    replicas: int = 0


@record
class NodeGroupList:
    """Node groups by name."""

    groups: list[NodeGroupInfo]


@record
class SetNodeGroup:
    """Make a node group, or change its size; a value of None stays as it is (new: all there is)."""

    name: str
    cpu: float | None = None
    memory: int | None = None
    gpus: int | None = None


@record
class NodeGroupName:
    """One node group, by its name."""

    name: str


@record
class CheckServer:
    """Load a definition's predictor once, in its environment, without serving it."""

    definition: ServerDefinition


@record
class CheckedServer:
    """What came of it. `message` says why it cannot be served (empty: it can), `predictor` what
    was found, `output` the end of what it printed."""

    message: str
    predictor: dict[str, Any] = field(default_factory=dict[str, Any])
    warnings: list[str] = field(default_factory=list[str])
    output: str = ""


@record
class LastRequest:
    """The last JSON payload that came to a server with `debug`; `known`: whether there was one."""

    known: bool
    payload: Any = None
