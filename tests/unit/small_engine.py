"""A small engine for tests of clients: a real private door over a few operations in memory.

It listens on the real socket of an app folder, in a thread with a loop of its own. Runs do not
start processes here: their logs and ends are written by the test, or follow `SCRIPT`.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from spice_engine.api.door import PrivateDoor
from spice_engine.errors import Conflict, InvalidManifest, NotFound, NotTrained, Place
from spice_engine.events import Bus, Topic
from spice_engine.operations import Dispatcher, OperationTable
from spice_engine.protocol.engine import (
    Accepted,
    EngineStatus,
    LoopLag,
    Names,
    NamesOf,
    Nothing,
    Pong,
    Query,
    QueryResult,
    SettingsList,
    SettingValue,
    StopEngine,
)
from spice_engine.protocol.location import Location, locate
from spice_engine.protocol.packages import AddedPackage, AddPackage
from spice_engine.protocol.pods import (
    Episode,
    FeedList,
    PodInfo,
    PodList,
    PodName,
    ProblemInfo,
    Problems,
    Recommend,
    Recommendation,
    TrainingId,
    TrainingInfo,
    TrainingList,
    TrainPod,
)
from spice_engine.protocol.run_metrics import (
    MetricFigures,
    MetricFiguresList,
    MetricPoints,
    ReadPoints,
)
from spice_engine.protocol.runs import (
    FindRun,
    LabelRun,
    ListRuns,
    LogChunk,
    MetricList,
    MetricSeries,
    ReadLog,
    ReadMetrics,
    RunId,
    RunInfo,
    RunList,
    StartRun,
    StopRun,
)

TABLE = OperationTable()
CREATED = 1_700_000_000.0
CONTINUATIONS = {bytes([byte]) for byte in range(0x80, 0xC0)}
EVALUATION = {
    "in_sample": {
        "score": 91.0,
        "random": 10.0,
        "best_constant": 50.0,
        "oracle": 100.0,
        "regret_closed": 0.82,
    },
    "held_out": {
        "score": 45.0,
        "random": 5.0,
        "best_constant": 25.0,
        "oracle": 50.0,
        "regret_closed": 0.8,
    },
    "nothing_to_learn": False,
    "beats_best_constant": True,
}


@dataclass(frozen=True)
class LintPath:
    """One file."""

    path: str


@dataclass
class Shelf:
    """What the small engine knows. One service for all its operations."""

    location: Location
    bus: Bus = field(default_factory=Bus)
    runs: dict[int, RunInfo] = field(default_factory=dict)
    logs: dict[int, str] = field(default_factory=dict)
    pods: dict[str, PodInfo] = field(default_factory=dict)
    trainings: list[TrainingInfo] = field(default_factory=list)
    problems: dict[str, list[ProblemInfo]] = field(default_factory=dict)
    asked: list[tuple[str, Any]] = field(default_factory=list)
    script: Callable[[Shelf, int], Any] | None = None
    """An async function that plays a started run."""
    tasks: set[asyncio.Task[Any]] = field(default_factory=set)
    log_topics: dict[str, Topic] = field(default_factory=dict)
    stopping: asyncio.Event = field(default_factory=asyncio.Event)

    def __post_init__(self) -> None:
        self.runs_topic = self.bus.topic(
            "runs", "state", lambda: {str(id_): asdict(run) for id_, run in self.runs.items()}
        )
        self.episodes_topic = self.bus.topic("episodes", "rows", lambda: {"last": 0})
        self.trainings_topic = self.bus.topic("trainings", "state", lambda: {})
        self.bus.family("log", self.log_topic)

    def log_topic(self, key: str) -> Topic:
        """The topic of one log."""
        if not key.isdecimal() or int(key) not in self.runs:
            raise NotFound(f"there is no run {key}.")
        number = int(key)
        return self.log_topics.setdefault(
            key, Topic(f"log/{key}", "gauge", lambda: self.log_gauge(number))
        )

    def log_gauge(self, number: int) -> dict[str, Any]:
        """How long a run's log is."""
        ended = self.runs[number].ended is not None
        return {"size": len(self.logs.get(number, "").encode()), "ended": ended}

    def run(self, id_: int) -> RunInfo:
        """A run that exists."""
        if id_ not in self.runs:
            raise NotFound(f"there is no run {id_}.", hint="spice-tui ps lists them.")
        return self.runs[id_]

    def pod(self, name: str) -> PodInfo:
        """A pod that exists."""
        if name not in self.pods:
            raise NotFound(f"there is no pod {name!r}.")
        return self.pods[name]

    def change(self, id_: int, **changes: Any) -> RunInfo:
        """Change a run and tell."""
        run = self.runs[id_] = replace(self.runs[id_], **changes)
        self.runs_topic.set(str(id_), asdict(run))
        return run

    def add_run(self, **changes: Any) -> RunInfo:
        """One more run."""
        id_ = len(self.runs) + 1
        run = RunInfo(
            id=id_,
            kind="run",
            name="",
            command=["echo", "hello world"],
            cwd=str(self.location.root),
            state="complete",
            outcome=None,
            exit_code=0,
            message="",
            created=CREATED,
            started=CREATED + 1,
            ended=CREATED + 3,
            labels=[],
        )
        self.runs[id_] = replace(run, **changes)
        self.logs[id_] = ""
        return self.runs[id_]

    def grow(self, id_: int, text: str) -> None:
        """A run wrote something."""
        self.logs[id_] += text
        self.log_topic(str(id_)).publish(self.log_gauge(id_))

    def spawn(self, work: Any) -> None:
        """Something that goes on in the background."""
        task = asyncio.get_running_loop().create_task(work)
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)


