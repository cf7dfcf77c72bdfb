"""Builds the services that work on resources and models."""

from __future__ import annotations

import contextlib

from spice_engine.events import Bus
from spice_engine.pods.assembly import PodServices
from spice_engine.protocol.location import Location
from spice_engine.records import record
from spice_engine.runs.resource_uploads import Uploads
from spice_engine.runs.resources import ResourceTree
from spice_engine.serving.lineage import ModelLineage
from spice_engine.serving.models import Models
from spice_engine.serving.policy_models import PolicyModels
from spice_engine.settings import Settings
from spice_engine.store.database import Database
from spice_engine.store.metrics import MetricStore
from spice_engine.store.objects import ObjectStore


@record
class ModelServices:
    """The services; `all` are those that operations ask for."""

    tree: ResourceTree
    models: Models
    all: list[object]

    async def open(self) -> None:
        """Learn what the store knows."""
        await self.tree.open()
        await self.models.open()


def build_model_services(
    stack: contextlib.AsyncExitStack,
    location: Location,
    settings: Settings,
    database: Database,
    metrics: MetricStore,
    objects: ObjectStore,
    pods: PodServices,
    bus: Bus,
) -> ModelServices:
    """Build them; `stack` closes them in the order that is right."""
    tree = ResourceTree(location, database, metrics, objects, bus, settings.public)
    uploads = Uploads(tree, database, bus)
    stack.callback(tree.close)
    policies = PolicyModels(database, objects, pods.pods, pods.versions)
    models = Models(database, metrics, objects, tree, policies, bus)
    stack.push_async_callback(models.close)
    pods.pods.on_policy = models.changed
    pods.ancestry.more.append(ModelLineage(database, models).add)
    return ModelServices(tree, models, [tree, uploads, models])
