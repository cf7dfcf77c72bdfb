"""What the screens know of the engine: one immutable snapshot, and the keeper that renews it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import field, replace
from functools import cache
from importlib import import_module
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Literal

from spice_engine.errors import ProtocolError
from spice_engine.protocol.run_states import UNDER_WAY
from spice_engine.records import record
from spice_tui.models.build import build

if TYPE_CHECKING:
    from spice_engine.protocol.authoring import PreviewInfo
    from spice_engine.protocol.engine import EngineStatus
    from spice_engine.protocol.judging import ComparisonProgress
    from spice_engine.protocol.models import ModelInfo
    from spice_engine.protocol.pods import Episode, PodInfo, TrainingInfo
    from spice_engine.protocol.runs import RunInfo
    from spice_engine.protocol.searches import SearchInfo
    from spice_engine.protocol.servers import ServerInfo

OF_TOPICS = {
    "engine": "engine.EngineStatus",
    "pods": "pods.PodInfo",
    "trainings": "pods.TrainingInfo",
    "episodes": "pods.Episode",
    "runs": "runs.RunInfo",
    "previews": "authoring.PreviewInfo",
    "servers": "servers.ServerInfo",
    "models": "models.ModelInfo",
    "comparisons": "judging.ComparisonProgress",
    "searches": "searches.SearchInfo",
}
"""What the items of topics are. Their modules are imported when the first item comes: classes by
the dozen take longer to make than the first screen has."""

ACTIVE_TRAINING = frozenset({"requested", "queued", "loading", "running", "training", "stopping"})
MOST_RUNS = 5000
"""Runs that the screen knows; `ps` and SQL know all."""
IDLE_SERVER = frozenset({"stopped", "failed"})


@record
class Connection:
    """How the connection to the engine does. `retry_at`: Unix seconds of the next try."""

    state: Literal["connecting", "attached", "lost", "refused"] = "connecting"
    message: str = ""
    attempts: int = 0
    retry_at: float | None = None


def _nothing() -> Mapping[Any, Any]:
    return MappingProxyType({})


@record
class World:
    """Everything the screens show. Trainings and episodes are keyed `pod/number`.

    Servers, models, searches and comparisons (those that train now) are there from when a part of
    the screen first wanted them.
    """

    connection: Connection = field(default_factory=Connection)
    engine: EngineStatus | None = None
    pods: Mapping[str, PodInfo] = field(default_factory=_nothing)
    runs: Mapping[int, RunInfo] = field(default_factory=_nothing)
    trainings: Mapping[str, TrainingInfo] = field(default_factory=_nothing)
    episodes: Mapping[str, tuple[Episode, ...]] = field(default_factory=_nothing)
    previews: Mapping[str, PreviewInfo] = field(default_factory=_nothing)
    servers: Mapping[str, ServerInfo] = field(default_factory=_nothing)
    models: Mapping[str, ModelInfo] = field(default_factory=_nothing)
    comparisons: Mapping[int, ComparisonProgress] = field(default_factory=_nothing)
    searches: Mapping[int, SearchInfo] = field(default_factory=_nothing)

    def trainings_of(self, pod: str) -> list[TrainingInfo]:
        """The pod's training runs with their episodes, oldest first."""
        found = [
            replace(info, episodes=list(self.episodes.get(key, ())))
            for key, info in self.trainings.items()
            if info.pod == pod
        ]
        return sorted(found, key=lambda info: info.number)

    def newest_training(self, pod: str) -> TrainingInfo | None:
        """The pod's newest training run, without its episodes."""
        known = self.pods.get(pod)
        numbers = [info.number for info in self.trainings.values() if info.pod == pod]
        if known is not None and known.last_training is not None:
            numbers.append(known.last_training)
        return self.trainings.get(f"{pod}/{max(numbers)}") if numbers else None

    @property
    def attached(self) -> bool:
        """Whether the engine answers."""
        return self.connection.state == "attached"

    @property
    def busy(self) -> list[str]:
        """What runs now, in words: what quitting leaves behind."""
        runs = sum(run.state in UNDER_WAY for run in self.runs.values())
        trainings = sum(pod.training is not None for pod in self.pods.values())
        servers = sum(one.state not in IDLE_SERVER for one in self.servers.values())
        counts = ((runs, "run"), (trainings, "training"), (servers, "server"))
        return [f"{count} {noun}{'s' * (count != 1)}" for count, noun in counts if count]