@TABLE.register("engine.ping", http="GET /api/v1/ping")
def ping(shelf: Shelf, request: Nothing) -> Pong:
    """Answer."""
    return Pong(time.time())


@TABLE.register("engine.status", http="GET /api/v1/engine")
def status(shelf: Shelf, request: Nothing) -> EngineStatus:
    """Who it is."""
    return EngineStatus(
        version="0.1.0",
        protocol=1,
        pid=4242,
        app_folder=str(shelf.location.root),
        state_folder=str(shelf.location.state),
        http="http://127.0.0.1:8000",
        started=CREATED,
        uptime=61.0,
        clients=1,
        subscriptions=0,
        active_runs=1,
        pods=len(shelf.pods),
        loop_lag=LoopLag(0.1, 1.5, 3.0, 100),
    )


@TABLE.register("engine.stop", http="POST /api/v1/engine/stop")
def stop_engine(shelf: Shelf, request: StopEngine) -> Accepted:
    """Go."""
    shelf.asked.append(("engine.stop", request))
    asyncio.get_running_loop().call_later(0.05, shelf.stopping.set)
    return Accepted("stopping")


@TABLE.register("engine.settings", http="GET /api/v1/engine/settings")
def settings(shelf: Shelf, request: Nothing) -> SettingsList:
    """Settings."""
    return SettingsList(
        [
            SettingValue("http_port", None, "default", "Its port."),
            SettingValue("cors_origins", [], "spice.config.yaml:3", "Origins."),
            SettingValue("insecure", False, "default", "Allow more."),
        ]
    )


@TABLE.register("engine.names", http="GET /api/v1/engine/names")
def names(shelf: Shelf, request: NamesOf) -> Names:
    """Names."""
    found = [str(id_) for id_ in shelf.runs] if request.noun == "runs" else sorted(shelf.pods)
    return Names([name for name in found if name.startswith(request.prefix)])


@TABLE.register("store.query", http="POST /api/v1/query")
def query(shelf: Shelf, request: Query) -> QueryResult:
    """Answer with the question."""
    rows: list[list[Any]] = [[1, "a,b"], [2, None]]
    return QueryResult([request.sql[:10], "text"], rows[: request.limit], request.limit < 2)


@TABLE.register("samples.list", http="GET /api/v1/samples")
def list_samples(shelf: Shelf, request: Nothing) -> Names:
    """One sample."""
    return Names(["serverops"])


