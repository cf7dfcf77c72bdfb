"""The operations on models."""

from __future__ import annotations

from spice_engine.operations import operation
from spice_engine.protocol.engine import Accepted, Nothing
from spice_engine.protocol.models import (
    CreateModel,
    DescribeVersion,
    DownloadModel,
    ModelList,
    ModelName,
    ModelRef,
    ModelVersionInfo,
    ModelVersions,
    SetModelAlias,
)
from spice_engine.protocol.resources import CopiedResource
from spice_engine.serving.models import Models


@operation("models.create", http="POST /api/v1/models")
async def create(models: Models, request: CreateModel) -> ModelVersionInfo:
    """Make the next version of a model from a resource, or from files of one."""
    return await models.create(request)


@operation("models.list", http="GET /api/v1/models")
async def list_models(models: Models, request: Nothing) -> ModelList:
    """List all models with their newest version; a trained pod is one."""
    return ModelList(await models.list())


@operation("models.get", http="GET /api/v1/models/{name}")
async def get(models: Models, request: ModelName) -> ModelVersions:
    """Tell everything about one model: all its versions, newest first."""
    return await models.get(request.name)


@operation("models.version", http="GET /api/v1/models/{name}/versions/{version}")
async def version(models: Models, request: ModelRef) -> ModelVersionInfo:
    """Tell everything about one version, by number, name or alias."""
    return await models.version(request.name, request.version)


@operation("models.remove", http="DELETE /api/v1/models/{name}")
async def remove(models: Models, request: ModelRef) -> Accepted:
    """Remove a version, or without one the whole model; servers that use it keep it here."""
    removed = await models.remove(request.name, request.version)
    return Accepted(f"{removed} version{'' if removed == 1 else 's'} removed.")


@operation(
    "models.update_description", http="PUT /api/v1/models/{name}/versions/{version}/description"
)
async def update_description(models: Models, request: DescribeVersion) -> ModelVersionInfo:
    """Replace the description of a version."""
    return await models.describe(request.name, request.version, request.description)


@operation("models.download", http="POST /api/v1/models/{name}/versions/{version}/download")
async def download(models: Models, request: DownloadModel) -> CopiedResource:
    """Write a version's files to a folder of this machine."""
    done = await models.download(
        request.name, request.version, request.destination, request.existing
    )
    return CopiedResource(done.copied, done.skipped, done.size)


@operation("models.alias", http="PUT /api/v1/models/{name}/aliases/{alias}")
async def set_alias(models: Models, request: SetModelAlias) -> ModelVersions:
    """Let an alias name a version; with an empty version it goes."""
    await models.set_alias(request.name, request.alias, request.version)
    return await models.get(request.name)
