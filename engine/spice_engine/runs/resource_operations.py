"""The operations on resources."""

from __future__ import annotations

import asyncio

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
    ReadResource,
    ResourceInfo,
    ResourceList,
    ResourcePath,
    ResourceSize,
    ResourceText,
    UploadResource,
)
from spice_engine.runs import resource_reading
from spice_engine.runs.resource_uploads import Uploads
from spice_engine.runs.resources import ResourceTree

MOST_READ = 2**20


@operation("resources.list", http="GET /api/v1/resources")
async def list_resources(tree: ResourceTree, request: ListResources) -> ResourceList:
    """List what lies at a path of the resource tree; without one, its roots and the links."""
    return await tree.list(request.path)


@operation("resources.read", http="GET /api/v1/resources/text")
async def read(tree: ResourceTree, request: ReadResource) -> ResourceText:
    """Read the beginning of a file of the resource tree."""
    limit = max(0, min(request.limit, MOST_READ))
    found = await tree.resolve(request.path)
    data, size = await asyncio.to_thread(resource_reading.beginning, tree.objects, found, limit)
    text = resource_reading.text_of(data)
    return ResourceText(found.path, text or "", size, binary=text is None)


@operation("resources.measure", http="GET /api/v1/resources/size")
async def measure(tree: ResourceTree, request: ResourcePath) -> ResourceSize:
    """Tell how much a folder or a file of the resource tree holds."""
    found = await tree.resolve(request.path)
    count, size = await asyncio.to_thread(
        resource_reading.measured, tree.objects, found, tree.go_on
    )
    return ResourceSize(found.path, count, size)


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