@TABLE.register("packages.add", http="POST /api/v1/packages/add")
def add_package(shelf: Shelf, request: AddPackage) -> AddedPackage:
    """Add it."""
    if request.reference.removeprefix("samples/").removeprefix("quickstarts/") != "serverops":
        raise NotFound(f"there is no package {request.reference!r}.", hint="samples/serverops.")
    files = ["data/serverops.csv", "spicepods/serverops.yaml"]
    return AddedPackage("serverops", "1", "samples/serverops", "0" * 64, files, files)


@TABLE.register("runs.start", http="POST /api/v1/runs")
def start_run(shelf: Shelf, request: StartRun) -> RunInfo:
    """Start."""
    shelf.asked.append(("runs.start", request))
    command = request.command
    run = shelf.add_run(
        command=["sh", "-c", command] if isinstance(command, str) else command,
        name=request.name,
        labels=request.labels,
        state="running",
        exit_code=None,
        ended=None,
        created=time.time(),
    )
    if shelf.script is not None:
        shelf.spawn(shelf.script(shelf, run.id))
    return run


@TABLE.register("runs.list", http="GET /api/v1/runs")
def list_runs(shelf: Shelf, request: ListRuns) -> RunList:
    """Runs."""
    shelf.asked.append(("runs.list", request))
    found = [
        run
        for run in shelf.runs.values()
        if (not request.states or run.state in request.states)
        and (not request.labels or set(run.labels) & set(request.labels))
    ]
    return RunList(found[-request.number :])


@TABLE.register("runs.get", http="GET /api/v1/runs/{id}")
def get_run(shelf: Shelf, request: RunId) -> RunInfo:
    """One run."""
    return shelf.run(request.id)


@TABLE.register("runs.asked", http="GET /api/v1/runs/{id}/request")
def asked_with(shelf: Shelf, request: RunId) -> StartRun:
    """What it was asked with."""
    run = shelf.run(request.id)
    return StartRun(run.command, name=run.name, env={"A": "b"}, cpu=0.5, timeout=90.0)


@TABLE.register("runs.find", http="GET /api/v1/run-numbers")
def find_run(shelf: Shelf, request: FindRun) -> RunId:
    """The run of a name."""
    found = [run.id for run in shelf.runs.values() if run.name == request.name]
    if not found:
        raise NotFound(f"there is no run named {request.name!r}.", hint="spice-tui ps lists them.")
    return RunId(found[0])


@TABLE.register("runs.stop", http="POST /api/v1/runs/{id}/stop")
def stop_run(shelf: Shelf, request: StopRun) -> RunInfo:
    """Stop it."""
    shelf.asked.append(("runs.stop", request))
    if shelf.run(request.id).ended is not None:
        raise Conflict(f"run {request.id} has ended already.")
    return shelf.change(request.id, state="stopped", ended=time.time())


@TABLE.register("runs.kill", http="POST /api/v1/runs/{id}/kill")
def kill_run(shelf: Shelf, request: RunId) -> RunInfo:
    """Kill it."""
    shelf.run(request.id)
    return shelf.change(request.id, state="killed", ended=time.time())


@TABLE.register("runs.label", http="POST /api/v1/runs/{id}/labels")
def label_run(shelf: Shelf, request: LabelRun) -> RunInfo:
    """Label it."""
    labels = [name for name in shelf.run(request.id).labels if name not in request.remove]
    return shelf.change(request.id, labels=[*labels, *request.add])


@TABLE.register("runs.log", http="GET /api/v1/runs/{id}/log")
def read_log(shelf: Shelf, request: ReadLog) -> LogChunk:
    """A piece of the log."""
    shelf.run(request.id)
    data = shelf.logs[request.id].encode()
    offset = request.offset
    if request.tail is not None:
        offset = len(data) - len(b"".join(data.splitlines(keepends=True)[-request.tail :]))
        piece = data[offset:]
    else:
        piece = data[offset : offset + request.limit]
        while (
            piece and len(data) > offset + len(piece) and data[offset + len(piece)] & 0xC0 == 0x80
        ):
            piece = piece[:-1]  # never within a character
    end = offset + len(piece)
    return LogChunk(offset, end, len(data), piece.decode(errors="replace"))


