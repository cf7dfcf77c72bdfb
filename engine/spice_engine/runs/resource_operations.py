"""The operations on resources."""

from __future__ import annotations

from spice_engine.operations import operation
from spice_engine.protocol.engine import Accepted, Nothing
from spice_engine.protocol.resources import (
    CopiedResource,
    CopyResource,
    LinkAlias,
    LinkInfo,
    LinkList,
    LinkResource,
    ListResources,
    ResourceInfo,
    ResourceList,
    ResourcePath,
    UploadResource,
)
from spice_engine.runs.resource_uploads import Uploads
from spice_engine.runs.resources import ResourceTree


@operation("resources.list", http="GET /api/v1/resources")
async def list_resources(tree: ResourceTree, request: ListResources) -> ResourceList:
    """List what lies at a path of the resource tree; without one, its roots and the links."""
    return await tree.list(request.path)


@operation("resources.copy", http="POST /api/v1/resources/copy")
async def copy(tree: ResourceTree, request: CopyResource) -> CopiedResource:
    """Copy a resource out, into a folder of this machine."""
    done = await tree.copy(request.path, request.destination, request.existing)
    return CopiedResource(done.copied, done.skipped, done.size)


@operation("resources.upload", http="POST /api/v1/resources/upload")
async def upload(uploads: Uploads, request: UploadResource) -> ResourceInfo:
    """Take a folder or file of this machine into the store; topic `uploads` tells how far it is."""
    return await uploads.upload(request.source, request.name, replace=request.replace)


@operation("resources.remove", http="DELETE /api/v1/resources")
async def remove(uploads: Uploads, request: ResourcePath) -> Accepted:
    """Remove an upload; models and servers made of it keep what they need."""
    await uploads.remove(request.path)
    return Accepted(f"{request.path} was removed.")


@operation("resources.links", http="GET /api/v1/links")
async def list_links(tree: ResourceTree, request: Nothing) -> LinkList:
    """List all links."""
    return LinkList(await tree.links())


@operation("resources.link", http="PUT /api/v1/links/{alias}")
async def link(tree: ResourceTree, request: LinkResource) -> LinkInfo:
    """Give a resource a short name."""
    return await tree.link(request.alias, request.path)


@operation("resources.unlink", http="DELETE /api/v1/links/{alias}")
async def unlink(tree: ResourceTree, request: LinkAlias) -> LinkInfo:
    """Take a short name away; what it names stays."""
    return await tree.unlink(request.alias)
