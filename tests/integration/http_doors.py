"""What the tests of the public door share: some operations, and real servers."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import aiohttp

from spice_engine.api.http import HttpDoor, bind
from spice_engine.errors import Conflict, InvalidRequest, NotFound, NotTrained
from spice_engine.events import Bus
from spice_engine.operations import Dispatcher, OperationTable
from spice_engine.protocol.engine import Nothing
from spice_engine.protocol.pods import (
    AS_TEXT,
    Episode,
    GetObservations,
    Observations,
    Observe,
    Observed,
    PodInfo,
    PodList,
    PodName,
    Recommend,
    Recommendation,
    TrainingId,
    TrainingInfo,
    TrainingList,
    TrainPod,
)
from spice_engine.settings import Settings

TOKEN = "t0ken-" + "x" * 40
TABLE = OperationTable()


@dataclass(frozen=True, slots=True)
class Thing:
    id: int
    name: str
    labels: list[str] = field(default_factory=list[str])


@dataclass(frozen=True, slots=True)
class Things:
    things: list[Thing]


@dataclass(frozen=True, slots=True)
class AddThing:
    name: str
    id: int = 0
    labels: list[str] = field(default_factory=list[str])


@dataclass(frozen=True, slots=True)
class ThingId:
    id: int


@dataclass(frozen=True, slots=True)
class ListThings:
    number: int = 50
    labels: list[str] = field(default_factory=list[str])
    ratio: float | None = None
    reverse: bool = False
    match: dict[str, int] = field(default_factory=dict[str, int])


@dataclass(frozen=True, slots=True)
class RenameThing:
    id: int
    name: str
    labels: list[str] | None = None


@dataclass(frozen=True, slots=True)
class Odd:
    nan: float | None
    infinity: float | None
    data: bytes
    large: int


@dataclass(frozen=True, slots=True)
class Package:
    data: bytes = b""
    text: bytes = field(default=b"", metadata=AS_TEXT)


@dataclass(frozen=True, slots=True)
class Sizes:
    data: list[int]
    text: list[int]


class Shelf:
    """A service with state: things by number."""

    def __init__(self) -> None:
        self.things: dict[int, Thing] = {}
        self.released = asyncio.Event()
        self.entered = asyncio.Event()

    def one(self, number: int) -> Thing:
        if number not in self.things:
            raise NotFound(f"there is no thing {number}.")
        return self.things[number]


@TABLE.register("things.list", http="GET /api/v1/things")
def list_things(shelf: Shelf, request: ListThings) -> Things:
    """List things, with all labels that are asked for."""
    wanted = set(request.labels)
    found = [thing for thing in shelf.things.values() if wanted <= set(thing.labels)]
    found = found[: max(request.number, 0)]
    return Things(found[::-1] if request.reverse else found)


@TABLE.register("things.add", http="POST /api/v1/things")
async def add_thing(shelf: Shelf, request: AddThing) -> Thing:
    """Add a thing.

    Without an id it gets the next one.
    """
    await asyncio.sleep(0)
    number = request.id or max(shelf.things, default=0) + 1
    if number in shelf.things:
        raise Conflict(f"thing {number} is there already.")
    if len(shelf.things) > 200:
        shelf.things.clear()
    shelf.things[number] = Thing(number, request.name, request.labels)
    return shelf.things[number]


@TABLE.register("things.get", http="GET /api/v1/things/{id}")
def get_thing(shelf: Shelf, request: ThingId) -> Thing:
    """One thing."""
    return shelf.one(request.id)


@TABLE.register("things.remove", http="DELETE /api/v1/things/{id}")
def remove_thing(shelf: Shelf, request: ThingId) -> Nothing:
    """Remove a thing."""
    shelf.one(request.id)
    del shelf.things[request.id]
    return Nothing()


@TABLE.register("things.rename", http="PUT /api/v1/things/{id}/name")
def rename_thing(shelf: Shelf, request: RenameThing) -> Thing:
    """Give a thing another name."""
    labels = shelf.one(request.id).labels if request.labels is None else request.labels
    shelf.things[request.id] = Thing(request.id, request.name, labels)
    return shelf.things[request.id]


def pod_info(name: str, state: str, *, trained: bool) -> PodInfo:
    return PodInfo(
        name=name,
        manifest=f"spicepods/{name}.yaml",
        state=state,
        actions=["buy", "hold"],
        fields=["coinbase.btcusd.close"],
        episodes=10,
        policy_version=3 if trained else None,
        training=None,
        problems=[],
        last_training=2 if trained else None,
        measurements=["coinbase.btcusd.close"],
    )


@TABLE.register("things.weigh", http="POST /api/v1/things/weigh")
def weigh(shelf: Shelf, request: Package) -> Sizes:
    """Bytes as they arrive, of both kinds."""
    return Sizes(list(request.data), list(request.text))


class Pods:
    """Pods in every state, with one training that still runs."""

    def __init__(self) -> None:
        self.asked: list[TrainPod] = []
        self.observed: list[Observe] = []
        self.supposed: list[dict[str, float] | None] = []
        self.gate = asyncio.Event()
        self.gate.set()
        self.pods = {
            "trader": pod_info("trader", "ready", trained=True),
            "new": pod_info("new", "untrained", trained=False),
            "busy": pod_info("busy", "training", trained=True),
            "broken": pod_info("broken", "failed", trained=False),
        }
        episodes = [
            Episode(1, 100.2, 101.7, -560.804, {"hold": 20}),
            Episode(2, 101.7, 102.0, 0.0, {}, "invalid_reward_function", "NameError('x')"),
        ]
        self.training = TrainingInfo(
            "trader", 2, "dql", "running", 100.2, None, "", "", None, None, episodes
        )

    def one(self, name: str) -> PodInfo:
        if name not in self.pods:
            raise NotFound(f"there is no pod {name!r}.")
        return self.pods[name]


@TABLE.register("pods.list", http="GET /api/v1/pods")
def list_pods(pods: Pods, request: Nothing) -> PodList:
    """All pods."""
    return PodList(list(pods.pods.values()))


@TABLE.register("pods.get", http="GET /api/v1/pods/{pod}")
def get_pod(pods: Pods, request: PodName) -> PodInfo:
    """One pod."""
    return pods.one(request.pod)


@TABLE.register("pods.train", http="POST /api/v1/pods/{pod}/train")
async def train_pod(pods: Pods, request: TrainPod) -> TrainingInfo:
    """Train a pod."""
    pod = pods.one(request.pod)
    if pod.state == "training":
        raise Conflict(f"{pod.name} -> training is already in progress")
    pods.asked.append(request)
    return pods.training


@TABLE.register("pods.trainings", http="GET /api/v1/pods/{pod}/trainings")
def list_trainings(pods: Pods, request: PodName) -> TrainingList:
    """Training runs of a pod."""
    pods.one(request.pod)
    return TrainingList([pods.training])


@TABLE.register("pods.training", http="GET /api/v1/pods/{pod}/trainings/{number}")
def get_training(pods: Pods, request: TrainingId) -> TrainingInfo:
    """One training run."""
    pods.one(request.pod)
    if request.number != pods.training.number:
        raise NotFound(f"{request.pod} has no training {request.number}.")
    return pods.training


@TABLE.register("pods.recommend", http="GET /api/v1/pods/{pod}/recommendation")
async def recommend(pods: Pods, request: Recommend) -> Recommendation:
    """What to do."""
    pod = pods.one(request.pod)
    pods.supposed.append(request.state)
    if "nothing" in (request.state or {}):
        raise InvalidRequest("the pod has no field 'nothing'.")
    if pod.policy_version is None:
        raise NotTrained("Please wait to get a recommendation until after training completes")
    if request.alias != "latest":
        raise NotFound(f"{pod.name} has no policy {request.alias!r}.")
    end = request.time or 1_600_000_000
    values = {"hold": 0.5, "buy": 0.25} if request.explain else None
    confidence = 0.0 if request.time == 1 else 0.81251
    return Recommendation(pod.name, "hold", confidence, end - 60, end, "latest", 3, values)


@TABLE.register("pods.observe", http="POST /api/v1/pods/{pod}/observations")
async def observe(pods: Pods, request: Observe) -> Observed:
    """Take in observations, when the gate is open."""
    pods.one(request.pod)
    await pods.gate.wait()
    if request.data == b"defect":
        raise RuntimeError("a secret detail")
    pods.observed.append(request)
    return Observed(request.data.count(b"\n"))


@TABLE.register("pods.observations", http="GET /api/v1/pods/{pod}/observations")
def observations(pods: Pods, request: GetObservations) -> Observations:
    """What was asked for, as rows."""
    pods.one(request.pod)
    text = f"{request.format} {request.start} {request.end}"
    return Observations(1, "[]" if request.format == "json" else text)


class Machine:
    """Operations that misbehave."""

    def __init__(self) -> None:
        self.entered = asyncio.Event()
        self.released = asyncio.Event()


@TABLE.register("machine.wait", http="GET /api/v1/machine/wait")
async def wait(machine: Machine, request: Nothing) -> Nothing:
    """Answer when released."""
    machine.entered.set()
    await machine.released.wait()
    return Nothing()


BREAKING = OperationTable()


@BREAKING.register("machine.fail", http="POST /api/v1/machine/fail")
def fail(machine: Machine, request: Nothing) -> Nothing:
    """Fail by a defect."""
    raise RuntimeError("a secret detail")


@BREAKING.register("machine.odd", http="GET /api/v1/machine/odd")
def odd(machine: Machine, request: Nothing) -> Odd:
    """Values that JSON has no form for."""
    return Odd(float("nan"), float("inf"), b"\x00\xff", 2**70)


@dataclass
class Health:
    """Ready, or not for a reason."""

    reason: str = ""

    def readiness(self) -> str:
        return self.reason


@dataclass
class Served:
    """One running door and a client for it."""

    door: HttpDoor
    client: aiohttp.ClientSession
    bus: Bus
    shelf: Shelf
    pods: Pods
    machine: Machine
    health: Health
    port: int

    @property
    def auth(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {TOKEN}"}

    async def get(self, path: str, **more: Any) -> tuple[int, Any]:
        return await self.call("GET", path, **more)

    async def call(self, method: str, path: str, **more: Any) -> tuple[int, Any]:
        headers = {**self.auth, **more.pop("headers", {})}
        async with self.client.request(
            method, self.door.url + path, headers=headers, **more
        ) as response:
            if response.content_type == "application/json":
                return response.status, await response.json()
            return response.status, await response.text()

    async def raw(self, data: bytes, *, host: str = "127.0.0.1") -> bytes:
        """Send bytes, and give back all that comes until the server hangs up."""
        reader, writer = await asyncio.open_connection(host, self.port)
        try:
            writer.write(data)
            await writer.drain()
            return await reader.read()
        finally:
            writer.close()


@asynccontextmanager
async def serve(
    settings: Settings | None = None,
    table: OperationTable = TABLE,
    sock: socket.socket | None = None,
    **more: Any,
) -> AsyncIterator[Served]:
    """A door on an ephemeral port, or on `sock`, with its services; all is closed at the end."""
    settings = settings or Settings(http_port=0)
    shelf, pods, machine, health, bus = Shelf(), Pods(), Machine(), Health(), Bus()
    dispatcher = Dispatcher(table, [shelf, pods, machine])
    door = HttpDoor(dispatcher, bus, settings, TOKEN, health, title="my-app", **more)
    sock = sock or bind(settings)
    await door.start(sock)
    async with aiohttp.ClientSession() as client:
        port = sock.getsockname()[1]
        try:
            yield Served(door, client, bus, shelf, pods, machine, health, port)
        finally:
            machine.released.set()
            await door.close(grace=2)


async def until(condition: Callable[[], object], *, seconds: float = 10) -> None:
    """Wait for something that nobody announces."""
    async with asyncio.timeout(seconds):
        while not condition():  # noqa: ASYNC110 - there is no event to wait for
            await asyncio.sleep(0.01)


def free_port() -> int:
    """A port that was free a moment ago."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])