@TABLE.register("runs.read_metrics", http="GET /api/v1/runs/{id}/metrics")
def read_metrics(shelf: Shelf, request: ReadMetrics) -> MetricList:
    """Two series."""
    shelf.run(request.id)
    series = [
        MetricSeries("loss", [0, 1, 2], [CREATED] * 3, [3.0, float("nan"), 1.5]),
        MetricSeries("accuracy", [0], [CREATED], [0.25]),
    ]
    return MetricList([item for item in series if request.name in {"", item.name}])


@TABLE.register("runs.list_metrics", http="GET /api/v1/runs/{id}/metric-names")
def list_metrics(shelf: Shelf, request: RunId) -> MetricFiguresList:
    """What both come to."""
    shelf.run(request.id)
    return MetricFiguresList(
        [
            MetricFigures("accuracy", 1, 0, 0, 0.25, 0.25, 0, CREATED, 0.25),
            MetricFigures("loss", 3, 1, 0, 1.5, 3.0, 2, CREATED, 1.5),
        ]
    )


@TABLE.register("runs.metric_points", http="GET /api/v1/runs/{id}/metric-points")
def metric_points(shelf: Shelf, request: ReadPoints) -> MetricPoints:
    """All at once."""
    shelf.run(request.id)
    values: list[float | str] = [3.0, float("nan"), 1.5] if request.after_index is None else []
    return MetricPoints(request.name, list(range(len(values))), [CREATED] * len(values), values)


@TABLE.register("pods.list", http="GET /api/v1/pods")
def list_pods(shelf: Shelf, request: Nothing) -> PodList:
    """Pods."""
    return PodList(list(shelf.pods.values()))


@TABLE.register("pods.get", http="GET /api/v1/pods/{pod}")
def get_pod(shelf: Shelf, request: PodName) -> PodInfo:
    """One pod."""
    return shelf.pod(request.pod)


@TABLE.register("pods.feeds", http="GET /api/v1/pods/{pod}/feeds")
def pod_feeds(shelf: Shelf, request: PodName) -> FeedList:
    """None of them is live."""
    shelf.pod(request.pod)
    return FeedList([])


@TABLE.register("pods.problems", http="GET /api/v1/pods/{pod}/problems")
def pod_problems(shelf: Shelf, request: PodName) -> Problems:
    """Its problems."""
    return Problems(shelf.pod(request.pod).problems)


@TABLE.register("pods.lint", http="POST /api/v1/lint")
def lint(shelf: Shelf, request: LintPath) -> Problems:
    """Problems of a file."""
    if "unreadable" in request.path:
        place = Place(request.path, 3, 7)
        raise InvalidManifest("the manifest is no map.", hint="Begin with name:", place=place)
    return Problems(shelf.problems.get(Path(request.path).name, []))


@TABLE.register("pods.train", http="POST /api/v1/pods/{pod}/train")
def train_pod(shelf: Shelf, request: TrainPod) -> TrainingInfo:
    """Train it: three episodes, one of them before anybody could hear of it."""
    shelf.pod(request.pod)
    training = TrainingInfo(
        pod=request.pod,
        number=len(shelf.trainings) + 1,
        algorithm=request.algorithm or "linear",
        state="running",
        started=CREATED,
        ended=None,
        error="",
        message="",
        policy_version=None,
        evaluation=None,
        episodes=[_episode(1)],
    )
    shelf.trainings.append(training)
    shelf.spawn(_play_training(shelf, training))
    return training


def _episode(number: int) -> Episode:
    detail = {"random": 10.0, "best_constant": 50.0, "oracle": 100.0}
    return Episode(number, CREATED, CREATED, 30.0 * number, {"open": 2, "close": 1}, detail=detail)


async def _play_training(shelf: Shelf, training: TrainingInfo) -> None:
    for number in (2, 3):
        await asyncio.sleep(0.01)
        episode = _episode(number)
        training.episodes.append(episode)
        row = {"id": number, "pod": training.pod, "number": training.number, **asdict(episode)}
        shelf.episodes_topic.rows([row], number, number)
    await asyncio.sleep(0.01)
    failed = training.algorithm == "failing"
    ended = replace(
        training,
        state="failed" if failed else "complete",
        ended=CREATED + 1,
        error="invalid_reward_value" if failed else "",
        message="rewards.py:3: not a finite number." if failed else "",
        policy_version=None if failed else 3,
        evaluation=None if failed else EVALUATION,
    )
    shelf.trainings[training.number - 1] = ended
    item = {**asdict(ended), "episodes": []}
    shelf.trainings_topic.set(f"{training.pod}/{training.number}", item)


