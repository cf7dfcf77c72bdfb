"""The operations for whoever writes a predictor: check it, and send the last request again."""

from __future__ import annotations

from spice_engine.operations import operation
from spice_engine.protocol.servers import CheckedServer, CheckServer, LastRequest, ServerName
from spice_engine.serving.last_call import LastCall
from spice_engine.serving.servers import Servers
from spice_engine.serving.validation import Validation


@operation("servers.validate", http="POST /api/v1/servers-validate")
async def validate(validation: Validation, request: CheckServer) -> CheckedServer:
    """Load the predictor of a definition once, in its environment, without serving it."""
    return await validation.check(request.definition)


@operation("servers.last_request", http="GET /api/v1/servers/{server}/last-request")
def last_request(servers: Servers, request: ServerName) -> LastRequest:
    """Give the last JSON payload that came to a server which has `debug` on."""
    endpoint = servers.served(request.server).endpoint
    if not isinstance(endpoint, LastCall):
        return LastRequest(known=False)
    return LastRequest(*endpoint.payload())
