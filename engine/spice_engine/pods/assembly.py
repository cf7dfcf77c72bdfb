"""Builds all services that work on pods, and says what must be closed after them."""

from __future__ import annotations

import contextlib

from spice_engine.events import Bus
from spice_engine.pods import package_operations, view_operations
from spice_engine.pods.advisor import Advisor
from spice_engine.pods.authoring_operations import Authoring
from spice_engine.pods.edit_operations import Manifests
from spice_engine.pods.judging import Judging
from spice_engine.pods.lineage import Ancestry
from spice_engine.pods.look_back import LookBack
from spice_engine.pods.pod_data import PodData
from spice_engine.pods.pools import PodPools, PreviewPools
from spice_engine.pods.previews import Previews
from spice_engine.pods.search_trials import PodTrials
from spice_engine.pods.service import Pods
from spice_engine.pods.tensorboard import TensorBoards, installed
from spice_engine.pods.trust import Trust
from spice_engine.pods.versions import Versions
from spice_engine.protocol.location import Location
from spice_engine.records import record
from spice_engine.settings import Settings
from spice_engine.store.database import Database
from spice_engine.store.objects import ObjectStore
from spice_engine.workers.pool import ChildPool


@record
class PodServices:
    """The services; `all` are those that operations ask for."""

    pods: Pods
    manifests: Manifests
    versions: Versions
    ancestry: Ancestry
    advisor: Advisor
    trials: PodTrials
    all: list[object]


def build_pod_services(
    stack: contextlib.AsyncExitStack,
    location: Location,
    settings: Settings,
    database: Database,
    objects: ObjectStore,
    pools: dict[str, ChildPool],
    bus: Bus,
    *,
    trusted: bool,
) -> PodServices:
    """Build them; `stack` closes them in the order that is right."""
    trust = Trust()
    pods = Pods(
        location,
        settings,
        database,
        objects,
        PodPools(pools["loader"], pools["ingest"], pools["fetcher"], pools["trainer"]),
        trust,
        bus,
        trusted=trusted,
    )
    stack.push_async_callback(pods.close)
    advisor = Advisor(pods, database)
    packages = package_operations.package_services(
        location, settings.registries, database, objects, pods, advisor, trust
    )
    stack.push_async_callback(packages.catalogue.close)
    manifests = Manifests(location, pods.rescan)
    previews = Previews(
        pods,
        PreviewPools(pools["preview_loader"], pools["preview_trainer"]),
        bus,
        settings.training_seconds,
    )
    stack.push_async_callback(previews.close)
    trials = PodTrials(
        pods, pools["preview_loader"], pools["search_trainer"], settings.training_seconds
    )
    stack.callback(trials.close)
    authoring = Authoring(pods, manifests, previews)
    ancestry = Ancestry(pods, database)
    views = view_operations.view_services(pods, advisor, ancestry)
    data = PodData(pods, database)
    judging = Judging(pods, advisor, LookBack(pods), bus, settings.training_seconds)
    log = location.state / "logs" / "tensorboard.log"
    boards = TensorBoards(pods, pods.trainings.logs, log, installed)
    stack.push_async_callback(boards.close)
    services: list[object] = [pods, advisor, data, manifests, authoring, previews, judging, boards]
    services += [*packages, *views]
    return PodServices(pods, manifests, packages.versions, ancestry, advisor, trials, services)