@TABLE.register("pods.trainings", http="GET /api/v1/pods/{pod}/trainings")
def trainings(shelf: Shelf, request: PodName) -> TrainingList:
    """All trainings."""
    return TrainingList([item for item in shelf.trainings if item.pod == request.pod])


@TABLE.register("pods.training", http="GET /api/v1/pods/{pod}/trainings/{number}")
def training(shelf: Shelf, request: TrainingId) -> TrainingInfo:
    """One training."""
    return shelf.trainings[request.number - 1]


@TABLE.register("pods.recommend", http="GET /api/v1/pods/{pod}/recommendation")
def recommend(shelf: Shelf, request: Recommend) -> Recommendation:
    """Always the same."""
    shelf.asked.append(("pods.recommend", request))
    if shelf.pod(request.pod).policy_version is None:
        raise NotTrained(f"pod {request.pod!r} has no policy yet.", hint="Train it.")
    more = request.explain
    return Recommendation(
        pod=request.pod,
        action="open",
        confidence=0.875,
        start=int(CREATED),
        end=int(CREATED) + 60,
        tag=request.alias,
        policy_version=3,
        values={"close": -0.5, "open": 1.5} if more else None,
        features={"load": 0.1, "price": -2.0} if more else None,
    )


@TABLE.register("test.slow", http="POST /api/v1/test/slow")
async def slow(shelf: Shelf, request: Nothing) -> Pong:
    """Answer when everything has ended."""
    await shelf.stopping.wait()
    return Pong(0.0)


def a_pod(name: str, **changes: Any) -> PodInfo:
    """A trained pod."""
    pod = PodInfo(
        name=name,
        manifest=f"spicepods/{name}.yaml",
        state="ready",
        actions=["open", "close"],
        fields=["a.b.load"],
        episodes=12,
        policy_version=3,
        training=None,
        problems=[],
        evaluation=EVALUATION,
    )
    return replace(pod, **changes)


def make_door(location: Location) -> tuple[PrivateDoor, Shelf]:
    """A door that does not listen yet, and what is behind it; on the running loop."""
    shelf = Shelf(location)
    return PrivateDoor(Dispatcher(TABLE, [shelf]), shelf.bus), shelf


class SmallEngine:
    """The door of a folder, open in a thread."""

    def __init__(self, root: Path) -> None:
        self.location = locate(root)
        self.location.state.mkdir(parents=True, exist_ok=True)
        self._ready = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._serve()))

    async def _serve(self) -> None:
        self.loop = asyncio.get_running_loop()
        self.door, self.shelf = make_door(self.location)
        await self.door.listen(self.location.socket)
        self._ready.set()
        await self.shelf.stopping.wait()
        await self.door.close(reason="stopped", grace=1.0)
        for task in tuple(self.shelf.tasks):
            task.cancel()
        await asyncio.sleep(0.01)

    def start(self) -> None:
        """Open the door."""
        self._thread.start()
        assert self._ready.wait(10)

    def stop(self) -> None:
        """Close it and wait for the thread."""
        if self._thread.is_alive():
            self.loop.call_soon_threadsafe(self.shelf.stopping.set)
        self._thread.join(10)
        assert not self._thread.is_alive()

    def on_loop(self, work: Callable[[], Any]) -> Any:
        """Do something on the engine's loop and wait for its result."""

        async def do() -> Any:
            return work()

        return asyncio.run_coroutine_threadsafe(do(), self.loop).result(10)


@contextmanager
def small_engine(root: Path) -> Iterator[SmallEngine]:
    """A small engine while a test needs it."""
    engine = SmallEngine(root)
    engine.start()
    try:
        yield engine
    finally:
        engine.stop()
