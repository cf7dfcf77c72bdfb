"""The operations on packages, registries, versions of policies, and trust."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import NamedTuple

from spice_engine.operations import operation
from spice_engine.pods.catalogue import Catalogue
from spice_engine.pods.exporter import Exporter
from spice_engine.pods.importer import Importer
from spice_engine.pods.package_parts import PodsService, VersionServer
from spice_engine.pods.trust import Trust
from spice_engine.pods.trusting import Trusting
from spice_engine.pods.versions import Versions
from spice_engine.protocol.engine import Nothing
from spice_engine.protocol.location import Location
from spice_engine.protocol.packages import (
    AddedPackage,
    AddedPackages,
    AddLocked,
    AddPackage,
    Aliases,
    Exported,
    ExportPod,
    Imported,
    ImportPod,
    PackageList,
    PolicyVersions,
    Published,
    PublishPod,
    RemoveAlias,
    Rollback,
    SearchPackages,
    SetAlias,
    SetTrust,
    TrustStatus,
)
from spice_engine.protocol.pods import PodName
from spice_engine.store.database import Database
from spice_engine.store.objects import ObjectStore


@operation("pods.export", http="POST /api/v1/pods/{pod}/export")
async def export_pod(exporter: Exporter, request: ExportPod) -> Exported:
    """Write a trained pod into a `.spicepod` file inside the app folder."""
    return await exporter.export(request)


@operation("pods.import", http="POST /api/v1/packages/import")
async def import_pod(importer: Importer, request: ImportPod) -> Imported:
    """Take in a pod from a `.spicepod` file inside the app folder, or from its bytes."""
    return await importer.import_pod(request)


@operation("packages.add", http="POST /api/v1/packages/add")
async def add_package(catalogue: Catalogue, request: AddPackage) -> AddedPackage:
    """Add a package of a registry, folder, repository or address to the app folder."""
    return await catalogue.add(request.reference, force=request.force)


@operation("packages.add_locked", http="POST /api/v1/packages/add-locked")
async def add_locked(catalogue: Catalogue, request: AddLocked) -> AddedPackages:
    """Add all packages of `spice.lock` again, exactly as they were."""
    return AddedPackages(await catalogue.add_locked(force=request.force))


@operation("packages.search", http="GET /api/v1/packages")
async def search_packages(catalogue: Catalogue, request: SearchPackages) -> PackageList:
    """Search the built-in packages and all registries; without text, list them."""
    return await catalogue.search(request.text)


@operation("packages.publish", http="POST /api/v1/pods/{pod}/publish")
async def publish_pod(catalogue: Catalogue, request: PublishPod) -> Published:
    """Write a pod's package into a registry's folder; commits where that is a git work tree."""
    published, files = await catalogue.publish(request)
    return Published(**dataclasses.asdict(published), files=files)


@operation("pods.versions", http="GET /api/v1/pods/{pod}/versions")
async def list_versions(versions: Versions, request: PodName) -> PolicyVersions:
    """List the versions of a pod's policy, newest first."""
    return await versions.list(request.pod)


@operation("pods.aliases", http="GET /api/v1/pods/{pod}/aliases")
async def list_aliases(versions: Versions, request: PodName) -> Aliases:
    """List the names of a pod's versions."""
    return Aliases(await versions.aliases(request.pod))


@operation("pods.alias", http="PUT /api/v1/pods/{pod}/aliases/{alias}")
async def set_alias(versions: Versions, request: SetAlias) -> Aliases:
    """Name a version of a pod's policy; `latest` also serves it."""
    return Aliases(await versions.set_alias(request.pod, request.alias, request.version))


@operation("pods.unalias", http="DELETE /api/v1/pods/{pod}/aliases/{alias}")
async def remove_alias(versions: Versions, request: RemoveAlias) -> Aliases:
    """Take a name of a version away; the version stays."""
    return Aliases(await versions.remove_alias(request.pod, request.alias))


@operation("pods.rollback", http="POST /api/v1/pods/{pod}/rollback")
async def rollback(versions: Versions, request: Rollback) -> PolicyVersions:
    """Serve an earlier version of a pod's policy, until it is trained again."""
    return await versions.rollback(request.pod, request.version)


@operation("trust.status", http="GET /api/v1/trust")
async def trust_status(trusting: Trusting, request: Nothing) -> TrustStatus:
    """Tell whether code of this folder may run, and what code that is."""
    return await trusting.status()


@operation("trust.set", http="PUT /api/v1/trust")
async def set_trust(trusting: Trusting, request: SetTrust) -> TrustStatus:
    """Trust the code of this folder, or trust it no more."""
    return await trusting.set(trusted=request.trusted)


class PackageServices(NamedTuple):
    """The services behind these operations; the catalogue must be closed at the end."""

    exporter: Exporter
    importer: Importer
    catalogue: Catalogue
    versions: Versions
    trusting: Trusting


def package_services(
    location: Location,
    registries: Sequence[str],
    database: Database,
    objects: ObjectStore,
    pods: PodsService,
    server: VersionServer,
    trust: Trust,
) -> PackageServices:
    """All of them, on the same folder."""
    return PackageServices(
        Exporter(location, database, objects, pods),
        Importer(location, database, objects, pods, server, trust),
        Catalogue(location, registries, pods, trust),
        Versions(database, pods, server),
        Trusting(location, pods, trust),
    )
