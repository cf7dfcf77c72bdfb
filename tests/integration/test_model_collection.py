"""What removed models and uploads leave behind: nothing, once maintenance was there."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from spice_engine.events import Bus
from spice_engine.maintenance import Maintenance
from spice_engine.pods.graph import Graph
from spice_engine.protocol.location import Location
from spice_engine.protocol.models import CreateModel
from spice_engine.protocol.views import GetLineage
from spice_engine.runs.resource_uploads import Uploads
from spice_engine.runs.resources import ResourceTree
from spice_engine.serving.lineage import ModelLineage
from spice_engine.serving.model_folders import ModelFolders
from spice_engine.serving.model_lookup import ServerUse
from spice_engine.serving.models import Models
from spice_engine.serving.policy_models import PolicyModels
from spice_engine.store import policies, references, runs
from spice_engine.store.database import Database
from spice_engine.store.metrics import MetricStore
from spice_engine.store.objects import ObjectStore


class NoPods:
    """Pods and their aliases, where `pods` are the names there are."""

    def __init__(self) -> None:
        self.pods: list[str] = []

    def names(self) -> list[str]:
        return self.pods

    async def set_alias(self, pod: str, alias: str, version: str) -> dict[str, int]:
        return {}

    async def remove_alias(self, pod: str, alias: str) -> dict[str, int]:
        return {}


class World:
    """The services on an empty folder."""

    def __init__(
        self, folder: Path, database: Database, metrics: MetricStore, objects: ObjectStore
    ) -> None:
        self.folder, self.database, self.objects = folder, database, objects
        bus = Bus()
        self.pods = NoPods()
        location = Location(folder, folder / ".spice")
        self.made = ModelFolders(folder / ".spice", objects)
        self.tree = ResourceTree(location, database, metrics, objects, bus)
        self.uploads = Uploads(self.tree, database, bus)
        models = PolicyModels(database, objects, self.pods, self.pods)
        self.models = Models(database, metrics, objects, self.tree, models, bus)
        self.maintenance = Maintenance(database, metrics, objects)
        self.maintenance.more.append(self.models.sweep)

    def write(self, name: str, text: str) -> str:
        path = self.folder / "data" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        return str(path)

    async def collect(self) -> None:
        """Maintenance, when everything is older than what is left alone."""
        then = time.time() - 7200
        state = self.folder / ".spice"
        for path in [*state.glob("objects/??/*"), *state.glob("models/*")]:
            os.utime(path, (then, then))
        await self.maintenance.once()

    @property
    def blobs(self) -> int:
        return len(list(self.objects.folder.glob("??/*")))

    @property
    def folders(self) -> int:
        return len(list((self.folder / ".spice" / "models").glob("*")))


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    state = tmp_path / ".spice"
    state.mkdir()
    database = await Database.open(state / "engine.db", migrations="engine")
    metrics = await MetricStore.open(state / "metrics.db")
    objects = ObjectStore(state / "objects")
    made = World(tmp_path, database, metrics, objects)
    await made.tree.open()
    await made.models.open()
    yield made
    await made.models.close()
    objects.close()
    await metrics.close()
    await database.close()


async def test_files_stay_as_long_as_somebody_needs_them(world: World) -> None:
    world.write("a", "one")
    await world.uploads.upload(str(world.folder / "data"), "x")
    await world.models.create(CreateModel("m", "uploads/x"))
    version = await world.models.resolve("m")
    folder = world.made.ensure(version.object)
    assert (folder / "a").read_text() == "one"
    assert world.made.ensure(version.object) == folder
    await world.uploads.remove("uploads/x")
    await world.collect()
    assert (world.blobs, world.folders) == (2, 1)
    await world.models.remove("m", "")
    await world.collect()
    assert (world.blobs, world.folders) == (0, 0)


async def test_a_server_keeps_the_files_of_a_version_that_was_removed(world: World) -> None:
    await world.models.create(CreateModel("m", world.write("a", "one")))
    version = await world.models.resolve("m:v1")
    world.made.ensure(version.object)
    await world.database.write(lambda c: references.add(c, version.object, "server:s:1"))
    await world.models.remove("m", "v1")
    await world.collect()
    assert (world.blobs, world.folders) == (2, 1)


async def test_a_version_that_a_server_uses_is_not_removed(world: World) -> None:
    await world.models.create(CreateModel("m", world.write("a", "one")))
    await world.models.create(CreateModel("m", world.write("a", "two")))
    world.models.uses = lambda: [ServerUse("s", "running", (("m", 1),))]
    found = await world.models.get("m")
    assert [one.servers for one in found.versions] == [[], ["s"]]
    for version in ("v1", ""):
        with pytest.raises(Exception, match="used by s"):
            await world.models.remove("m", version)
    await world.models.remove("m", "v2")


async def test_a_version_of_a_version(world: World) -> None:
    world.write("sub/a", "one")
    await world.models.create(CreateModel("m", str(world.folder / "data")))
    await world.models.create(CreateModel("other", "models/m/v1/sub"))
    await world.models.remove("m", "")
    await world.collect()
    root = await world.models.version_root("other", "")
    assert [entry.name for entry in world.objects.list_tree(root.object)] == ["a"]


async def test_a_pods_policy_is_found_and_materialized(world: World) -> None:
    policy = await asyncio.to_thread(world.objects.put_bytes, b"policy")
    for alias in ((), ("latest",)):
        await world.database.write(
            lambda c, names=alias: policies.add(
                c,
                pod="ops",
                object_hash=policy,
                fingerprint="f",
                algorithm="linear",
                created=5.0,
                evaluation={"held_out": {"regret_closed": 0.5 if names else 0.9}},
                aliases=names,
            )
        )
    assert await world.models.list() == []  # its manifest is gone
    world.pods.pods = ["ops"]
    assert [(info.kind, info.versions) for info in await world.models.list()] == [("policy", 2)]
    for text, number in (("ops", 2), ("ops:latest", 2), ("ops:@best", 1), ("ops:v1", 1)):
        found = await world.models.resolve(text)
        assert (found.number, found.kind, found.object) == (number, "policy", policy)
    folder = world.made.ensure(world.models.policies.folder_of(policy))
    assert (folder / "policy.msgpack").read_bytes() == b"policy"


async def test_lineage_leads_from_data_to_servers(world: World) -> None:
    number = await world.database.write(
        lambda c: runs.create(c, kind="run", command=["x"], created=1.0, state="complete").id
    )
    outputs = world.folder / ".spice" / "runs" / str(number) / "outputs"
    outputs.mkdir(parents=True)
    (outputs / "w").write_text("1")
    await world.uploads.upload(world.write("a", "one"), "x")
    await world.models.create(CreateModel("m", f"runs/{number}"))
    await world.models.create(CreateModel("m", "uploads/x"))
    await world.models.create(CreateModel("n", "models/m/v1"))
    world.models.uses = lambda: [
        ServerUse("s", "running", (("n", 1), ("m", 2))),
        ServerUse("p", "failing", (("ops", 3),)),
    ]
    lineage = ModelLineage(world.database, world.models)

    async def edges(request: GetLineage, *nodes: str) -> set[tuple[str, str]]:
        graph = Graph()
        for node in nodes:
            graph.node(node, node.partition("/")[0], node)
        await lineage.add(graph, request)
        return {(edge.source, edge.target) for edge in graph.lineage().edges}

    run = f"run/{number}"
    assert await edges(GetLineage(), run, "policy/ops/3") == {
        (run, "model/m/1"),
        ("data/uploads/x", "model/m/2"),
        ("model/m/1", "model/n/1"),
        ("model/n/1", "server/s"),
        ("model/m/2", "server/s"),
        ("policy/ops/3", "server/p"),
    }
    assert await edges(GetLineage(run=number), run) == {
        (run, "model/m/1"),
        ("model/m/1", "model/n/1"),
        ("model/n/1", "server/s"),
    }
    assert await edges(GetLineage(pod="ops"), "policy/ops/3") == {("policy/ops/3", "server/p")}


async def test_equal_files_are_kept_once(world: World) -> None:
    for _ in range(3):
        await world.models.create(CreateModel("m", world.write("a", "the same")))
    assert world.blobs == 2
    assert len({one.object for one in await world.models.versions("m")}) == 1
    await world.models.remove("m", "v1")
    await world.collect()
    assert world.blobs == 2