class Keeper:
    """Takes events of topics in and gives the world as it is now.

    `changed` names the parts that changed since `take` was last called: a fresh snapshot is built
    of those alone, and only when somebody looks. `told` names the topics that were heard of.
    """

    def __init__(self) -> None:
        self._world = World()
        self._pods: dict[str, PodInfo] = {}
        self._runs: dict[int, RunInfo] = {}
        self._trainings: dict[str, TrainingInfo] = {}
        self._episodes: dict[str, dict[int, Episode]] = {}
        self._grown: set[str] = set()
        self._previews: dict[str, PreviewInfo] = {}
        self._servers: dict[str, ServerInfo] = {}
        self._models: dict[str, ModelInfo] = {}
        self._comparisons: dict[int, ComparisonProgress] = {}
        self._searches: dict[int, SearchInfo] = {}
        self._engine: EngineStatus | None = None
        self._connection = Connection()
        self.changed: set[str] = set()
        self.told: set[str] = set()

    def connection(self, connection: Connection) -> None:
        """The connection does so now."""
        self._connection = connection
        self.changed.add("connection")

    def apply(self, topic: str, kind: str, data: Any) -> None:
        """Take in a snapshot or a delta of a topic; one of no known form changes nothing."""
        if not isinstance(data, Mapping):
            return
        try:
            self._apply(topic, kind, data)
        except (ProtocolError, AttributeError, TypeError, ValueError):
            # An engine of another version: the topic's next message may be known again.
            return

    def _apply(self, topic: str, kind: str, data: Mapping[str, Any]) -> None:
        if topic == "engine":
            self._engine = build(_class("engine"), data)
        elif topic == "episodes":
            rows = data.get("rows", ()) if kind == "delta" else ()
            self._take_episodes([row for row in rows if isinstance(row, Mapping)])
        elif topic == "pods":
            _merge(self._pods, kind, data, topic, str)
        elif topic == "runs":
            # The topic has the newest only; older ones that are known stay, up to a number.
            changes = data if kind == "delta" else {"set": data}
            if kind == "snapshot" and max(map(int, data), default=0) < max(self._runs, default=0):
                self._runs.clear()  # numbers only grow: it is another engine's folder
            _merge(self._runs, "delta", {"set": changes.get("set", {})}, topic, int)
            self._forget_runs()
        elif topic == "previews":
            _merge(self._previews, kind, data, topic, str)
        elif topic == "servers":
            before = dict(self._servers)
            _merge(self._servers, kind, data, topic, str)
            if self._servers == before:
                return  # they are told every second, also when nothing happens
        elif topic == "models":
            _merge(self._models, kind, data, topic, str)
        elif topic == "comparisons":
            _merge(self._comparisons, kind, data, topic, int)
        elif topic == "searches":
            _merge(self._searches, kind, data, topic, int)
        elif topic == "trainings":
            # A snapshot holds the recent ones only; older ones that are known stay.
            changes = data if kind == "delta" else {"set": data}
            _merge(self._trainings, "delta", changes, topic, str)
        else:
            return
        self.told.add(topic)
        self.changed.add(topic)

    def older_runs(self, runs: Sequence[Mapping[str, Any]]) -> None:
        """Take in runs as `runs.list` gives them; what the topic told is newer."""
        known = self._runs
        fresh = {str(run["id"]): run for run in runs if run["id"] not in known}
        self.apply("runs", "delta", {"set": fresh})

    def _forget_runs(self) -> None:
        """Keep the newest, and those that are not over."""
        if len(self._runs) > MOST_RUNS:
            over = sorted(number for number, run in self._runs.items() if run.ended is not None)
            for number in over[: len(self._runs) - MOST_RUNS]:
                del self._runs[number]

    def history(self, trainings: Iterable[TrainingInfo]) -> None:
        """Take in training runs with their episodes, as `pods.trainings` lists them."""
        for info in trainings:
            key = f"{info.pod}/{info.number}"
            known = self._episodes.setdefault(key, {})
            for episode in info.episodes:
                known[episode.episode] = episode
            self._grown.add(key)
            self._trainings[key] = replace(info, episodes=[])
        self.changed.update(("trainings", "episodes"))

    def _take_episodes(self, rows: Iterable[Mapping[str, Any]]) -> None:
        for row in rows:
            key = f"{row.get('pod', '')}/{row.get('number', 0)}"
            episode = build(_class("episodes"), row)
            self._episodes.setdefault(key, {})[episode.episode] = episode
            self._grown.add(key)

    def take(self) -> World:
        """The world now."""
        if not self.changed:
            return self._world
        parts: dict[str, Any] = {}
        if "connection" in self.changed:
            parts["connection"] = self._connection
        if "engine" in self.changed:
            parts["engine"] = self._engine
        maps: dict[str, dict[Any, Any]] = {
            "pods": self._pods,
            "runs": self._runs,
            "trainings": self._trainings,
            "previews": self._previews,
            "servers": self._servers,
            "models": self._models,
            "comparisons": self._comparisons,
            "searches": self._searches,
        }
        for name, live in maps.items():
            if name in self.changed:
                parts[name] = MappingProxyType(dict(live))
        if self._grown:
            grown = {key: _in_order(self._episodes.get(key, {})) for key in self._grown}
            parts["episodes"] = MappingProxyType({**self._world.episodes, **grown})
            self._grown.clear()
        self.changed.clear()
        self._world = replace(self._world, **parts)
        return self._world


def _in_order(episodes: Mapping[int, Episode]) -> tuple[Episode, ...]:
    return tuple(episodes[number] for number in sorted(episodes))


@cache
def _class(topic: str) -> Any:
    """The dataclass of a topic's items."""
    module, _, name = OF_TOPICS[topic].partition(".")
    return getattr(import_module(f"spice_engine.protocol.{module}"), name)


def _merge(known: dict[Any, Any], kind: str, data: Mapping[str, Any], topic: str, key: Any) -> None:
    """Put a snapshot in place of what is known, or a delta's items into it: all, or nothing."""
    items = data if kind == "snapshot" else data.get("set", {})
    fresh = {key(name): build(_class(topic), item) for name, item in items.items()}
    gone = [key(name) for name in data.get("del", ())] if kind == "delta" else list(known)
    for name in gone:
        known.pop(name, None)
    known.update(fresh)
