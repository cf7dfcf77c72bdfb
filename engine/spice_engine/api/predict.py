"""Model servers through aiohttp: predictions that are not ordinary, health, readiness, metrics.

The fast lane (`fast_lane`) takes the ordinary ones; these routes answer the same paths for
bodies in chunks, compressed, large or slow ones, for pages of other origins, and all errors.
"""

from __future__ import annotations

from aiohttp import web

from spice_engine.api import server_samples
from spice_engine.api.bodies import BodyReader
from spice_engine.api.fast_http import codec_of, deadline_of
from spice_engine.api.metrics import CONTENT_TYPE
from spice_engine.api.replies import json_response
from spice_engine.api.server_paths import PREDICT, ServerPaths
from spice_engine.api.web_call import WebCall, raw_head, request_id_of, respond
from spice_engine.errors import InvalidRequest, NotFound
from spice_engine.serving.directory import Directory, Served
from spice_runtime import wire


class ServerRoutes:
    """The handlers of `/servers/{server}/…` and `/{owner}/{server}/…`."""

    def __init__(self, directory: Directory, bodies: BodyReader) -> None:
        self._directory = directory
        self._bodies = bodies
        self._paths = ServerPaths(directory.owner)

    def install(self, app: web.Application) -> None:
        """Add the routes."""
        for path in (PREDICT, self._paths.owned_predict):
            app.router.add_post(path, self.predict)
            app.router.add_route("*", f"{path}/", without_slash)
        for path in ("/servers/{server}/health", self._paths.owned_health):
            app.router.add_get(path, self.health)
            app.router.add_get(f"{path}/", without_slash)
        app.router.add_get("/servers/{server}/ready", self.ready)
        app.router.add_get("/servers/{server}/metrics", self.metrics)

    async def predict(self, request: web.Request) -> web.StreamResponse:
        """Send the body to the server."""
        served = served_of(self._directory, request)
        codec = codec_of(request.headers.get("Content-Type", "").encode("utf-8", "replace"))
        return await predict(request, served, self._bodies, codec)

    async def health(self, request: web.Request) -> web.Response:
        """What the predictor says of its health; without a `health` of its own, whether a
        replica is ready."""
        served = served_of(self._directory, request)
        if served.health is not None:
            return respond(await served.health())
        ready = served.endpoint.is_ready()
        return json_response({"status": "ok" if ready else "not ready"}, 200 if ready else 503)

    async def ready(self, request: web.Request) -> web.Response:
        """Whether a prediction would be served now."""
        ready = served_of(self._directory, request).endpoint.is_ready()
        return json_response({"status": "ready" if ready else "not ready"}, 200 if ready else 503)

    async def metrics(self, request: web.Request) -> web.Response:
        """The server's figures and its predictor's own as Prometheus text."""
        served = served_of(self._directory, request)
        return web.Response(
            body=server_samples.render(served), headers={"Content-Type": CONTENT_TYPE}
        )


async def predict(
    request: web.Request, served: Served, bodies: BodyReader, codec: int
) -> web.StreamResponse:
    """One prediction, from the request to its answer.

    Raises:
        InvalidRequest: the deadline is no number of seconds.
        SpiceError: the body cannot be read.
    """
    deadline = served.door.deadline
    given = request.headers.get("X-Request-Deadline")
    if given is not None:
        seconds = deadline_of(given.strip().encode("utf-8", "replace"))
        if seconds is None:
            raise InvalidRequest(
                f"X-Request-Deadline {given[:100]!r} is no number of seconds.",
                hint="Send seconds, such as 2.5.",
            )
        deadline = min(seconds, deadline)
    body = await bodies.read(request, limit=served.door.max_body, setting="--max-body")
    call = WebCall(
        served,
        body,
        codec=codec,
        head=raw_head(request, body) if served.wants_head or codec == wire.INFER else b"",
        request_id=request_id_of(request),
        deadline=deadline,
        client=request.remote or "",
    )
    return await call.perform(request)


def served_of(directory: Directory, request: web.Request) -> Served:
    """The server that the path names.

    Raises:
        NotFound: there is none of that name.
    """
    name = request.match_info["server"]
    served = directory.get(name)
    if served is None:
        raise NotFound(
            f"there is no model server {name[:100]!r} that can be called.",
            hint="`spice-tui server list` shows the servers and their states.",
        )
    return served


async def without_slash(request: web.Request) -> web.Response:
    """The same path without the slash at its end; a client repeats its request there."""
    target, mark, query = request.raw_path.partition("?")
    return web.Response(status=307, headers={"Location": target.rstrip("/") + mark + query})
